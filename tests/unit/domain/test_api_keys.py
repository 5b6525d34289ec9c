"""API keys: their form, and when and where they are valid."""

import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from taskmill.domain.api_keys import (
    BASE62,
    SECRET_BYTES,
    SOON,
    ApiKey,
    ApiKeyDraft,
    KeyState,
    format_key,
    parse_key,
    secret_hash,
    without_secrets,
)
from taskmill.domain.grants import Grant, Scope
from tests.support.every import every

ID = "0123456789abcdEF"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
RANDOMNESS = bytes(range(SECRET_BYTES))
KEY = format_key("live", ID, RANDOMNESS)


def a_key(networks: tuple[str, ...] = (), **parts: datetime) -> ApiKey:
    draft = ApiKeyDraft(
        name="billing",
        grants=(Grant.parse("tasks:read queue=billing.*"),),
        networks=tuple(ip_network(network) for network in networks),
    )
    return ApiKey(id=ID, draft=draft, created_at=NOW, **parts)


def test_a_key_never_changes_its_form() -> None:
    """Scanners of secrets know it."""
    assert KEY == "tm_live_0123456789abcdEF_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf2shAt6"
    assert re.fullmatch(r"tm_[a-z][a-z0-9]{0,11}_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}", KEY)


@pytest.mark.parametrize("randomness", [RANDOMNESS, bytes(32), b"\xff" * 32])
def test_a_made_key_is_read_again(randomness: bytes) -> None:
    parsed = parse_key(format_key("test2", ID, randomness))
    assert parsed is not None
    assert parsed.id == ID
    assert len(parsed.secret) == 43


def test_different_randomness_makes_different_secrets() -> None:
    source = random.Random(7)  # noqa: S311 - a test that repeats itself
    keys = [parse_key(format_key("live", ID, source.randbytes(32))) for _ in range(1000)]
    assert len({key.secret for key in keys if key}) == 1000


@every("at", range(len(KEY)))
def test_a_typo_anywhere_is_recognised(at: int) -> None:
    for other in "0aZ_":
        if other != KEY[at]:
            assert parse_key(KEY[:at] + other + KEY[at + 1 :]) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tm_",
        KEY[:-1],
        KEY + "0",
        f" {KEY}",
        f"{KEY}\n",
        KEY.replace("0", "\uff10"),
        KEY * 100,
    ],
)
def test_what_has_not_the_form_is_none(text: str) -> None:
    assert parse_key(text) is None


def test_two_swapped_characters_are_recognised() -> None:
    for at in range(len(KEY) - 1):
        if KEY[at] != KEY[at + 1]:
            swapped = KEY[:at] + KEY[at + 1] + KEY[at] + KEY[at + 2 :]
            assert parse_key(swapped) is None


def test_what_was_presented_does_not_show_its_secret() -> None:
    parsed = parse_key(KEY)
    assert parsed is not None
    assert parsed.secret not in repr(parsed)
    assert ID in repr(parsed)


def test_the_hash_is_of_the_secret_alone() -> None:
    parsed = parse_key(KEY)
    elsewhere = parse_key(format_key("test", ID[::-1], RANDOMNESS))
    assert parsed is not None
    assert elsewhere is not None
    assert len(secret_hash(parsed.secret)) == 32
    assert secret_hash(parsed.secret) == secret_hash(elsewhere.secret)
    assert secret_hash(parsed.secret) != secret_hash(parsed.secret.swapcase())


def test_the_alphabet_has_62_characters() -> None:
    assert len(set(BASE62)) == len(BASE62) == 62


def test_a_key_is_live_until_it_expires_or_is_revoked() -> None:
    later = NOW + timedelta(seconds=1)
    assert a_key().state(NOW) is KeyState.LIVE
    assert a_key(expires_at=later).state(NOW) is KeyState.LIVE
    assert a_key(expires_at=NOW).state(NOW) is KeyState.EXPIRED
    assert a_key(revoked_at=NOW).state(NOW) is KeyState.REVOKED
    assert a_key(revoked_at=NOW, expires_at=NOW).state(later) is KeyState.REVOKED


def test_a_key_without_networks_is_valid_everywhere() -> None:
    assert a_key().allows_source("203.0.113.9")
    assert a_key().allows_source("")


def test_a_key_is_valid_in_its_networks_only() -> None:
    key = a_key(networks=("10.0.0.0/8", "2001:db8::/32", "192.0.2.7"))
    hosts = (
        "10.1.2.3",
        "::ffff:10.1.2.3",
        "2001:db8::1",
        "192.0.2.7",
        "192.0.2.8",
        "11.0.0.1",
        "fe80::1%eth0",
        "",
        "x",
    )
    assert [host for host in hosts if key.allows_source(host)] == [
        "10.1.2.3",
        "::ffff:10.1.2.3",
        "2001:db8::1",
        "192.0.2.7",
    ]


def test_a_key_permits_what_its_grants_permit() -> None:
    assert a_key().permits(Scope.TASKS_READ, queue="billing.eu")
    assert not a_key().permits(Scope.TASKS_READ)
    grants = (Grant.parse("worker type=a"),)
    key = ApiKey(id=ID, draft=ApiKeyDraft(name="workers", grants=grants), created_at=NOW)
    assert key.permits(Scope.WORKER, queue="mail", type="a")
    assert not key.permits(Scope.WORKER, queue="mail", type="b")


def test_a_key_permits_the_same_when_it_is_asked_for_more_names_than_it_remembers() -> None:
    key = a_key()
    for prefix, expected in (("billing", True), ("mail", False)) * 2:
        answers = {key.permits(Scope.TASKS_READ, queue=f"{prefix}.{n}") for n in range(2000)}
        assert answers == {expected}
    assert not key.permits(Scope.TASKS_OPERATE, queue="billing.1")
    other = replace(key, draft=replace(key.draft, grants=(Grant.parse("tasks:read queue=mail.*"),)))
    assert not other.permits(Scope.TASKS_READ, queue="billing.1")


def test_a_key_has_a_scope_that_it_grants_for_anything() -> None:
    assert a_key().has(Scope.TASKS_READ)
    assert not a_key().has(Scope.TASKS_CREATE)
    admin = ApiKeyDraft(name="admin", grants=(Grant.parse("metrics"), Grant.parse("admin")))
    assert ApiKey(id=ID, draft=admin, created_at=NOW).has(Scope.TASKS_CREATE)


def test_the_zone_of_an_address_is_of_no_importance() -> None:
    key = a_key(networks=("fe80::/10",))
    assert key.allows_source("fe80::1%eth0")
    assert not key.allows_source("fd00::1%eth0")


@pytest.mark.parametrize("text", [KEY, KEY[:-1], KEY[:-6], KEY[:26], KEY + "x", KEY[:-1] + "0"])
def test_the_secret_of_a_key_is_hidden_and_its_id_is_not(text: str) -> None:
    hidden = f"tm_live_{ID}_***"
    assert without_secrets(f"/tasks/{text}") == f"/tasks/{hidden}"
    assert without_secrets(f"a {KEY}/{text} b") == f"a {hidden}/{hidden} b"


@pytest.mark.parametrize(
    "text", ["/tasks/17", "tm_live", f"tm_live_{ID}", f"/queues/tm_{ID}_x", ""]
)
def test_what_is_no_key_is_shown_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


def test_what_a_key_makes_belongs_to_its_name() -> None:
    assert a_key().owner.name == "billing"
    assert a_key().owner.limits == ()


@pytest.mark.parametrize(
    ("parts", "is_soon"),
    [
        ({}, False),
        ({"expires_at": NOW + SOON}, True),
        ({"expires_at": NOW + SOON + timedelta(seconds=1)}, False),
        ({"expires_at": NOW}, False),
        ({"expires_at": NOW + SOON, "revoked_at": NOW}, False),
    ],
)
def test_a_live_key_ends_soon_within_two_weeks(parts: dict[str, Any], *, is_soon: bool) -> None:
    assert replace(a_key(), **parts).ends_soon(NOW) is is_soon
