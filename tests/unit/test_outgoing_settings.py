"""Settings for requests to endpoints: keys, schemes and ports."""

from pathlib import Path

import pytest

from taskmill.domain.errors import ConfigurationError
from taskmill.domain.signing import secret_of
from taskmill.settings import effective, load


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("source", ["file", "environment"])
def test_the_key_for_pushes_and_callbacks_is_refused_with_what_replaces_it(
    source: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "file":
        (folder / "taskmill.toml").write_text("[outbound]\nsigning_keys = ['whsec_secret']")
    else:
        monkeypatch.setenv("TASKMILL_OUTBOUND__SIGNING_KEYS", "whsec_secret")

    with pytest.raises(ConfigurationError) as caught:
        load()

    message = str(caught.value)
    assert "is not a setting any more" in message
    assert "callback_signing_keys" in message
    assert "push_signing_keys" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("text", "shown"),
    [("443", "443"), ("443, 8000 - 8999,80-80", "443,8000-8999,80"), ('[443,"1-2"]', "443,1-2")],
)
def test_ports_are_numbers_and_ranges(
    text: str, shown: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load().outbound.ports == ()
    monkeypatch.setenv("TASKMILL_OUTBOUND__PORTS", text)
    assert {one.name: one.value for one in effective(load())}["TASKMILL_OUTBOUND__PORTS"] == shown
    monkeypatch.delenv("TASKMILL_OUTBOUND__PORTS")
    (folder / "taskmill.toml").write_text("[outbound]\nports = [443, '8000-8999']")
    assert load().outbound.ports == ((443, 443), (8000, 8999))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "0",
            "65536",
            "9-8",
            "-1",
            "80-",
            "-",
            "80-90-100",
            "https",
            "80;90",
            "8_0",
            "1e3",
            "٤٤٣",
        ),
        *("0-80", "80-65536", "[true]", "[80.0]", "[[80,90]]", '{"first":80}', "99999999999"),
    ],
)
def test_a_bad_port_or_range_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_OUTBOUND__PORTS", text)

    with pytest.raises(ConfigurationError, match=r"PORTS.*expected ports \(443\) and ranges"):
        load()


def test_pushes_and_callbacks_have_no_key_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, third = (secret_of(text * 32) for text in (b"a", b"b", b"c"))
    monkeypatch.setenv("TASKMILL_OUTBOUND__PUSH_SIGNING_KEYS", f"{one},{other}")
    monkeypatch.setenv("TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS", third)
    assert len(load().outbound.push_signing_keys) == 2

    monkeypatch.setenv("TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS", f"{third},{other}")

    with pytest.raises(ConfigurationError, match="without any of callback_signing_keys") as caught:
        load()
    assert "whsec" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PUSH", "CALLBACK"])
def test_a_bad_signing_key_is_never_shown(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TASKMILL_OUTBOUND__{kind}_SIGNING_KEYS", "whsec_short")

    with pytest.raises(ConfigurationError, match="expected whsec_ and 24 to 64 bytes") as caught:
        load()

    assert "short" not in str(caught.value)
