"""Operations on legs, which the commands and the switchboard share."""
