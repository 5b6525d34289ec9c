"""How a function takes its payload: JSON is checked and made the values of its parameters.

A single parameter that is a pydantic model, a dataclass, a TypedDict or a mapping takes the payload as a whole;
otherwise each parameter takes the field of its name, and a field without a parameter is refused. A parameter that
is annotated as `Context` gets the context.
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
    get_args,
    get_origin,
)

import orjson
from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.config import ExtraValues
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from typing_extensions import TypedDict, is_typeddict

from taskmill.app.context import Context
from taskmill.app.errors import PayloadRefused

_NONE_GIVEN: Final = "{}"
_MOST_NAMED: Final = 20


class Binding(NamedTuple):
    """How one function is called. `whole` names the parameter that takes all of the payload, if one does."""

    adapter: TypeAdapter[Any]
    context: str | None
    whole: str | None
    defaults: Mapping[str, Any]

    def arguments(self, context: Context) -> dict[str, Any]:
        """Return the keyword arguments of the call for this attempt.

        Raises:
            PayloadRefused: the payload does not fit.
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
        """Return the payload that makes these values, as JSON has it.

        Raises:
            PayloadRefused: they do not fit the function.
        """
        try:
            checked = self.adapter.validate_python(value)
            text = self.adapter.dump_json(checked, by_alias=True, round_trip=True)
            again = self.adapter.validate_json(text)
        except ValidationError as error:
            raise PayloadRefused(_said(error)) from None
        except ValueError as error:
            raise PayloadRefused(f"the payload can't be told as JSON: {error}") from None
        if again != checked:
            # Such as a secret, a NaN, or a field that is left out.
            raise PayloadRefused("the payload can't be told as JSON: something of it would be lost")
        payload: dict[str, Any] = orjson.loads(text)
        return payload

    def json_schema(self, title: str) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) of the payload."""
        schema = {**self.adapter.json_schema(mode="validation"), "title": title}
        for name, default in self.defaults.items() if self.whole is None else ():
            # A parameter with an alias is there by that.
            field = schema.get("properties", {}).get(name)
            with suppress(ValueError):  # it is no JSON, and no payload could say it
                if field is not None:
                    field.setdefault("default", to_jsonable_python(default))
        return schema

    def _values(self, payload: str) -> Any:  # noqa: ANN401 - the parameters' values
        try:
            return self.adapter.validate_json(payload)
        except ValidationError as error:
            raise PayloadRefused(_said(error)) from None


def binding_of(function: Callable[..., object], title: str) -> Binding:
    """Read a function's signature.

    Raises:
        TypeError: no JSON object can be taken for its parameters; it says which, and why.
    """
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
        return Binding(_adapter(only.annotation, title), context, only.name, defaults)
    return Binding(_adapter(_fields(taken, title), title), context, None, defaults)


def _split(
    signature: inspect.Signature, title: str
) -> tuple[str | None, dict[str, inspect.Parameter]]:
    """Tell the parameter for the context from those for the payload."""
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
    """Tell whether a value of this type is a JSON object by itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_object(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return all(_is_object(one) for one in get_args(annotation) if one is not type(None))
    kind = origin or annotation
    if not isinstance(kind, type):
        return False
    return (
        issubclass(kind, (BaseModel, Mapping))
        or dataclasses.is_dataclass(kind)
        or is_typeddict(kind)
    )


def _fields(taken: Mapping[str, inspect.Parameter], title: str) -> Any:  # noqa: ANN401 - a type
    """Return a type of dicts: a key for each parameter, and no others unless there is `**kwargs`."""
    fields: dict[str, Any] = {}
    extra: ExtraValues = "forbid"
    for name, parameter in taken.items():
        if parameter.kind is Parameter.VAR_KEYWORD:
            extra = "allow"
            continue
        kind = Any if parameter.annotation is Parameter.empty else parameter.annotation
        is_required = parameter.default is Parameter.empty
        fields[name] = Required[kind] if is_required else NotRequired[kind]
    # A type that is made at run time: each function has its own.
    made: Any = TypedDict(title, fields)  # type: ignore[misc]
    made.__pydantic_config__ = ConfigDict(extra=extra)  # type: ignore[attr-defined]
    return made


def _adapter(kind: Any, title: str) -> TypeAdapter[Any]:  # noqa: ANN401 - a type
    try:
        adapter = TypeAdapter(kind)
        adapter.json_schema(mode="validation")
    except PydanticUserError as error:
        reason = str(error).splitlines()[0]
        raise TypeError(f"no payload can be made the parameters of {title}: {reason}") from error
    return adapter


def _said(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    named = [f"{_pointer(d['loc'])}: {d['msg']}" for d in details[:_MOST_NAMED]]
    if len(details) > _MOST_NAMED:
        named.append(f"and {len(details) - _MOST_NAMED} more")
    return "the payload does not fit: " + "; ".join(named)


def _pointer(place: tuple[int | str, ...]) -> str:
    return "/payload" + "".join(f"/{part}" for part in place)
