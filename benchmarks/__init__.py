"""Measures the program as users run it, and says whether it is as fast and small as it should be."""
