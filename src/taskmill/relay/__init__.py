"""The relay role: tells the broker which tasks wait. PostgreSQL decides everything; hints only hurry."""
