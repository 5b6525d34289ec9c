"""What the profiles of the Compose file add, and that nothing of it starts without them."""

from typing import Final

import pytest

from taskmill import settings as configuration
from tests.contract.test_containers import ROOT, SERVICES, compose

PROFILES: Final = {name: one.get("profiles", []) for name, one in SERVICES.items()}
SECOND: Final = sorted(name for name in SERVICES if name.startswith("second-"))
PROXY: Final = (ROOT / "deploy/haproxy/haproxy.cfg").read_text(encoding="utf-8")


def test_without_a_profile_everything_starts_as_ever() -> None:
    assert {name for name, profiles in PROFILES.items() if not profiles} == {
        "postgres",
        "rabbitmq",
        "broker-users",
        "migrate",
        "api",
        "worker",
        "relay",
        "intake",
        "webhooks",
        "maintenance",
    }


def test_the_profiles_add_a_second_of_each_role_and_monitoring() -> None:
    def added(profile: str) -> set[str]:
        return {name for name, profiles in PROFILES.items() if profiles == [profile]}

    assert added("ha") == {"proxy", *SECOND}
    assert added("observability") == {"prometheus", "grafana"}
    # Of workers there are two in any case.
    roles = {name for name, one in SERVICES.items() if one.get("command", "")[:1] == ["run"]}
    assert {name.removeprefix("second-") for name in roles} == {*roles} - set(SECOND)
    assert len(SECOND) == len(roles - set(SECOND)) - 1


@pytest.mark.parametrize("name", SECOND)
def test_the_second_of_a_role_differs_in_its_name_and_ports_only(name: str) -> None:
    first = dict(SERVICES[name.removeprefix("second-")])
    second = dict(SERVICES[name])
    assert second.pop("profiles") == ["ha"]
    assert second.pop("networks") == {"default": {"aliases": [name.removeprefix("second-")]}}
    assert not second.pop("ports", [])
    first.pop("ports", None)
    assert second == first


def test_the_proxy_sends_requests_to_both_apis_while_they_are_ready() -> None:
    settings = SERVICES["api"]["environment"]
    assert f"server-template api 2 api:{settings['TASKMILL_API__PORT']}\n" in PROXY
    assert "http-check send meth GET uri /readyz\n" in PROXY
    [mounted] = SERVICES["proxy"]["volumes"]
    assert mounted.split(":")[0] == "./deploy/haproxy/haproxy.cfg"
    [port] = SERVICES["proxy"]["ports"]
    assert f"bind :{port.rpartition(':')[2]}\n" in PROXY


def seconds_of(timeout: str) -> int:
    return int(PROXY.partition(f"timeout {timeout} ")[2].partition("s\n")[0])


def test_the_proxy_waits_longer_than_a_request_is_held() -> None:
    settings = configuration.Settings.model_construct()
    held = max(settings.feed.wait_s, settings.pull.wait_s, settings.feed.heartbeat_s)
    assert seconds_of("server") > held
    assert seconds_of("client") > held


def test_an_api_that_is_only_slow_is_not_taken_for_dead() -> None:
    """Both would be, when the machine has much to do; what does not listen is noticed at once nevertheless."""
    # /readyz takes up to 5 s to say that the database is away.
    assert seconds_of("check") > 5


def test_what_a_client_says_about_its_address_is_not_passed_on() -> None:
    assert "http-request del-header Forwarded\n" in PROXY
    assert "http-request set-header X-Forwarded-For %[src]\n" in PROXY


def test_grafana_does_not_start_with_a_password_that_everybody_knows() -> None:
    grafana = SERVICES["grafana"]
    assert not grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    assert 'test -n "$$GF_SECURITY_ADMIN_PASSWORD" || ' in grafana["entrypoint"][-1]
    made = compose(GRAFANA_PASSWORD="made")["services"]["grafana"]["environment"]  # noqa: S106 - no secret
    assert made["GF_SECURITY_ADMIN_PASSWORD"] == "made"  # noqa: S105 - no secret
    assert "GRAFANA_PASSWORD" in (ROOT / "deploy/make-secrets").read_text(encoding="utf-8")


def test_grafana_asks_nobody_on_the_internet() -> None:
    environment = SERVICES["grafana"]["environment"]
    for name in (
        "ANALYTICS_REPORTING_ENABLED",
        "ANALYTICS_CHECK_FOR_UPDATES",
        "ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
        "NEWS_NEWS_FEED_ENABLED",
    ):
        assert environment[f"GF_{name}"] == "false"
    assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
