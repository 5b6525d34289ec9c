"""Checks what only endpoints know: the queues, types and hosts that the body of a request names.

Each function does nothing where no key is required.
"""

from typing import cast

from starlette.types import Scope

from taskmill.domain.api_keys import ApiKey
from taskmill.domain.grants import Scope as KeyScope
from taskmill.domain.remote import LeaseRequest
from taskmill.operations.authorisation import authorise_draft, authorise_url, missing
from taskmill.runtime.http_scope import API_KEY

__all__ = ["authorise_draft", "authorise_lease", "authorise_url", "missing", "shown_key"]


def shown_key(scope: Scope) -> ApiKey | None:
    """Return the key that a request has shown, None where none is required."""
    return cast("ApiKey | None", scope.get(API_KEY))


def authorise_lease(key: ApiKey | None, wanted: LeaseRequest) -> None:
    """Check that a key may take tasks of all the queues and types that are wanted. Raises `ScopeMissing`."""
    if key is None:
        return
    for queue in sorted(wanted.queues) or (None,):
        for one in sorted(wanted.types) or (None,):
            if not key.permits(KeyScope.WORKER, queue=queue, type=one):
                raise missing(KeyScope.WORKER, queue, one)
