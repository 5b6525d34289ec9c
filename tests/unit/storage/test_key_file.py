"""The file with the keys of stored secrets."""

import os
from base64 import b64encode
from pathlib import Path

import pytest

from taskmill.domain.errors import ConfigurationError
from taskmill.storage.key_file import make_key_file, read_keys
from tests.support.key_files import NEW, OLD, a_key_file

TEXT = b64encode(NEW).decode()


def test_the_first_key_comes_first_and_comments_are_ignored(tmp_path: Path) -> None:
    path = a_key_file(tmp_path / "key", NEW, OLD, NEW)
    assert read_keys(path) == [NEW, OLD]
    path.write_text(f"# since May\n\n  {TEXT}  \r\n")
    assert read_keys(path) == [NEW]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no key"),
        ("# only a comment\n\n", "has no key"),
        ("hunter2\n", "line 1 .* is no key: expected a key of 32 bytes in Base64"),
        (f"{TEXT}\n{TEXT[:-8]}\n", "line 2 .* is no key"),
        (f"{TEXT} {TEXT}\n", "line 1 .* is no key"),
        (b64encode(b"x" * 16).decode(), "32 bytes"),
        (b64encode(b"x" * 33).decode(), "32 bytes"),
        ("ключ", "is no text of keys"),
    ],
)
def test_a_malformed_file_is_refused_without_its_content(
    tmp_path: Path, text: str, words: str
) -> None:
    path = a_key_file(tmp_path / "key")
    path.write_text(text)
    with pytest.raises(
        ConfigurationError, match=f"^TASKMILL_SECRETS_KEY_FILE: .*{words}"
    ) as caught:
        read_keys(path)
    assert "hunter2" not in str(caught.value)
    assert TEXT[:-8] not in str(caught.value)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o660, 0o601, 0o777])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = a_key_file(tmp_path / "key", NEW, mode=mode)
    with pytest.raises(ConfigurationError, match=f"its mode is {mode:o}.*chmod 600"):
        read_keys(path)


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_file_that_only_its_owner_may_read_is_taken(tmp_path: Path, mode: int) -> None:
    assert read_keys(a_key_file(tmp_path / "key", NEW, mode=mode)) == [NEW]


def test_a_group_may_read_only_a_file_of_root(tmp_path: Path) -> None:
    """Secrets that are mounted into containers are such files."""
    path = a_key_file(tmp_path / "key", NEW, mode=0o640)
    if os.geteuid() != 0:
        with pytest.raises(ConfigurationError, match="chmod 600"):
            read_keys(path)
        return
    assert read_keys(path) == [NEW]
    os.chown(path, 65_534, 65_534)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_keys(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read: No such file"):
        read_keys(tmp_path / "none")
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_keys(tmp_path)


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    make_key_file(path)
    [key] = read_keys(path)
    assert path.stat().st_mode & 0o777 == 0o600
    make_key_file(path)
    assert read_keys(path) == [key]
    make_key_file(tmp_path / "other")
    assert read_keys(tmp_path / "other") != [key]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other", "secrets.key"]


def test_a_folder_that_can_not_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't make the key file"):
        make_key_file(tmp_path / "none" / "secrets.key")
