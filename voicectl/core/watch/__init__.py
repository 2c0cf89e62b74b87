"""Live legs as they change: the board, and what polls for it."""
