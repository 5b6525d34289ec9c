"""Whether API keys are required: by where the API listens, unless a setting decides."""

import pytest

from taskmill.composition import run_roles
from taskmill.domain.errors import ConfigurationError
from taskmill.settings import Settings
from taskmill.settings.auth import check_auth, is_open_to_all, requires_keys

LOOPBACK = ("127.0.0.1", "127.8.9.10", "::1", "localhost", "LOCALHOST")
ELSEWHERE = ("0.0.0.0", "::", "10.0.0.11", "fd00::1", "tasks.example.org", "localhost.example", "")  # noqa: S104 - not bound


def listening(host: str, **others: object) -> Settings:
    return Settings.model_validate({"api": {"host": host}, **others})


@pytest.mark.parametrize("host", LOOPBACK)
def test_on_loopback_no_keys_are_required(host: str) -> None:
    assert not requires_keys(listening(host))
    assert not requires_keys(listening(host, auth="off"))
    assert requires_keys(listening(host, auth="required"))
    assert not is_open_to_all(listening(host, auth="off"))
    check_auth(listening(host, auth="off"))


@pytest.mark.parametrize("host", ELSEWHERE)
def test_keys_are_required_by_where_the_api_listens(host: str) -> None:
    assert requires_keys(listening(host))
    assert requires_keys(listening(host, auth="required"))
    assert not is_open_to_all(listening(host))
    assert is_open_to_all(listening(host, auth="off"))
    check_auth(listening(host))


@pytest.mark.parametrize("host", ELSEWHERE)
def test_an_open_api_has_to_be_meant(host: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_auth(listening(host, auth="off"))
    for way_out in (
        host or "all addresses",
        "Leave TASKMILL_AUTH unset",
        "taskmill key create",
        "127.0.0.1",
        "TASKMILL_API__OPEN_TO_ALL=true",
    ):
        assert way_out in str(raised.value)
    settings = Settings(auth="off", api={"host": host, "open_to_all": True})
    check_auth(settings)
    assert not requires_keys(settings)


def test_a_setting_alone_opens_nothing() -> None:
    assert requires_keys(Settings(api={"host": "10.0.0.11", "open_to_all": True}))


def test_nothing_starts_an_api_that_is_open_by_mistake() -> None:
    settings = listening("10.0.0.11", auth="off", database_url="postgresql://nowhere.test/a")
    with pytest.raises(ConfigurationError, match="whoever reaches it could do everything"):
        run_roles(settings, ["api"])
