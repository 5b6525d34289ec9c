"""`taskmill top`: what a service does, live in a terminal."""
