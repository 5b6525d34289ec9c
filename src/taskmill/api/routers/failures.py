"""Kinds of failures: list them, read one, and say what is to become of it."""

import struct
from hashlib import blake2s
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from taskmill.api import cursors, queries
from taskmill.api.context import Context
from taskmill.api.dependencies import InContext, refuse_query
from taskmill.api.listings import LARGEST_PAGE, whole_number
from taskmill.api.openapi import new_router, query_parameters, refusals
from taskmill.api.responses import RawResponse
from taskmill.domain.activity import Window
from taskmill.domain.error_kinds import KIND_ID_PATTERN, KIND_ID_WORDS, is_kind_id
from taskmill.domain.errors import InvalidInput
from taskmill.domain.failures import WINDOWS, KindFilter, KindOrder, KindPosition, KindState
from taskmill.wire import fields
from taskmill.wire.failures import FailureKindDetails, FailureKindList, failures_json, kind_json
from taskmill.wire.fields import Expected
from taskmill.wire.wording import describe

router = new_router("failures")

_NO_QUERY: Final = [Depends(refuse_query)]
_POSITION: Final = struct.Struct(">d8s")


async def _kind_id(
    id: Annotated[  # noqa: A002 - as in the path
        str,
        Path(
            description="the id of the kind",
            json_schema_extra={"pattern": KIND_ID_PATTERN},
            examples=["5d41402abc4b2a76"],
        ),
    ],
) -> str:
    if not is_kind_id(id):
        raise InvalidInput.at("path:id", KIND_ID_WORDS, describe(id, reveal=True))
    return id


KindId = Annotated[str, Depends(_kind_id)]


def _one_of_windows(text: object) -> object:
    if text in WINDOWS:
        return text
    raise ValueError("not a window of failures")


FailureWindow = Annotated[
    Window,
    BeforeValidator(_one_of_windows),
    Expected(f"one of {', '.join(WINDOWS)}", reveal=True),
    WithJsonSchema({"type": "string", "enum": list(WINDOWS)}),
]


# No schema of a response names it.
_Order = Annotated[
    KindOrder,
    Expected(f"one of {', '.join(KindOrder)}", reveal=True),
    WithJsonSchema({"type": "string", "enum": list(KindOrder)}),
]


class FailureQuery(BaseModel):
    """Which kinds of failures to list, in which order, and which part of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: FailureWindow = Field(
        default=Window.DAY,
        description="of what failed within this time, and since the beginning of its first step",
    )
    queue: fields.Slug | None = Field(default=None, description="only what failed in this queue")
    type: fields.Slug | None = Field(default=None, description="only what failed of this type")
    label: (
        Annotated[
            str,
            Field(pattern=r"^[^=]{1,63}=[\s\S]{0,255}$"),
            Expected(
                "key=value, the key of 1 to 63 characters, the value of at most 255", reveal=True
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="only kinds by which a task with this label, `key=value`, failed, of 2,000 such tasks. If so "
        "many have it that this takes more than half a second, of the newest 50 of each kind (see `is_sampled`); "
        "that is refused for a key for some queues",
    )
    text: (
        Annotated[
            str, Field(min_length=1, max_length=200), Expected("a text of 1 to 200 characters")
        ]
        | None
    ) = Field(
        default=None, description="only with this in the kind or its message, a to z in any case"
    )
    state: Annotated[KindState, Expected(f"one of {', '.join(KindState)}", reveal=True)] | None = (
        Field(default=None, description="only in this state; `open` includes what has come back")
    )
    order: _Order = Field(
        default=KindOrder.MOST,
        description="most failures first; or the kinds seen first (`newest`) or last (`latest`) most recently; or "
        "those of which most more failed in the second half of the window than in the first (`growing`)",
    )
    limit: Annotated[
        int,
        Field(ge=1, le=LARGEST_PAGE),
        BeforeValidator(whole_number),
        Expected(f"a whole number from 1 to {LARGEST_PAGE}", reveal=True),
    ] = Field(default=50, description="kinds on a page")
    cursor: Annotated[str, Expected("a cursor")] | None = Field(
        default=None, description="`next_cursor` of the page before"
    )

    def filter(self) -> KindFilter:
        """Return which kinds are wanted."""
        key, _, value = (self.label or "").partition("=")
        return KindFilter(
            window=self.window,
            queue=self.queue,
            type=self.type,
            label=None if self.label is None else (key, value),
            text=self.text,
            state=self.state,
        )


@router.get(
    "/failures",
    summary="List kinds of failures",
    response_model=FailureKindList,
    openapi_extra={"parameters": query_parameters(FailureQuery)},
    responses=refusals(400),
)
async def list_failures(request: Request, context: InContext) -> Response:
    """List the kinds of what failed for good: how often, of which types, since when, and the trend.

    They are counted when tasks fail, so no task is read. In each step of the window up to 500 pairs of kind and
    type are counted separately. Pages follow each other as long as little changes: a kind whose place in the order
    changes meanwhile may be left out, or come twice.
    """
    query = queries.read_query(request.scope, FailureQuery)
    wanted = query.filter()
    listing = _digest(wanted, query.order)
    after = None if query.cursor is None else _position(cursors.decode(query.cursor, listing))
    page = await context.service.failures.page(wanted, query.order, limit=query.limit, after=after)
    next_cursor = None
    if page.has_more:
        next_cursor = cursors.encode(_packed(page.items[-1].position), listing)
    return RawResponse(200, failures_json(page, next_cursor)).to_starlette()


class WindowQuery(BaseModel):
    """Over which time failures are counted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: FailureWindow = Field(default=Window.DAY, description="of what failed within this time")


@router.get(
    "/failures/{id}",
    summary="Read a kind of failures",
    response_model=FailureKindDetails,
    openapi_extra={"parameters": query_parameters(WindowQuery)},
    responses=refusals(400, 404),
)
async def get_failure(request: Request, context: InContext, id: KindId) -> Response:  # noqa: A002 - as in the path
    """Read a kind: its trend, and how many failed by queue and by type within the window."""
    window = queries.read_query(request.scope, WindowQuery).window
    return await _shown(context, id, window)


@router.post(
    "/failures/{id}/resolve",
    summary="Resolve a kind of failures",
    response_model=FailureKindDetails,
    responses=refusals(404),
    dependencies=_NO_QUERY,
)
async def resolve_failure(context: InContext, id: KindId) -> Response:  # noqa: A002 - as in the path
    """Note that a kind is resolved. If a task fails so afterwards, the kind has come back."""
    return await _decided(context, id, KindState.RESOLVED)


@router.post(
    "/failures/{id}/ignore",
    summary="Ignore a kind of failures",
    response_model=FailureKindDetails,
    responses=refusals(404),
    dependencies=_NO_QUERY,
)
async def ignore_failure(context: InContext, id: KindId) -> Response:  # noqa: A002 - as in the path
    """Note that a kind is to be ignored, whatever fails so. It is counted on, and not among the open ones."""
    return await _decided(context, id, KindState.IGNORED)


@router.post(
    "/failures/{id}/reopen",
    summary="Reopen a kind of failures",
    response_model=FailureKindDetails,
    responses=refusals(404),
    dependencies=_NO_QUERY,
)
async def reopen_failure(context: InContext, id: KindId) -> Response:  # noqa: A002 - as in the path
    """Note that a kind is neither resolved nor ignored."""
    return await _decided(context, id, KindState.OPEN)


async def _decided(context: Context, kind_id: str, state: KindState) -> Response:
    await context.service.failures.decide(kind_id, state)
    return await _shown(context, kind_id, Window.DAY)


async def _shown(context: Context, kind_id: str, window: Window) -> Response:
    found = await context.service.failures.get(kind_id, window)
    return RawResponse(200, kind_json(found)).to_starlette()


def _packed(position: KindPosition) -> UUID:
    """Pack a position into the size of an id, which cursors are made of."""
    return UUID(bytes=_POSITION.pack(position.value, bytes.fromhex(position.id)))


def _position(packed: UUID) -> KindPosition:
    value, kind_id = _POSITION.unpack(packed.bytes)
    return KindPosition(value=value, id=kind_id.hex())


def _digest(wanted: KindFilter, order: KindOrder) -> bytes:
    facts = ("failures", wanted, order)
    return blake2s(repr(facts).encode(), digest_size=cursors.DIGEST_BYTES).digest()
