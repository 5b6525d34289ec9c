"""One request to a page, as endpoints see it, and the ways to respond."""

import gzip
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from markupsafe import Markup
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from taskmill.dashboard import assets, rendering
from taskmill.dashboard.commands import with_buttons
from taskmill.dashboard.context import Context
from taskmill.dashboard.form import parse_pairs
from taskmill.dashboard.guard import SAFE_METHODS
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.menu_counts import menu_counts
from taskmill.dashboard.navigation import NavigationEntry, entry_of
from taskmill.dashboard.own_paths import BELOW, ROOT
from taskmill.dashboard.preferences import Preferences
from taskmill.dashboard.texts import text
from taskmill.dashboard.visitors import visit
from taskmill.dashboard.window_pairs import carried
from taskmill.dashboard.wording import Words
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.attention import Attention
from taskmill.domain.contracts import ContractVersion
from taskmill.domain.errors import TooLarge, Unavailable
from taskmill.domain.fires import ScheduleContent
from taskmill.domain.grants import Scope
from taskmill.domain.system import WorkerState
from taskmill.domain.task import Task
from taskmill.runtime.body_memory import count_body_bytes
from taskmill.runtime.http_scope import API_KEY
from taskmill.runtime.offload import Offload
from taskmill.wire.attention import verdict
from taskmill.wire.masking import ShownTask

Pairs = list[tuple[str, str]]

_SHORT_FORM_BYTES: Final = 8192
_LEAST_ZIPPED: Final = 1000
_ZIP_LEVEL: Final = 4
# A weight of 0 means that the reader does not accept it.
_GZIP: Final = re.compile(r"\s*(gzip|\*)\s*(;\s*q=(?!0(\.0*)?\s*$).*)?", re.IGNORECASE)
_HTML: Final = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class View:
    """A request, the context of the pages, and the reader's preferences."""

    request: Request
    context: Context
    preferences: Preferences
    attention: Attention | None = None
    """What needs attention; None where that is not shown, or not known."""

    @property
    def wants_fragment(self) -> bool:
        """Whether htmx requests a part of the page, to put it into the existing one."""
        headers = self.request.headers
        return "hx-request" in headers and "hx-history-restore-request" not in headers

    @property
    def is_safe(self) -> bool:
        """Whether the request only reads."""
        return self.request.method in SAFE_METHODS

    @property
    def here(self) -> str:
        """The address of this page; in the response to a form, that of the form's page."""
        scope = self.request.scope
        if self.is_safe:
            query = scope["query_string"].decode("latin-1")
            return self.href(quote(scope["path"])) + (f"?{query}" if query else "")
        before = urlsplit(self.request.headers.get("referer", ""))
        own = before.path.removeprefix(self.context.prefix)
        is_ours = own == ROOT or own.startswith(BELOW)
        return (
            self.href(own) + (f"?{before.query}" if before.query else "")
            if is_ours
            else self.href("/")
        )

    @property
    def key(self) -> ApiKey | None:
        """The key of the visitor; None where none is required, or none was shown."""
        found: ApiKey | None = self.request.scope.get(API_KEY)
        return found

    def may(self, scope: str, queue: str | None = None) -> bool:
        """Return whether the visitor may do what a scope is for: in a queue, else in all of them.

        Tasks can be created by whoever may do so in any queue.
        """
        if self.context.sessions is None:
            return True
        wanted, key = Scope(scope), self.key
        if wanted is Scope.TASKS_CREATE:
            return self.may_some(wanted)
        return key is not None and all(
            key.permits(one, queue=queue) for one in (Scope.TASKS_READ, wanted)
        )

    def may_some(self, scope: str) -> bool:
        """Return whether the visitor may read, and do what a scope is for, in some queue at least."""
        if self.context.sessions is None:
            return True
        key = self.key
        return key is not None and key.has(Scope.TASKS_READ) and key.has(Scope(scope))

    def may_schedule(self, scope: str, content: ScheduleContent) -> bool:
        """Return whether the visitor may do what a scope is for with a schedule: by its queue and its type."""
        if self.context.sessions is None:
            return True
        key = self.key
        return (
            key is not None
            and key.permits(Scope.TASKS_READ, queue=content.queue)
            and key.permits(Scope(scope), queue=content.queue, type=content.type)
        )

    def may_see_contract(self, name: str, version: ContractVersion) -> bool:
        """Return whether the visitor may see a version of a type's contract: by its type and its default queue."""
        if self.context.sessions is None:
            return True
        key = self.key
        return key is not None and key.permits(Scope.TYPES, queue=version.queue, type=name)

    def may_request(self, worker: WorkerState) -> bool:
        """Return whether the visitor may ask a worker for something: it concerns all of its queues."""
        if self.may(Scope.TASKS_OPERATE):
            return True
        queues = () if worker.is_shared else worker.queues
        return bool(queues) and all(self.may(Scope.TASKS_OPERATE, queue) for queue in queues)

    def may_open(self, entry: NavigationEntry) -> bool:
        """Return whether the visitor may open a page of the navigation."""
        return self.may(entry.scope) or (entry.is_of_some and self.may_some(entry.scope))

    def may_follow(self, address: str) -> bool:
        """Return whether the visitor may open the page at an address, by what is in the navigation."""
        entry = entry_of(address.partition("?")[0])
        return entry is None or self.may_open(entry)

    async def show(self, task: Task) -> ShownTask:
        """Return a task as the visitor may see it: secret values are masked without a key that has the scope."""
        return await self.context.service.masking.show(self.key, task, is_page=True)

    async def check_again(self) -> None:
        """Check that the visitor's session has not ended meanwhile. Raises `NotAuthenticated`."""
        if self.context.sessions is not None:
            # Without the database there is nothing to read meanwhile, either.
            with suppress(Unavailable):
                await visit(self.context.sessions, self.request)

    @property
    def query(self) -> Pairs:
        """The query, in order. Raises `InvalidInput` when it can't be read."""
        return parse_pairs(self.request.scope["query_string"])

    @property
    def id(self) -> UUID:
        """The id in the address. Raises `InvalidInput` when it is none."""
        return parse_id(self.request.path_params["id"], "path:id")

    async def form(self, most_bytes: int = _SHORT_FORM_BYTES) -> Pairs:
        """Read the body as a form's. Raises `InvalidInput`, and `TooLarge` beyond so many bytes."""
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > most_bytes:
                raise TooLarge(most_bytes)
            count_body_bytes(self.request.scope, len(chunk))
        return await self.offload.run_if_large(len(body), partial(parse_pairs, bytes(body)))

    @property
    def offload(self) -> Offload:
        """Parses and renders what is large, off the event loop."""
        return self.context.service.offload

    def t(self, key: str, **values: object) -> str:
        """Return a text in the reader's language."""
        return text(self.preferences.language, key, values)

    @property
    def words(self) -> Words:
        """Formats values in the reader's language, at this moment."""
        return Words(self.preferences.language, self.context.clock.now())

    def href(self, path: str, pairs: Iterable[tuple[str, object]] = ()) -> str:
        """Return the address of a path of this service, as browsers reach it."""
        query = urlencode([(name, str(value)) for name, value in pairs])
        return self.context.prefix + path + (f"?{query}" if query else "")

    @property
    def base(self) -> str:
        """The address of this service, as the reader's browser has it; it is shown, and nothing depends on it."""
        url = self.request.url
        # Only a proxy that terminates TLS knows the scheme.
        outer = self.request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
        scheme = outer if outer in {"http", "https"} else url.scheme
        return f"{scheme}://{url.netloc}{self.context.prefix}"

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:  # noqa: ANN401 - whatever a template shows
        """Render a page; for htmx only its block `live`. One with an error, or not `is_live`, is not refreshed."""
        given = {**self._shared(), "is_live": status == HTTPStatus.OK, **values}
        if not self.wants_fragment:
            return self._html(rendering.render(template, given, None), status)
        live = rendering.render(template, given, "live")
        # What is outside of the block, and follows what needs attention.
        frame = rendering.render("frame.html", given, None) if self.attention else ""
        return self._html(live + frame, status)

    def fragment(self, template: str, *, status: int = 200, **values: Any) -> Response:  # noqa: ANN401 - whatever a template shows
        """Render a template that is only a part of a page."""
        return self._html(rendering.render(template, self._shared() | values, None), status)

    def rendered(self, template: str, **values: Any) -> str:  # noqa: ANN401 - whatever a template shows
        """Render a template that is only a part of a page, for what sends it otherwise."""
        return rendering.render(template, self._shared() | values, None)

    def redirect(self, path: str, pairs: Iterable[tuple[str, object]] = ()) -> Response:
        """Redirect, by GET."""
        address = self.href(path, pairs)
        if self.wants_fragment:
            return Response(status_code=204, headers={"hx-redirect": address})
        return Response(status_code=303, headers={"location": address})

    @property
    def carried(self) -> Pairs:
        """The parameters of the page's time window, which others take over."""
        scope = self.request.scope
        return carried(scope["path"], scope["query_string"], self.context.clock.now())

    def _shared(self) -> dict[str, Any]:
        """Return the values of every template."""
        return {
            "t": lambda key, **given: Markup.escape(self.t(key, **given)),
            "with_buttons": partial(with_buttons, self.t, self.href),
            "words": self.words,
            "href": self.href,
            "asset": lambda path: self.href(f"/ui/static/{assets.digest()}/{path}"),
            "language": self.preferences.language,
            "theme": self.preferences.theme,
            "path": self.request.scope["path"],
            "prefix": self.context.prefix,
            "carried": self.carried,
            "here": self.here,
            "base": self.base,
            "may": self.may,
            "may_follow": self.may_follow,
            "may_open": self.may_open,
            "may_request": self.may_request,
            "may_schedule": self.may_schedule,
            "may_some": self.may_some,
            "things": 0 if self.attention is None else self.attention.count,
            "verdict": "well" if self.attention is None else verdict(self.attention),
            "menu_counts": menu_counts(self.attention),
            "visitor": None if self.key is None else self.key.draft.name,
            # Links to the JSON API lead to a 401 where it needs a key: cookies count for pages only.
            "has_api_links": self.context.sessions is None,
        }

    def _html(self, html: str, status: int) -> Response:
        body, headers = html.encode(), {"vary": "Accept-Encoding, HX-Request"}
        if len(body) >= _LEAST_ZIPPED and accepts_gzip(self.request.headers):
            body, headers = gzip.compress(body, _ZIP_LEVEL), headers | {"content-encoding": "gzip"}
        headers["cache-control"] = "no-store"
        return Response(body, int(status), headers, media_type=_HTML)


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Return whether the reader accepts compression."""
    return any(map(_GZIP.fullmatch, headers.get("accept-encoding", "").split(",")))


__all__ = ["ClientDisconnect", "Pairs", "View", "accepts_gzip"]
