"""What a person or a program sees: tables, lines, screens and pictures."""
