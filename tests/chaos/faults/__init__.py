"""The faults that a nemesis may do, a module for what they are done to."""
