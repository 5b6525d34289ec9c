"""Everything that can be done with tasks: one place for all doors. It knows no HTTP and no broker."""
