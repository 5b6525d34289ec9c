"""One scenario a file: `TITLE`, and `run(lab)`, which returns its figures."""
