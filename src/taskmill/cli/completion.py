"""The command that sets up completion of our commands and options in a shell."""

import click
from click.shell_completion import get_completion_class

_EPILOG = """\b
Examples:
  eval "$(taskmill completion bash)"                      # in ~/.bashrc
  eval "$(taskmill completion zsh)"                       # in ~/.zshrc
  taskmill completion fish > ~/.config/fish/completions/taskmill.fish
"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print what SHELL needs to complete commands and options."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - one of the three above
    program = context.find_root().command
    click.echo(found(program, {}, "taskmill", "_TASKMILL_COMPLETE").source())
