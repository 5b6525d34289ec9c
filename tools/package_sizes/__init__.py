"""What `pip install taskmill` brings, with each of its extras."""
