"""One module for each page: its endpoints and their routes."""
