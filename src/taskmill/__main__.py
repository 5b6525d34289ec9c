"""Runs the command line as ``python -m taskmill``."""

from taskmill.cli.main import main

if __name__ == "__main__":
    main()
