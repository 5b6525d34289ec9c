"""The reference page of the command line is generated from the commands."""

from scripts.cli_page import PAGE, page


def test_the_page_matches_the_commands() -> None:
    assert PAGE.read_text(encoding="utf-8") == page().rstrip("\n") + "\n", (
        "run `python scripts/cli_page.py`"
    )


def test_every_command_has_a_description() -> None:
    for section in page().split("\n## ")[1:]:
        usage, _, rest = section.partition("Usage: ")[2].partition("\n\n")
        assert usage.startswith("taskmill ")
        assert rest.strip()[0].isupper()
