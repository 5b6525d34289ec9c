"""Who visits a page: by the cookie of a session, or by an API key in the `Authorization` header.

A cookie counts for pages only, never for the JSON API. Where no keys are required, everybody may do everything.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from starlette.requests import Request
from starlette.responses import Response

from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.page_rules import Need, PageRule
from taskmill.domain.api_key_errors import NotAuthenticated, ScopeMissing
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.errors import TaskNotFound
from taskmill.domain.grants import Scope
from taskmill.domain.schedule_errors import ScheduleNotFound
from taskmill.domain.sessions import LONGEST
from taskmill.domain.visibility import Visibility
from taskmill.operations.authorisation import missing
from taskmill.operations.schedule_access import names_of
from taskmill.operations.service import TaskService
from taskmill.operations.sessions import Sessions, VerifiedSession
from taskmill.runtime.offload import caller
from taskmill.wire.fields import is_name

SECURE_COOKIE: Final = "__Host-taskmill"
"""The cookie over https: browsers take it only from there, and from this host."""
PLAIN_COOKIE: Final = "taskmill_session"
"""The cookie over http, where browsers refuse the prefix of the other one."""

_SCHEME: Final = "bearer "


def host_of(request: Request) -> str:
    """Return the address of the visitor."""
    return request.client.host if request.client else ""


async def session_of(sessions: Sessions, request: Request) -> VerifiedSession:
    """Return the session of a request's cookie. Raises `NotAuthenticated` when it has none."""
    token = request.cookies.get(_cookie(request), "")
    return await sessions.verify(token, host_of(request))


async def visit(sessions: Sessions, request: Request) -> ApiKey:
    """Return the key of a request: the one it shows, else that of its session. Actions are recorded as its own.

    Raises:
        NotAuthenticated: It has none that is valid.
        Unavailable: The database is away.
    """
    sent = request.headers.getlist("authorization")
    if any(value.lower().startswith(_SCHEME) for value in sent):
        if len(sent) != 1:
            raise NotAuthenticated
        session_id, key = (
            None,
            await sessions.keys.verify(sent[0].encode("latin-1"), host_of(request)),
        )
    else:
        session_id, key = await session_of(sessions, request)
    if (current := caller.get()) is not None:
        current.key = key
        current.session = None if session_id is None else str(session_id)
    return key


async def require(
    service: TaskService, key: ApiKey, rule: PageRule, path: Mapping[str, str]
) -> Visibility | None:
    """Check that a key grants what a rule needs for an address with these parameters; return what limits it.

    Raises:
        ScopeMissing: It does not.
        TaskNotFound, ScheduleNotFound: There is no such task, or schedule, that it may read.
        InvalidInput: The address has no task's id.
        Unavailable: The database is away.
    """
    if rule.need in {Need.NOTHING, Need.SESSION}:
        return None
    reads_all = key.permits(Scope.TASKS_READ)
    if not (reads_all or (rule.need in _OF_SOME and key.has(Scope.TASKS_READ))):
        raise missing(Scope.TASKS_READ, None)
    if not key.has(rule.scope):
        raise ScopeMissing(rule.scope)
    if reads_all and key.permits(rule.scope):
        return None
    await _require_for_some(service, key, rule, path)
    if rule.need is Need.SOME:
        return None if reads_all else Visibility(key=key, scopes=(Scope.TASKS_READ,))
    return Visibility(key=key, scopes=tuple(dict.fromkeys((Scope.TASKS_READ, rule.scope))))


# Of these, the operations find out what may be seen and done, by the visibility of the request.
_LIMITED: Final = frozenset(
    {Need.VISIBLE, Need.OWN, Need.REJECTION, Need.WORKER, Need.WHOLE_WORKER}
)
_OF_SOME: Final = _LIMITED | {Need.QUEUE, Need.TASK, Need.SCHEDULE, Need.SOME}


async def _require_for_some(
    service: TaskService, key: ApiKey, rule: PageRule, path: Mapping[str, str]
) -> None:
    """Check a key that grants reading, or the rule's scope, for some queues only."""
    match rule.need:
        case Need.ALL:
            raise missing(rule.scope, None)
        case Need.QUEUE:
            _require_in(key, rule.scope, path["name"])
        case Need.TASK:
            task_id = parse_id(path["id"], "path:id")
            task = await service.reading.get(task_id)
            if not key.permits(Scope.TASKS_READ, queue=task.queue):
                raise TaskNotFound(task_id)
            _require_in(key, rule.scope, task.queue)
        case Need.SCHEDULE:
            await _require_schedule(service, key, rule.scope, path["name"])
        case Need.NOTHING | Need.SESSION | Need.SOME | Need.VISIBLE:
            return
        case Need.OWN | Need.REJECTION | Need.WORKER | Need.WHOLE_WORKER:
            return
        case _:
            assert_never(rule.need)


async def _require_schedule(service: TaskService, key: ApiKey, wanted: Scope, name: str) -> None:
    """Refuse a schedule that may not be read like one that is not there."""
    found = await names_of(service.database, name) if is_name(name) else None
    if found is None or not key.permits(Scope.TASKS_READ, queue=found.queue):
        raise ScheduleNotFound(name)
    if not key.permits(wanted, queue=found.queue, type=found.type):
        raise missing(wanted, found.queue, found.type)


def _require_in(key: ApiKey, wanted: Scope, queue: str) -> None:
    for scope in (Scope.TASKS_READ, wanted):
        if not key.permits(scope, queue=queue):
            raise missing(scope, queue)


def set_cookie(request: Request, response: Response, token: str) -> None:
    """Have the visitor's browser keep the token of a session, until that ends at the latest."""
    response.set_cookie(
        _cookie(request),
        token,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )


def drop_cookie(request: Request, response: Response) -> None:
    """Have the visitor's browser forget the token."""
    response.delete_cookie(
        _cookie(request), path="/", secure=_is_secure(request), httponly=True, samesite="strict"
    )


def _cookie(request: Request) -> str:
    return SECURE_COOKIE if _is_secure(request) else PLAIN_COOKIE


def _is_secure(request: Request) -> bool:
    # The scheme of the scope: what trusted proxies say, never a header that anybody sends.
    return bool(request.scope["scheme"] == "https")
