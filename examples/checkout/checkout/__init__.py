"""A shop without workers: Taskmill calls the shop itself."""
