"""The faults that a nemesis may inject, in a module for each kind of target."""
