"""The command line: reads options, calls the service or starts it, and shows the results."""
