"""Operations that need several requests or stored data, or that apply a rule."""
