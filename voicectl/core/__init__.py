"""Operations that take more than one request, or apply a rule."""
