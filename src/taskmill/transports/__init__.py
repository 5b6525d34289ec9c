"""How waiting tasks reach a worker. Only `composition` picks one."""
