"""The assets of the pages."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskmill.dashboard import assets
from taskmill.dashboard.view import View, accepts_gzip


async def send_asset(view: View) -> Response:
    """Send a file; its address has the digest of them all, and another digest is from an old page."""
    parameters = view.request.path_params
    asset = assets.find(parameters["name"])
    if asset is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    is_current = parameters["digest"] == assets.digest()
    headers = {
        "cache-control": assets.CACHE_FOR_EVER if is_current else "no-store",
        "vary": "Accept-Encoding",
    }
    if not accepts_gzip(view.request.headers):
        return Response(asset.plain, headers=headers, media_type=asset.media_type)
    headers["content-encoding"] = "gzip"
    return Response(asset.zipped, headers=headers, media_type=asset.media_type)


ROUTES = [("GET", "/ui/static/{digest}/{name:path}", send_asset)]
