"""Binds payloads to functions: validates JSON and converts it to the values of the parameters.

A single parameter that is a pydantic model, a dataclass, a TypedDict or a mapping takes the payload as a whole;
otherwise each parameter takes the field of its name. A field without a parameter is refused, or validated by the
annotation of `**rest` if there is one. A parameter that is annotated as `Context` gets the context.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from inspect import Parameter
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    NamedTuple,
    NotRequired,
    Required,
    Union,
    Unpack,
    get_args,
    get_origin,
)

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUserError,
    RootModel,
    TypeAdapter,
    ValidationError,
)
from pydantic.config import ExtraValues
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from typing_extensions import TypedDict, is_typeddict

from taskmill.app.context import Context
from taskmill.app.errors import PayloadRefused

_NONE_GIVEN: Final = "{}"
_MOST_NAMED: Final = 20
_SELVES: Final = ("self", "cls")


class Binding(NamedTuple):
    """How one function is called. `whole` names the parameter that takes all of the payload, if one does."""

    adapter: TypeAdapter[Any]
    context: str | None
    whole: str | None
    defaults: Mapping[str, Any]

    def arguments(self, context: Context) -> dict[str, Any]:
        """Return the keyword arguments of the call for this attempt.

        Raises:
            PayloadRefused: The payload does not fit.
        """
        if self.whole is not None and context.task.payload is None and self.defaults:
            arguments: dict[str, Any] = {}
        else:
            values = self._values(context.task.payload or _NONE_GIVEN)
            arguments = values if self.whole is None else {self.whole: values}
        if self.context is not None:
            arguments[self.context] = context
        return arguments

    def payload(self, value: object) -> dict[str, Any]:
        """Return the payload for these values, as JSON.

        Raises:
            PayloadRefused: They do not fit the function.
        """
        try:
            checked = self.adapter.validate_python(value)
            text = self.adapter.dump_json(checked, by_alias=True, round_trip=True)
            again = self.adapter.validate_json(text)
        except ValidationError as error:
            raise PayloadRefused(_refusal_text(error)) from None
        except ValueError as error:
            raise PayloadRefused(f"the payload can't be written as JSON: {error}") from None
        if again != checked:
            # For example a secret, a NaN, or an excluded field.
            raise PayloadRefused("the payload can't be written as JSON: some of it would be lost")
        payload: dict[str, Any] = orjson.loads(text)
        return payload

    def refusal_of_nothing(self) -> str | None:
        """Return why a task without a payload is refused, None if it is not."""
        if self.whole is not None and self.defaults:
            return None
        try:
            self.adapter.validate_json(_NONE_GIVEN)
        except ValidationError as error:
            return _refusal_text(error)
        return None

    def json_schema(self, title: str) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) of the payload."""
        schema = {**self.adapter.json_schema(mode="validation"), "title": title}
        for name, default in self.defaults.items() if self.whole is None else ():
            # A parameter with an alias is listed under the alias.
            field = schema.get("properties", {}).get(name)
            with suppress(ValueError):  # it can't be JSON, so no payload could have it
                if field is not None:
                    field.setdefault("default", to_jsonable_python(default))
        return schema

    def _values(self, payload: str) -> Any:  # noqa: ANN401 - the parameters' values
        try:
            return self.adapter.validate_json(payload)
        except ValidationError as error:
            raise PayloadRefused(_refusal_text(error)) from None


def binding_of(function: Callable[..., object], title: str) -> Binding:
    """Read a function's signature.

    Raises:
        TypeError: A parameter can't take its value from a JSON object; the message says which, and why.
    """
    _check_bound(function, title)
    try:
        signature = inspect.signature(function, eval_str=True)
    except NameError as error:
        raise TypeError(
            f"the annotations of {title} can't be read: {error}; types of parameters must be known at run time"
        ) from error
    context, taken = _split(signature, title)
    only = next(iter(taken.values())) if len(taken) == 1 else None
    defaults = {n: p.default for n, p in taken.items() if p.default is not Parameter.empty}
    if only is not None and only.kind is not Parameter.VAR_KEYWORD and _is_object(only.annotation):
        adapter = _adapter(only.annotation, title)
        _check_empty(adapter, only, title)
        return Binding(adapter, context, only.name, defaults)
    return Binding(_adapter(_fields(taken, title), title), context, None, defaults)


def _check_bound(function: Callable[..., object], title: str) -> None:
    """Refuse an unbound method: no payload has its `self`."""
    owner = getattr(function, "__qualname__", "").rpartition(".")[0]
    is_in_class = bool(owner) and not owner.endswith("<locals>")
    names = list(inspect.signature(function).parameters)
    if is_in_class and names and names[0] in _SELVES:
        raise TypeError(
            f"{title} is a method of {owner}, and no payload can give its {names[0]}: decorate a function, or "
            "the method of an object, as in app.task(name)(object.method)"
        )


def _check_empty(adapter: TypeAdapter[Any], only: Parameter, title: str) -> None:
    """Refuse an optional parameter if a task without a payload would still be refused.

    Every entry point takes no payload as an empty one.
    """
    if only.default is Parameter.empty and not _takes_none(only.annotation):
        return
    try:
        adapter.validate_json(_NONE_GIVEN)
    except ValidationError as error:
        raise TypeError(
            f"parameter {only.name} of {title} looks optional, but a task without a payload has an empty one, "
            f"which does not fit it ({_refusal_text(error)}): give its fields defaults, or make it required"
        ) from None


def _takes_none(annotation: object) -> bool:
    if get_origin(annotation) is Annotated:
        return _takes_none(get_args(annotation)[0])
    return get_origin(annotation) in (Union, UnionType) and type(None) in get_args(annotation)


def _split(
    signature: inspect.Signature, title: str
) -> tuple[str | None, dict[str, inspect.Parameter]]:
    """Separate the parameter for the context from those for the payload."""
    contexts: list[str] = []
    taken = {}
    for parameter in signature.parameters.values():
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL):
            raise TypeError(
                f"parameter {parameter.name} of {title} has no name in a payload: expected parameters that can be "
                "given by name"
            )
        if isinstance(parameter.default, FieldInfo):
            raise TypeError(
                f"the default of parameter {parameter.name} of {title} is a Field(): put it into the annotation, "
                "Annotated[int, Field(gt=0)] = 3"
            )
        if parameter.annotation is Context or _is_named_so(parameter):
            contexts.append(parameter.name)
        else:
            taken[parameter.name] = parameter
    if len(contexts) > 1:
        raise TypeError(f"{title} takes the context more than once: {', '.join(contexts)}")
    return (contexts[0] if contexts else None), taken


def _is_named_so(parameter: inspect.Parameter) -> bool:
    return parameter.name == "context" and parameter.annotation is Parameter.empty


def _is_object(annotation: object) -> bool:
    """Return whether values of this type are JSON objects."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_object(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return all(_is_object(one) for one in get_args(annotation) if one is not type(None))
    kind = origin or annotation
    if not isinstance(kind, type):
        return False
    if issubclass(kind, RootModel):
        return _is_object(kind.model_fields["root"].annotation)
    return (
        issubclass(kind, (BaseModel, Mapping))
        or dataclasses.is_dataclass(kind)
        or is_typeddict(kind)
    )


def _fields(taken: Mapping[str, inspect.Parameter], title: str) -> Any:  # noqa: ANN401 - a type
    """Return a type of dicts: a key for each parameter, and no others unless there is `**rest`."""
    fields: dict[str, Any] = {}
    others: Parameter | None = None
    for name, parameter in taken.items():
        if parameter.kind is Parameter.VAR_KEYWORD:
            others = parameter
            continue
        is_required = parameter.default is Parameter.empty
        fields[name] = Required[_kind(parameter)] if is_required else NotRequired[_kind(parameter)]
    extra_items = {} if others is None else {"extra_items": _kind_of_others(others, title)}
    # Made at run time: each function has its own type.
    made: Any = TypedDict(title, fields, **extra_items)  # type: ignore[misc]
    extra: ExtraValues = "forbid" if others is None else "allow"
    made.__pydantic_config__ = ConfigDict(extra=extra)  # type: ignore[attr-defined]
    return made


def _kind(parameter: Parameter) -> Any:  # noqa: ANN401 - a type
    return Any if parameter.annotation is Parameter.empty else parameter.annotation


def _kind_of_others(others: Parameter, title: str) -> Any:  # noqa: ANN401 - a type
    if get_origin(others.annotation) is Unpack:
        raise TypeError(
            f"parameter **{others.name} of {title} unpacks a TypedDict: take that as the only parameter, or its "
            "fields as parameters"
        )
    return _kind(others)


def _adapter(kind: Any, title: str) -> TypeAdapter[Any]:  # noqa: ANN401 - a type
    try:
        adapter = TypeAdapter(kind)
        adapter.json_schema(mode="validation")
    except PydanticUserError as error:
        reason = str(error).splitlines()[0]
        raise TypeError(f"no payload can provide the parameters of {title}: {reason}") from error
    return adapter


def _refusal_text(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    named = [f"{_pointer(d['loc'])}: {d['msg']}" for d in details[:_MOST_NAMED]]
    if len(details) > _MOST_NAMED:
        named.append(f"and {len(details) - _MOST_NAMED} more")
    return "the payload does not fit: " + "; ".join(named)


def _pointer(location: tuple[int | str, ...]) -> str:
    return "/payload" + "".join(f"/{part}" for part in location)
