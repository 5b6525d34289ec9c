"""The users of RabbitMQ with the least rights that each role and each producer needs, as RabbitMQ's definitions.

RabbitMQ loads such a file when it starts (`load_definitions`), or with `rabbitmqctl import_definitions`. The
rights are regular expressions of names: what may be declared (configure), published to or bound (write), consumed
or bound to (read), https://www.rabbitmq.com/docs/access-control.
"""

import base64
import re
import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from taskmill.amqp.names import (
    CREATE_KEY,
    CREATE_QUEUE,
    EVENTS_EXCHANGE,
    EXCHANGE,
    HINTS,
    REJECTED_QUEUE,
)

ADMIN: Final = "taskmill"
"""The user that may do everything, on the pages of the management plugin, too."""

# As the exchange without a name is called in rights: it leads to every queue by its name.
_DEFAULT_EXCHANGE: Final = "amq.default"
_NOTHING: Final = "^$"
_EVERYTHING: Final = ".*"
_SALT_BYTES: Final = 4
_MOST_WAITING: Final = 1_000_000
_MOST_WAITING_BYTES: Final = 4 * 2**30


class Rights(NamedTuple):
    """What a user may declare, write to and read from."""

    configure: str
    write: str
    read: str


def _names(*names: str, below: str | None = None) -> str:
    """Return the expression of these names, and of all that begin with `below` and a dot."""
    listed = "|".join(re.escape(name) for name in names)
    return f"^({listed})$" if below is None else f"^({listed}|{re.escape(below)}\\..*)$"


ROLES: Final[Mapping[str, Rights]] = {
    ADMIN: Rights(_EVERYTHING, _EVERYTHING, _EVERYTHING),
    # It looks only whether they are there.
    "taskmill_api": Rights(_NOTHING, _NOTHING, _NOTHING),
    # Replies go to queues of producers.
    "taskmill_intake": Rights(
        _names(EXCHANGE, CREATE_QUEUE, REJECTED_QUEUE),
        _names(CREATE_QUEUE, _DEFAULT_EXCHANGE),
        _names(EXCHANGE, CREATE_QUEUE),
    ),
    "taskmill_relay": Rights(
        _names(HINTS, EVENTS_EXCHANGE), _names(HINTS, EVENTS_EXCHANGE), _NOTHING
    ),
    "taskmill_worker": Rights(
        _names(HINTS, below=HINTS), _names(HINTS, below=HINTS), _names(HINTS, below=HINTS)
    ),
}
"""The users of the roles, by name."""


def producer_rights(name: str) -> Rights:
    """Return the rights of a producer: creation messages, and queues for replies that begin with its name."""
    own = _names(name, below=name)
    return Rights(own, _names(EXCHANGE, name, below=name), own)


def definitions(vhost: str, passwords: Mapping[str, str]) -> dict[str, object]:
    """Return RabbitMQ's definitions of a virtual host and its users.

    Args:
        vhost: the name of the virtual host.
        passwords: by user. Those that are not in `ROLES` are producers.
    """
    rights = {user: ROLES.get(user) or producer_rights(user) for user in passwords}
    producers = [user for user in passwords if user not in ROLES]
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(user, password) for user, password in passwords.items()],
        "permissions": [
            {"user": user, "vhost": vhost, **r._asdict()} for user, r in rights.items()
        ],
        "topic_permissions": [_topics(user, vhost) for user in producers],
        "policies": [_bounded(vhost)],
    }


def _user(name: str, password: str) -> dict[str, object]:
    return {
        "name": name,
        "password_hash": _hashed(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": ["administrator"] if name == ADMIN else [],
        "limits": {},
    }


def _hashed(password: str) -> str:
    """Return the salted hash of a password, in RabbitMQ's form."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return base64.b64encode(salt + sha256(salt + password.encode()).digest()).decode()


def _topics(producer: str, vhost: str) -> dict[str, str]:
    return {
        "user": producer,
        "vhost": vhost,
        "exchange": EXCHANGE,
        "write": f"^{re.escape(CREATE_KEY)}$",
        "read": _NOTHING,
    }


def _bounded(vhost: str) -> dict[str, object]:
    """Return the policy by which a full queue of creation messages refuses more, so that producers notice."""
    return {
        "vhost": vhost,
        "name": "taskmill-intake",
        "pattern": _names(CREATE_QUEUE),
        "apply-to": "queues",
        "priority": 0,
        "definition": {
            "max-length": _MOST_WAITING,
            "max-length-bytes": _MOST_WAITING_BYTES,
            "overflow": "reject-publish",
        },
    }
