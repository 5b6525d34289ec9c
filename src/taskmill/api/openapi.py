"""The OpenAPI document: the requests and responses of every address, with each status code.

The models of bodies are in `wire`; the descriptions around them are here. Nothing here runs while a request is
served.
"""

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from fastapi import APIRouter, FastAPI, params
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from taskmill.api import examples
from taskmill.api.access_rules import RULES, Check
from taskmill.api.listings import ListingQuery
from taskmill.api.request_record import REQUEST_ID
from taskmill.runtime.http_access import OPEN_PATHS
from taskmill.wire.basics import PROBLEM_MEDIA_TYPE
from taskmill.wire.hops import DEFAULT_LIMIT, HEADER
from taskmill.wire.problems import Problem

if TYPE_CHECKING:
    from taskmill.api.context import Context

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
_IN_MODEL = "#/$defs/"
# What a reader tries first comes first.
_FIRST = "/tasks"

_REFUSALS: Final[dict[int, str]] = {
    400: "It can't be read: not strict JSON, not UTF-8, or a cursor of another listing",
    401: "Keys are required (`TASKMILL_AUTH`), and it has none that is valid",
    403: "A page of another site sent it, or its API key lacks the scope",
    404: "There is no such thing",
    408: "The body did not come in time",
    409: "Its state does not allow it, or its API key has as much as it may have",
    410: "The feed no longer has what follows the cursor; `detail` says what to do",
    412: "It has another version than those in `If-Match`",
    413: "The body is over the limit",
    415: "The body has a type that is not accepted",
    421: "The `Host` is a name that is not among `TASKMILL_API__ALLOWED_HOSTS`",
    422: "Something in it is not allowed; `errors` names all of it",
    429: "The API key or the address has sent too many requests; send it again after `Retry-After`",
    500: "The service failed; its log has the reason, under the request's id",
    503: "A part that is needed is unavailable for now; send it again after `Retry-After`",
}
_SCHEME: Final = "api_key"
_BEARER: Final[Json] = {
    "type": "http",
    "scheme": "bearer",
    "description": "an API key, `tm_…`; needed where keys are required (`TASKMILL_AUTH`)",
}
_WITH_BODY: Final = (400, 408, 413, 415)
_ALWAYS: Final = (400, 421, 422, 500, 503)

HEADERS: Final[dict[str, Json]] = {
    "Location": {"description": "the task's address", "schema": {"type": "string"}},
    "ETag": {
        "description": "the task's version; for If-None-Match",
        "schema": {"type": "string", "examples": ['"3.0"']},
    },
    "Preference-Applied": {
        "description": "`wait` when the response waited for a change; missing otherwise",
        "schema": {"type": "string"},
    },
    "Link": {
        "description": 'the next page, `rel="next"`; missing on the last one',
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "`r` requests are left at once, and more in `t` seconds",
        "schema": {"type": "string", "examples": ['"key";r=0;t=1']},
    },
    "RateLimit-Policy": {
        "description": "`q` requests may be sent at once, and again after `w` seconds without any",
        "schema": {"type": "string", "examples": ['"key";q=50000;w=10']},
    },
    "Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}},
    REQUEST_ID: {
        "description": "the request's id in the logs; the one that was sent, if it is valid",
        "schema": {"type": "string"},
    },
}


def refusals(*own: int, has_body: bool = False) -> dict[int | str, Json]:
    """Describe the problems of an operation: its own and those of all."""
    statuses = sorted({*own, *_ALWAYS, *(_WITH_BODY if has_body else ())})
    return {status: refusal(status) for status in statuses}


def refusal(
    status: int, model: type[BaseModel] = Problem, media_type: str = PROBLEM_MEDIA_TYPE
) -> Json:
    """Describe one problem."""
    content: Json = {"schema": {"$ref": _REF.format(model=model.__name__)}}
    if model is Problem:
        content["example"] = examples.problem(status)
    described: Json = {"description": _REFUSALS[status], "content": {media_type: content}}
    if status in {409, 429, 503}:
        described["headers"] = headers("Retry-After")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        described["headers"] |= headers("RateLimit", "RateLimit-Policy")
    return described


def headers(*names: str) -> Json:
    """Describe headers of a response."""
    return {name: HEADERS[name] for name in names}


def request_header(name: str, description: str, **schema: Any) -> Json:  # noqa: ANN401 - keywords of JSON Schema
    """Describe a header of a request; `schema` has more keywords for its text."""
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


KEY_TEXT: Final[Json] = {
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[^\u0000-\u001F\u007F-\u00A0\u00AD]+$",
}
"""The text of the header Idempotency-Key. Of unprintable characters the pattern names those up to U+00FF only."""


HOP_HEADER: Final = request_header(
    HEADER,
    "how many requests of Taskmill led to this one: that of the webhook, callback or push",
    pattern=f"^[0-{DEFAULT_LIMIT}]$",
)


def json_body(model: type[BaseModel]) -> Json:
    """Describe a JSON body that the framework does not parse."""
    content = {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
    return {"required": True, "content": content}


def query_parameters(model: type[BaseModel]) -> list[Json]:
    """Describe a query that the framework does not parse."""
    properties = model.model_json_schema()["properties"]
    return [_parameter(name, schema) for name, schema in properties.items()]


def _parameter(name: str, schema: Json) -> Json:
    described = {key: value for key, value in schema.items() if key not in {"title", "description"}}
    options = [option for option in described.pop("anyOf", ()) if option != {"type": "null"}]
    if options:
        described = {**options[0], "default": None}
    if described.get("default", ...) in (None, []):
        del described["default"]
    described = _relocated(described)
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": schema.get("description", ""),
        "schema": described,
    }


def _relocated(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Point references to definitions of a model to their place in the document."""
    if isinstance(schema, list):
        return [_relocated(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _REF.format(model=part.removeprefix(_IN_MODEL)) if key == "$ref" else _relocated(part)
        for key, part in schema.items()
    }


LISTING_PARAMETERS: Final = query_parameters(ListingQuery)


def _short_id(route: APIRoute) -> str:
    """Name an operation like its endpoint: generated clients use the name, so it never changes."""
    return route.name


def new_router(
    *tags: str, prefix: str = "", dependencies: Sequence[params.Depends] = ()
) -> APIRouter:
    """Make a router for operations with these tags."""
    return APIRouter(
        prefix=prefix,
        tags=list(tags),
        dependencies=dependencies,
        generate_unique_id_function=_short_id,
    )


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Have an app serve the routes of a router.

    They are the same objects in each app. `include_router` would analyse all endpoints anew, at the first request.
    """
    app.router.routes.extend(router.routes)


def install(
    app: FastAPI,
    models: Iterable[type[BaseModel]],
    *,
    prefix: str = "",
    refused: Callable[[int], Json] | None = None,
) -> None:
    """Have the app make its document here, once, at the first request; that may be in any thread.

    `models` are those of bodies that the framework does not parse; `prefix` is where the app is mounted;
    `refused` describes the refusals that operations have in common.
    """

    def document() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, models, prefix)
            _add_to_responses(app.openapi_schema, refused or refusal)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the framework's documented way


def _document(app: FastAPI, models: Iterable[type[BaseModel]], prefix: str) -> Json:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=app.openapi_version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        license_info=app.license_info,
    )
    paths = sorted(document["paths"].items(), key=lambda item: item[0] != _FIRST)
    document["paths"] = {prefix + path: item for path, item in paths}
    # Relative to the document: a proxy may publish it below a path.
    document["servers"] = [{"url": ".." if prefix else ".", "description": "this service"}]
    document["security"] = _security(app)
    if document["security"]:
        document["components"]["securitySchemes"] = {_SCHEME: _BEARER}
    _add_schemas(document, models)
    for schema in document["components"]["schemas"].values():
        move_defaults(schema)
    return document


def _security(app: FastAPI) -> list[Json]:
    """Return what operations need by the settings: a key, or nothing; either of them without settings."""
    context: Context | None = getattr(app.state, "context", None)
    if context is None:
        return [{_SCHEME: []}, {}]
    return [] if context.keys is None else [{_SCHEME: []}]


def _add_to_responses(document: Json, refused: Callable[[int], Json]) -> None:
    """Describe what operations have in common."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            scope, check = RULES[f"{method.upper()} {path}"]
            if check is Check.OPEN:
                operation["security"] = []
            else:
                responses.setdefault("401", refused(401))
                responses.setdefault("403", refused(403))
                needs = f"`{scope}` {check}"
                operation["description"] += f"\n\nWhere API keys are required, it needs {needs}."
            if path not in OPEN_PATHS:
                responses.setdefault("429", refused(429))
            for response in responses.values():
                response.setdefault("headers", {}).update(headers(REQUEST_ID))
            operation["responses"] = dict(sorted(responses.items()))


def move_defaults(schema: Json) -> None:
    """Describe defaults in words: generators take a field with a default for one that is always present."""
    for field in schema.get("properties", {}).values():
        default = field.pop("default", None)
        if default not in (None, [], {}, ""):
            words = f"`{_in_json(default)}` when it is left out"
            field["description"] = "; ".join(filter(None, [field.get("description"), words]))


def _in_json(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _add_schemas(document: Json, models: Iterable[type[BaseModel]]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, extra = models_json_schema([(m, "validation") for m in models], ref_template=_REF)
    for name, schema in extra["$defs"].items():
        schemas.setdefault(name, schema)
    for name, example in examples.RESPONSES.items():
        if name in schemas:
            schemas[name]["examples"] = [example]
