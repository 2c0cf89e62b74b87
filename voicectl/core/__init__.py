"""Operations that combine several requests, use stored data, or apply a rule to a request."""
