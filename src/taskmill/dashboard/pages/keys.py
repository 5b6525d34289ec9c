"""The API keys: what each grants, when it was used last and when it ends. Commands make and revoke them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.pages import slices
from taskmill.dashboard.view import View
from taskmill.domain.api_keys import ApiKey, KeyState
from taskmill.operations.api_keys import all_keys

_ALL: Final = "all"
STATES: Final = (KeyState.LIVE, _ALL)
"""What is listed: live keys, or those that have ended, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A key, whether it is accepted now, whether that ends soon, and how many sessions of the dashboard it has."""

    key: ApiKey
    state: KeyState
    ends_soon: bool
    sessions: int


async def show_keys(view: View) -> Response:
    """Show those with the search text in their name or description."""
    text, state = slices.searched(view.query, "text"), first(view.query, "state") or KeyState.LIVE
    state = one_of(STATES, state, "query:state")
    keys, now = await all_keys(view.context.service.database), view.context.clock.now()
    found = [
        one for one in _matching(keys, text) if state == _ALL or one.state(now) is KeyState.LIVE
    ]
    part = slices.cut(found, view.query)
    return view.page(
        "keys.html",
        title=view.t("nav.keys"),
        part=part,
        rows=await _rows(view, part.items),
        there_are_some=bool(keys),
        is_required=view.context.sessions is not None,
        text=text,
        state=state,
        states=STATES,
    )


def _matching(keys: Iterable[ApiKey], text: str) -> Iterable[ApiKey]:
    wanted = text.lower()
    return (
        one
        for one in keys
        if wanted in one.draft.name.lower()
        or wanted in (one.draft.description or "").lower()
        or wanted == one.id.lower()
    )


async def _rows(view: View, keys: Sequence[ApiKey]) -> list[Row]:
    now, sessions, visitor = view.context.clock.now(), view.context.sessions, view.key
    begun: Counter[str] = Counter()
    if sessions is not None and visitor is not None:
        begun.update(one.key_id for one in await sessions.visible(visitor))
    return [
        Row(
            key=one,
            state=one.state(now),
            ends_soon=one.ends_soon(now),
            sessions=begun[one.id],
        )
        for one in keys
    ]


ROUTES = [("GET", "/ui/keys", show_keys)]
