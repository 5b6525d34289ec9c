"""Measures the program as users run it, and checks whether it is as fast and small as it should be."""
