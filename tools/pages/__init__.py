"""Runs the commands and the code of documentation pages: `tools/run_pages README.md`.

`blocks` reads a page, `matching` compares the output with the page, `terminal` runs commands like a reader's
shell, `folder` makes the folder in which they run, `session` goes through a page, and `__main__` is the command.
The comments by which a page controls it are in CONTRIBUTING.md. It needs only the standard library.
"""
