"""A shop whose work Taskmill has done by calling the shop itself."""
