"""Types and their contracts: what payloads have to look like, at every entry point."""

from functools import partial
from typing import Final

from fastapi import Depends, Request, Response

from taskmill.api.dependencies import InContext, TypeName, refuse_query, validated_body
from taskmill.api.openapi import json_body, new_router, refusals
from taskmill.api.responses import RawResponse
from taskmill.wire.types import (
    ContractChange,
    TypeList,
    TypeView,
    to_contract,
    type_json,
    types_json,
)

router = new_router("types", dependencies=[Depends(refuse_query)])

_BY: Final = "rest"


@router.get(
    "/types",
    summary="List types that have a contract",
    response_model=TypeList,
    responses=refusals(),
)
async def list_types(context: InContext) -> Response:
    """List the types that have a contract, by name: the current version, and how many workers run them."""
    return RawResponse(200, types_json(await context.service.contracts.all())).to_starlette()


@router.get(
    "/types/{name}",
    summary="Read a type's contract",
    response_model=TypeView,
    responses=refusals(404),
)
async def get_type(context: InContext, name: TypeName) -> Response:
    """Read the contract of a type, with its earlier versions."""
    return RawResponse(200, type_json(await context.service.contracts.get(name))).to_starlette()


@router.put(
    "/types/{name}",
    summary="Register a type's contract",
    openapi_extra={"requestBody": json_body(ContractChange)},
    response_model=TypeView,
    response_description="It holds",
    responses=refusals(has_body=True),
)
async def register_type(request: Request, context: InContext, name: TypeName) -> Response:
    """Have every entry point refuse payloads of this type that do not fit the schema.

    A contract that is new for the type gets a new version; an earlier one becomes current again. Tasks that wait
    already are run all the same. A schema that not all entry points can check alike is refused, with the keyword
    and its place.
    """
    contract = await validated_body(request, partial(to_contract, name))
    found = await context.service.contracts.register(contract, by=_BY)
    return RawResponse(200, type_json(found)).to_starlette()


@router.delete(
    "/types/{name}",
    status_code=204,
    summary="Drop a type's contract",
    response_class=Response,
    response_description="The type takes any payload again",
    responses=refusals(404),
)
async def drop_type(context: InContext, name: TypeName) -> Response:
    """Free a type from its contract, until a worker that has one starts, or somebody registers it again."""
    await context.service.contracts.drop(name)
    return Response(status_code=204)
