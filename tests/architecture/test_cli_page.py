"""The reference page of the command line is made of what the commands say of themselves."""

from scripts.cli_page import PAGE, page


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page().rstrip("\n") + "\n", (
        "run `python scripts/cli_page.py`"
    )


def test_every_command_says_what_it_does() -> None:
    for section in page().split("\n## ")[1:]:
        usage, _, rest = section.partition("Usage: ")[2].partition("\n\n")
        assert usage.startswith("taskmill ")
        assert rest.strip()[0].isupper()
