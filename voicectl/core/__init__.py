"""Operations that combine several API requests, use stored data, or apply a rule to a request."""
