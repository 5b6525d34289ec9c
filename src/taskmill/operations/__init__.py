"""Everything that can be done with tasks, for all entry points. It knows no HTTP and no broker."""
