"""The layer that lets only requests pass whose API key grants what they do, where keys are required.

What depends on the body of a request is left to endpoints, which use `authorisation`. Pages are passed on:
the dashboard has sessions and rules of its own, and a cookie counts nowhere else.
"""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill.api import queries
from taskmill.api.access_rules import ADMIN_ONLY, ANY_KEY, Check, FoundRule, find_rule
from taskmill.api.authorisation import missing
from taskmill.api.refusals import ClientGone, error_response
from taskmill.domain.api_key_errors import NotAuthenticated, ScopeMissing
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.errors import (
    InvalidInput,
    LeaseNotFound,
    TaskmillError,
    TaskNotFound,
    Unavailable,
)
from taskmill.domain.grants import Scope as KeyScope
from taskmill.domain.schedule_errors import ScheduleNotFound
from taskmill.domain.visibility import Visibility
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.schedule_access import names_of
from taskmill.operations.service import TaskService
from taskmill.operations.visibility import limited_to
from taskmill.runtime.http_scope import ABORT, API_KEY, UNTIMED
from taskmill.runtime.offload import caller
from taskmill.storage import remote_leases
from taskmill.wire.fields import is_name

_BODY: Final = "http.response.body"
# Of these, the operations find out what may be seen and done, by the visibility of the request.
_LIMITED: Final = frozenset(
    {Check.VISIBLE, Check.REJECTION, Check.WORKER, Check.OWN, Check.CONTRACT}
)


class Authentication:
    """Wraps the app.

    `is_page` returns whether a path is the dashboard's, `may_serve` whether the framework may have something there
    for a method.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyVerifier,
        service: TaskService,
        *,
        is_page: Callable[[str], bool],
        may_serve: Callable[[str, str], bool],
    ) -> None:
        self._app = app
        self._keys = keys
        self._service = service
        self._is_page = is_page
        self._may_serve = may_serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if self._is_page(scope["path"]):
            await self._app(scope, receive, send)
            return
        found = self._find_rule(scope)
        visibility = None
        if found.rule.check is not Check.OPEN:
            try:
                send, visibility = await self._checked(found, scope, send)
            except TaskmillError as error:
                await error_response(error, scope["path"]).send(send)
                return
        with limited_to(visibility):
            await self._app(scope, receive, send)

    def _find_rule(self, scope: Scope) -> FoundRule:
        method, path = scope["method"], scope["path"]
        if (found := find_rule(method, path)) is not None:
            return found
        return FoundRule(ADMIN_ONLY if self._may_serve(method, path) else ANY_KEY)

    async def _checked(
        self, found: FoundRule, scope: Scope, send: Send
    ) -> tuple[Send, Visibility | None]:
        """Return the `send` of a request that may pass, and what limits it to some queues.

        Raises:
            NotAuthenticated: Its key is not valid.
            ScopeMissing: Its key does not grant what it needs.
            TaskNotFound, ScheduleNotFound, LeaseNotFound: Its key does not grant it for that one.
            Unavailable: The database is away.
        """
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(values) != 1:
            raise NotAuthenticated
        client = scope.get("client")
        host = client[0] if client else ""
        key = scope[API_KEY] = await self._keys.verify(values[0], host)
        if (current := caller.get()) is not None:
            current.key = key
        visibility = await self._require(found, key)
        return self._while_valid(scope, send, values[0], host), visibility

    async def _require(self, found: FoundRule, key: ApiKey) -> Visibility | None:
        (scope, check), parameter = found
        if check is Check.KEY:
            return None
        if not key.has(scope):
            raise ScopeMissing(scope)
        if check is Check.BODY or key.permits(scope):
            return None
        await self._require_for_some(scope, check, key, parameter)
        return Visibility(key=key, scopes=(scope,))

    async def _require_for_some(
        self, scope: KeyScope, check: Check, key: ApiKey, parameter: str
    ) -> None:
        """Check a key that does not grant the scope for everything."""
        if check in _LIMITED:
            return
        things = {
            Check.TASK: self._require_task,
            Check.LEASE: self._require_lease,
            Check.SCHEDULE: self._require_schedule,
        }
        if (require := things.get(check)) is not None:
            await require(key, scope, parameter)
        elif check is Check.TYPE:
            if not key.permits(scope, type=parameter):
                raise missing(scope, None, parameter)
        elif check is not Check.QUEUE:
            raise missing(scope, None)
        elif not key.permits(scope, queue=parameter):
            raise missing(scope, parameter)

    async def _require_task(self, key: ApiKey, scope: KeyScope, text: str) -> None:
        """Refuse a task of others like one that is not there."""
        number = queries.task_number(text)
        reading = self._service.reading
        try:
            task_id = queries.task_id(text) if number is None else await reading.find_id(number)
        except InvalidInput:
            return  # the endpoint refuses it, before anything else
        task = await reading.get(task_id)
        if not key.permits(scope, queue=task.queue, type=task.type):
            raise TaskNotFound(task_id if number is None else number)

    async def _require_schedule(self, key: ApiKey, scope: KeyScope, name: str) -> None:
        """Refuse a schedule of others like one that is not there."""
        if not is_name(name):
            return  # as above
        found = await names_of(self._service.database, name)
        if found is None or not key.permits(scope, queue=found.queue, type=found.type):
            raise ScheduleNotFound(name)

    async def _require_lease(self, key: ApiKey, scope: KeyScope, text: str) -> None:
        """Refuse a lease under which tasks of others run like one that is not there."""
        try:
            lease_id = queries.path_id(text, "a lease's id")
        except InvalidInput:
            return  # as above
        running = await remote_leases.find_of_lease(self._service.database, lease_id)
        if not all(key.permits(scope, queue=one.queue, type=one.type) for one in running):
            raise LeaseNotFound(lease_id)

    def _while_valid(self, scope: Scope, send: Send, authorization: bytes, host: str) -> Send:
        """Return a `send` that ends streams and long polls whose key has been revoked or has expired meanwhile."""

        async def checked(message: Message) -> None:
            if UNTIMED in scope and message["type"] == _BODY:
                try:
                    await self._keys.verify(authorization, host)
                except NotAuthenticated:
                    abort: Callable[[], None] | None = scope.get(ABORT)
                    if abort is not None:
                        abort()
                    raise ClientGone from None
                except Unavailable:
                    pass  # there is nothing to read meanwhile, either
            await send(message)

        return checked
