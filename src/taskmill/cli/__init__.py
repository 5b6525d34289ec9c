"""The command line: reads options, asks the service or starts it, and shows answers to people."""
