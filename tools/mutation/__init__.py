"""Mutation testing: changes the code in thousands of small ways, and lists the changes that no test notices."""
