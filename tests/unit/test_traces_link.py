"""Where traces are shown: an address in which the id of a trace has its place."""

from pathlib import Path

import pytest

from taskmill.domain.errors import ConfigurationError
from taskmill.settings import effective, load

NAME = "TASKMILL_TRACES__LINK"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "link",
    [
        "",
        "https://traces.example.org/trace/{trace_id}",
        "http://127.0.0.1:16686/trace/{trace_id}?uiEmbed=v0",
        "https://g.example.org/explore?left=[%22now%22,{trace_id}]",
    ],
)
def test_a_link_has_the_place_of_the_trace(link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, link)
    settings = load()
    assert settings.traces__link == link
    assert settings.traces == "off"
    [row] = [row for row in effective(settings) if row.name == NAME]
    assert (row.value, row.source) == (link, "environment" if link else "default")


@pytest.mark.parametrize(
    "link",
    [
        "https://traces.example.org/trace/",
        "javascript:alert('{trace_id}')",
        "{trace_id}",
        "https://{trace_id}",
        'https://traces.example.org/{trace_id}"><script>',
        "https:///{trace_id}",
    ],
)
def test_what_is_no_such_address_is_refused(link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, link)
    with pytest.raises(ConfigurationError, match=r"TASKMILL_TRACES__LINK.*expected https://"):
        load()


def test_traces_and_their_link_are_both_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMILL_TRACES", "otlp")
    monkeypatch.setenv(NAME, "https://traces.example.org/{trace_id}")
    assert (load().traces, load().traces__link != "") == ("otlp", True)
