"""Output for people and for programs: tables, lines, screens and diagrams."""
