"""Groups of commands that import a command's module only when it runs.

`taskmill --help` and `taskmill up` need not import HTTP clients and tables. It knows no command.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, cast

import click


class Lazy(NamedTuple):
    """A command's module below this package and its name there; its help, so that listing imports nothing."""

    module: str
    attribute: str
    help: str


Sections = Mapping[str, Mapping[str, Lazy]]


class LazyGroup(click.Group):
    """A group whose commands are listed in titled sections."""

    def __init__(self, *args: Any, sections: Sections, **kwargs: Any) -> None:  # noqa: ANN401 - click's own arguments, passed on
        super().__init__(*args, **kwargs)
        self.sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name all commands in the order of the help text."""
        return [name for section in self.sections.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command, None for an unknown name."""
        for section in self.sections.values():
            if cmd_name in section:
                lazy = section[cmd_name]
                module = import_module(f"{__package__}.{lazy.module}")
                return cast(click.Command, getattr(module, lazy.attribute))
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the named command; for an unknown name, suggest similar ones."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            name, known = error.command_name, self.list_commands(ctx)
            singular = [name[:-1]] if name.endswith("s") and name[:-1] in known else known
            raise click.exceptions.NoSuchCommand(name, possibilities=singular, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write each section of commands."""
        for title, section in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, lazy.help) for name, lazy in section.items()])
