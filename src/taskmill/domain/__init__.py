"""What a task is and how it may change: pure values and decisions, without I/O, clock or randomness."""
