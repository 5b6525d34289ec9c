"""A mutation run has its tests to itself."""

from pathlib import Path

import pytest

from tools.mutation.folder import fresh_tests


def test_a_run_begins_without_the_tests_of_before_and_keeps_its_own(tmp_path: Path) -> None:
    test = tmp_path / "mutants/tests/test_it.py"
    test.parent.mkdir(parents=True)
    test.touch()
    with fresh_tests(tmp_path):
        assert not test.parent.exists()
        test.parent.mkdir()
        test.touch()
        with pytest.raises(SystemExit, match="another run is under way"), fresh_tests(tmp_path):
            pass
        assert test.exists()
    with fresh_tests(tmp_path):
        assert not test.exists()
