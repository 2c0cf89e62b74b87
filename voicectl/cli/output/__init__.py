"""The output for people and programs: tables, lines, screens and pictures."""
