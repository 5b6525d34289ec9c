"""Leases: workers in any language pull tasks, renew, and hand back."""

from fastapi import Depends, Request, Response

from taskmill.api import pulling
from taskmill.api.authorisation import authorise_lease, shown_key
from taskmill.api.dependencies import InContext, LeaseId, SmallJsonBody, refuse_query
from taskmill.api.openapi import json_body, new_router, refusals
from taskmill.api.responses import RawResponse
from taskmill.wire.leases import (
    LeaseView,
    RenewedLeaseView,
    RenewLease,
    ReturnedLeaseView,
    TakeLease,
    lease_json,
    renewed_json,
    returned_json,
    to_lease_request,
    to_renewal,
)

router = new_router("leases", dependencies=[Depends(refuse_query)])


@router.post(
    "/leases",
    status_code=201,
    summary="Take tasks to run",
    response_model=LeaseView,
    response_description="These tasks are now the worker's to run, as long as the lease lives",
    openapi_extra={"requestBody": json_body(TakeLease)},
    responses={
        **refusals(has_body=True),
        204: {"description": "No task came in time, or this server stops: send it again"},
    },
)
async def take_lease(request: Request, context: InContext, body: SmallJsonBody) -> Response:
    """Claim up to `limit` due tasks, as many as fit into a response, under a new lease; wait for the first one.

    Each call has a lease of its own. It ends by itself when all its tasks have ended. Renew it every third of its
    time to live while they run; when it expires, its tasks are given to others, at the cost of a loss. When a
    client leaves while it waits, nothing stays claimed for it. When the response is lost, send the request again:
    the lost lease expires.
    """
    wanted = to_lease_request(body, usual_ttl_s=context.pull.usual_ttl_s)
    authorise_lease(shown_key(request.scope), wanted)
    lease = await pulling.claim(context, request.scope, request.receive, wanted)
    if lease is None:
        return Response(status_code=204)
    return RawResponse(201, lease_json(lease)).to_starlette()


@router.post(
    "/leases/{id}/renew",
    summary="Renew a lease",
    response_model=RenewedLeaseView,
    openapi_extra={"requestBody": {**json_body(RenewLease), "required": False}},
    responses=refusals(404, 409, has_body=True),
)
async def renew_lease(request: Request, context: InContext, id: LeaseId) -> Response:  # noqa: A002 - as in the path
    """Extend a lease. The response shows which of its tasks still run, and which of them to stop.

    An expired lease can be renewed, too, until it is closed. 409 when it has ended: stop what runs under it.
    """
    body = await pulling.optional_body(context, request.scope, request.receive)
    lease = await context.pull.renew(id, to_renewal(body).ttl_s)
    return RawResponse(200, renewed_json(lease)).to_starlette()


@router.delete(
    "/leases/{id}",
    summary="Hand back a lease",
    response_model=ReturnedLeaseView,
    responses=refusals(404),
)
async def hand_back_lease(context: InContext, id: LeaseId) -> Response:  # noqa: A002 - as in the path
    """End a lease: what runs under it waits again for any worker, and neither an attempt nor a loss is spent.

    Stop the work first. A lease that has ended already hands back nothing.
    """
    handed_back = await context.pull.hand_back(id)
    return RawResponse(200, returned_json(id, handed_back)).to_starlette()
