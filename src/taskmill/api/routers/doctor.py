"""What is wrong with the service itself, with evidence and what fixes it."""

from fastapi import Depends, Response

from taskmill.api.dependencies import InContext, refuse_query
from taskmill.api.openapi import new_router, refusals
from taskmill.api.responses import RawResponse
from taskmill.wire.doctor import DoctorReportView, doctor_json

router = new_router("system")


@router.get(
    "/doctor",
    dependencies=[Depends(refuse_query)],
    summary="Examine the service",
    response_model=DoctorReportView,
    responses=refusals(),
)
async def get_doctor(context: InContext) -> Response:
    """Examine PostgreSQL, RabbitMQ, processes and settings, as the API process sees them; it only reads.

    What somebody may not see, or what takes longer than 2 s, is in `unseen`.
    """
    return RawResponse(200, doctor_json(await context.doctor.examine())).to_starlette()
