"""The addresses, one file for each group of them."""
