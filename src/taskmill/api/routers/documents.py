"""The OpenAPI and AsyncAPI documents, and the two pages that show the former; all files are in this package.

Pages and documents use relative addresses, so they work below any prefix of a proxy.
"""

import asyncio
import gzip
import os
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from mimetypes import guess_type
from pathlib import Path
from string import Template
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from taskmill.api import asyncapi
from taskmill.api.cached_documents import REVALIDATE, CachedDocument
from taskmill.api.compression import accepts_gzip
from taskmill.api.context import Context
from taskmill.api.dependencies import InContext
from taskmill.api.openapi import headers, new_router, refusal
from taskmill.api.responses import RawResponse
from taskmill.api.typed_documents import with_types_asyncapi, with_types_openapi
from taskmill.operations.contracts import Contracts
from taskmill.version import VERSION

_STATIC: Final = Path(__file__).parent.parent / "static"
_SWAGGER: Final = "swagger-ui-5.35.0"
_REDOC: Final = "redoc-2.5.4"
_OWN: Final = "pages/"
_READING: Final = ("GET", "HEAD")

_IMMUTABLE = "public, max-age=31536000, immutable"

# Scripts may send requests to this host only.
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'"
)

_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="$root/pages/pages.css">
$style</head>
<body>
<div id="page" data-document="openapi.json"></div>
<script src="$root/$library"></script>
<script src="$root/pages/$start"></script>
</body>
</html>
""")


router = new_router("system")


def shown_contracts(context: Context) -> Contracts | None:
    """Return whose types the documents show: none where keys are required, since everybody may read documents."""
    return context.service.contracts if context.keys is None else None


class PackageFiles(StaticFiles):
    """The files of the pages; browsers may cache folders with a version in their name for ever.

    Large ones are stored as `NAME.gz`, so that the package is small, and unpacked for clients that do not do that.
    """

    def __init__(self) -> None:
        super().__init__(directory=_STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Respond with a file, and how long it may be cached."""
        if scope["method"] not in _READING:
            raise HTTPException(
                HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(_READING)}
            )
        full, packed = await asyncio.to_thread(self._packed, path)
        if packed is None:
            response = await super().get_response(path, scope)
        elif accepts_gzip(scope["headers"]):
            response = self.file_response(full, packed, scope)
            response.headers["content-encoding"] = "gzip"
        else:
            body = await asyncio.to_thread(_unpacked, Path(full))
            response = Response(body, media_type=guess_type(path)[0])
        if packed is not None:
            response.headers["vary"] = "accept-encoding"
        response.headers["cache-control"] = (
            REVALIDATE.decode() if path.startswith(_OWN) else _IMMUTABLE
        )
        return response

    def _packed(self, path: str) -> tuple[str, os.stat_result | None]:
        try:
            return self.lookup_path(f"{path}.gz")
        except (OSError, ValueError):
            return "", None  # it is no name of a file, which is found out of the plain one, too


def _unpacked(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes())


def add_documents(
    app: FastAPI, *, static: str, with_redoc: bool, contracts: Contracts | None = None
) -> None:
    """Add `/openapi.json`, `/docs` and, with `with_redoc`, `/redoc` to the app.

    `static` is the relative path from these addresses to the package's files. With `contracts` the
    document has their types.
    """
    swagger_style = f'<link rel="stylesheet" href="{static}/{_SWAGGER}/swagger-ui.css">\n'
    pages = {"/docs": (f"{_SWAGGER}/swagger-ui-bundle.js", "swagger.js", swagger_style)}
    if with_redoc:
        pages["/redoc"] = (f"{_REDOC}/redoc.standalone.js", "redoc.js", "")
    for path, (library, start, style) in pages.items():
        page = _PAGE.substitute(
            title=app.title, root=static, library=library, start=start, style=style
        )
        app.add_route(path, _page_endpoint(page.encode()), include_in_schema=False)
    document = CachedDocument(app.openapi, with_types_openapi)

    async def show(request: Request) -> Response:
        return await document.respond(request, contracts)

    app.add_route("/openapi.json", show, include_in_schema=False)


def _page_endpoint(page: bytes) -> Callable[[Request], Awaitable[Response]]:
    html = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", _POLICY.encode()),
        (b"cache-control", REVALIDATE),
    )

    async def show(_: Request) -> Response:
        return RawResponse(200, page, html).to_starlette()

    return show


@router.get(
    "/asyncapi.json",
    summary="The AsyncAPI document",
    response_class=Response,
    responses={
        200: {
            "description": "An AsyncAPI 3.0 document",
            "content": {"application/json": {"schema": {"type": "object"}}},
            "headers": headers("ETag"),
        },
        304: {"description": "It has not changed since the one in `If-None-Match`"},
        **{status: refusal(status) for status in (400, 421, 500)},
    },
)
async def get_asyncapi(request: Request, context: InContext) -> Response:
    """Describe how tasks are created by messages: exchange, queues, bodies, replies."""
    return await _cached_asyncapi(request).respond(request, shown_contracts(context))


def _cached_asyncapi(request: Request) -> CachedDocument:
    """Return this app's copy, since each app has contracts of its own."""
    state = request.app.state
    if not hasattr(state, "asyncapi"):
        state.asyncapi = CachedDocument(partial(asyncapi.document, VERSION), with_types_asyncapi)
    document: CachedDocument = state.asyncapi
    return document
