"""Tables in a pipe."""

import pytest

from taskmill.cli import show


def test_one_very_long_text_does_not_widen_the_rows_of_others_in_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show.table(
        ("NAME", "N", "AGE"),
        [("a", "1", "2 s"), ("x" * 200, "20", "3 s")],
        cut="NAME",
        numbers=("N",),
    )

    heading, short, long = capsys.readouterr().out.splitlines()
    assert heading == "NAME   N  AGE"
    assert short == "a      1  2 s"
    assert long == "x" * 200 + "  20  3 s"


def test_a_long_free_text_is_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("ID", "WHY", "N"), [("a" * 36, "日本" * 50, "1")], cut="WHY", texts=("WHY",))

    [_, row] = capsys.readouterr().out.splitlines()
    assert row == "a" * 36 + "  " + "日本" * 14 + "日 …" + "  1"


def test_columns_are_as_wide_as_their_cells(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(
        ("NAME", "AGE"), [("письмо", "2 s"), ("日本語テスト", show.failure("3 s"))], cut="NAME"
    )

    assert capsys.readouterr().out.splitlines() == [
        "NAME          AGE",
        "письмо        2 s",
        "日本語テスト  3 s",
    ]


def test_rows_without_headings_are_as_wide_as_with_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show.table(("STATUS", "NAME"), [("new", "a")], with_headings=False)

    assert capsys.readouterr().out == "new     a\n"
