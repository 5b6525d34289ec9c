"""Runs the commands and the code of pages as they are printed: `tools/run_pages README.md`.

`blocks` reads a page, `matching` compares what was printed with what the page shows, `terminal` runs commands
as a reader's shell does, `place` is the folder in which all of it happens, `session` goes through a page, and
`__main__` is the command. What a page may say to it is told in CONTRIBUTING.md. It needs the standard library
only.
"""
