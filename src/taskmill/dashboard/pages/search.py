"""One search for everything: the page of its results, the same for the dialog of every page, and what goes on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.navigation import NAVIGATION, NavigationEntry
from taskmill.dashboard.pages.offers import may_know_type
from taskmill.dashboard.view import Pairs, View
from taskmill.domain import identity
from taskmill.domain.errors import InvalidInput
from taskmill.domain.quick_search import LONGEST_TEXT, MatchBy, SearchText, TaskMatches
from taskmill.operations.quick_search import MOST
from taskmill.wire.wording import describe

_MOST_PAGES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """The query that searches further, and the time of the oldest task that has been looked at."""

    query: Pairs
    until: datetime


async def show_search(view: View) -> Response:
    """Show what was found; for the dialog without the page around it."""
    sought = _sought(view.query)
    context = view.context
    contract_types = [one for one in context.service.contracts.by_type if may_know_type(view, one)]
    result = await context.quick_search.find(sought, contract_types)
    values: dict[str, Any] = {
        "sought": sought,
        "result": result,
        "pages": _pages(view, sought.text),
        "more": {one.by: _more(sought, one, MOST) for one in result.tasks},
        "filters_of": _filters_of,
    }
    if view.wants_fragment:
        return view.fragment("search_results.html", **values)
    return view.page("search.html", title=view.t("search.title"), is_live=False, **values)


async def show_more(view: View) -> Response:
    """Search further for tasks, and show what was found, and how to go on."""
    sought = _sought(view.query)
    by = MatchBy(one_of(MatchBy, first(view.query, "by"), "query:by"))
    if by not in sought.ways:
        raise InvalidInput.at("query:by", "a way that fits the text", by)
    after, left = parse_id(first(view.query, "after"), "query:after"), _left(view.query)
    matches = await view.context.quick_search.go_on(sought, by, after, left)
    return view.fragment(
        "search_more.html", tasks=matches.page.items, more=_more(sought, matches, left)
    )


def _sought(query: Pairs) -> SearchText:
    text = first(query, "q")
    if len(text) > LONGEST_TEXT:
        raise InvalidInput.at("query:q", f"at most {LONGEST_TEXT} characters", f"{len(text)}")
    return SearchText.of(text)


def _left(query: Pairs) -> int:
    text = first(query, "left")
    if text not in map(str, range(1, MOST + 1)):
        raise InvalidInput.at("query:left", f"1 to {MOST}", describe(text, reveal=True))
    return int(text)


def _more(sought: SearchText, matches: TaskMatches, wanted: int) -> More | None:
    """Return how to search further; None when there is nothing more, or enough was found."""
    page = matches.page
    left = wanted - len(page.items)
    if page.next_after is None or not left:
        return None
    position = [("after", str(page.next_after)), ("left", str(left))]
    return More(
        query=[("q", sought.text), ("by", matches.by), *position],
        until=identity.created_at(page.next_after),
    )


def _filters_of(sought: SearchText, by: MatchBy) -> Pairs | None:
    """Return the query of the list of all these tasks; None where there is none."""
    if by is MatchBy.ID_END:
        return None
    return [(by, sought.text)]


def _pages(view: View, text: str) -> list[NavigationEntry]:
    """Return the first pages with the text in their title that the visitor may open."""
    found = [
        one
        for one in NAVIGATION
        if text and view.may_open(one) and text.lower() in view.t(f"nav.{one.name}").lower()
    ]
    return found[:_MOST_PAGES]


ROUTES = [
    ("GET", "/ui/search", show_search),
    ("GET", "/ui/search/tasks", show_more),
]
