"""What an API key may do: scopes, each for some queues, types or hosts. It checks nobody's key."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from taskmill.domain.errors import InvalidInput

ALL: Final = "*"
"""The pattern that every name matches."""

_MOST_PATTERNS: Final = 100
_LONGEST_SHOWN: Final = 60
_NAME: Final = re.compile(r"\*|[a-z0-9][a-z0-9._-]{0,62}\*?", re.ASCII)
_HOST: Final = re.compile(r"\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?", re.ASCII)


class Scope(StrEnum):
    """A right. Programs may rely on these names."""

    TASKS_CREATE = "tasks:create"
    TASKS_READ = "tasks:read"
    TASKS_READ_SECRET = "tasks:read-secret"  # noqa: S105 - a name
    TASKS_OPERATE = "tasks:operate"
    WORKER = "worker"
    TYPES = "types"
    WEBHOOKS = "webhooks"
    METRICS = "metrics"
    OUTBOUND = "outbound"
    ADMIN = "admin"


# What a scope can be limited to. The others are about the service as a whole.
_LIMITS: Final[Mapping[Scope, tuple[str, ...]]] = {
    Scope.TASKS_CREATE: ("queue", "type"),
    Scope.TASKS_READ: ("queue",),
    Scope.TASKS_READ_SECRET: ("queue",),
    Scope.TASKS_OPERATE: ("queue",),
    Scope.WORKER: ("queue", "type"),
    Scope.TYPES: ("queue", "type"),
    Scope.WEBHOOKS: ("queue",),
    Scope.OUTBOUND: ("host",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A scope, for the names that match one pattern of each list.

    A pattern is a name, the beginning of names (`billing.*`), or `*`. One of hosts is a host, all hosts below a
    domain (`*.example.org`), or `*`.
    """

    scope: Scope
    queues: tuple[str, ...] = (ALL,)
    types: tuple[str, ...] = (ALL,)
    hosts: tuple[str, ...] = (ALL,)

    @classmethod
    def parse(cls, text: str) -> "Grant":
        """Read `SCOPE` or `SCOPE queue=PATTERN,… type=PATTERN,… host=PATTERN,…`.

        Raises:
            InvalidInput: It is none. The message names the scopes, or what this one can be limited to.
        """
        words = text.split()
        scope = _scope(words[0] if words else "")
        limits: dict[str, tuple[str, ...]] = {}
        for word in words[1:]:
            name, _, patterns = word.partition("=")
            if name not in _LIMITS.get(scope, ()) or name in limits:
                raise InvalidInput.at("grant", _expected_limits(scope), _shown(word))
            limits[name] = _patterns(name, patterns)
        return cls(scope=scope, **{f"{name}s": patterns for name, patterns in limits.items()})

    def __str__(self) -> str:
        lists = (("queue", self.queues), ("type", self.types), ("host", self.hosts))
        limits = (f"{name}={','.join(patterns)}" for name, patterns in lists if ALL not in patterns)
        return " ".join((self.scope, *limits))


def permits(
    grants: Iterable[Grant],
    scope: Scope,
    *,
    queue: str | None = None,
    type: str | None = None,  # noqa: A002 - as everywhere
) -> bool:
    """Return whether the grants have a scope for a queue and a type; None stands for all of them."""
    for grant in grants:
        if grant.scope is Scope.ADMIN:
            return True
        if grant.scope is scope and _covers(grant.queues, queue) and _covers(grant.types, type):
            return True
    return False


def permits_type(grants: Iterable[Grant], scope: Scope, type: str | None) -> bool:  # noqa: A002 - as everywhere
    """Return whether the grants have a scope for a type, None for all types, in some queue."""
    for grant in grants:  # a loop, as in `permits`: it is there for every task
        if grant.scope is Scope.ADMIN or (grant.scope is scope and _covers(grant.types, type)):
            return True
    return False


def permits_queue(grants: Iterable[Grant], scope: Scope, queue: str) -> bool:
    """Return whether the grants have a scope for a queue and some type."""
    return any(
        grant.scope is Scope.ADMIN or (grant.scope is scope and _covers(grant.queues, queue))
        for grant in grants
    )


def permits_host(grants: Iterable[Grant], host: str) -> bool:
    """Return whether the grants let requests be sent to a host, given in lower case."""
    return any(
        grant.scope is Scope.ADMIN
        or (grant.scope is Scope.OUTBOUND and any(_is_below(host, one) for one in grant.hosts))
        for grant in grants
    )


# It is asked for every request, mostly the same.
@lru_cache(maxsize=4096)
def _covers(patterns: tuple[str, ...], name: str | None) -> bool:
    return ALL in patterns or (
        name is not None and any(_matches(name, pattern) for pattern in patterns)
    )


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith(ALL) else name == pattern


def _is_below(host: str, pattern: str) -> bool:
    if pattern.startswith("*"):
        return host.endswith(pattern[1:])
    return host == pattern


def _scope(text: str) -> Scope:
    try:
        return Scope(text)
    except ValueError:
        known = ", ".join(Scope)
        raise InvalidInput.at("grant", f"a scope ({known})", _shown(text)) from None


def _expected_limits(scope: Scope) -> str:
    known = [f"{name}=PATTERN" for name in _LIMITS.get(scope, ())]
    if not known:
        return f"{scope} alone: it can't be limited"
    return f"{scope} with {' or '.join(known)}, each at most once"


def _patterns(name: str, text: str) -> tuple[str, ...]:
    patterns = tuple(text.lower().split(",")) if name == "host" else tuple(text.split(","))
    if len(patterns) > _MOST_PATTERNS:
        raise InvalidInput.at("grant", f"{_MOST_PATTERNS} patterns at most", str(len(patterns)))
    for pattern in patterns:
        if not (_is_host_pattern(pattern) if name == "host" else _NAME.fullmatch(pattern)):
            form = "*.example.org" if name == "host" else "billing.*"
            raise InvalidInput.at(
                "grant", f"{name}= with names, or patterns such as {form}", _shown(pattern)
            )
    return patterns


def _is_host_pattern(text: str) -> bool:
    if _HOST.fullmatch(text):
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    return repr(text[:_LONGEST_SHOWN]) if text else "nothing"
