"""A service in trouble, with 200,000 tasks: for tests of the dashboard, for pictures of it, and to look at."""
