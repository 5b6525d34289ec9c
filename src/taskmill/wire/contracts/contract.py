"""Contracts at the entry points: one is compiled when it is registered, and again where payloads come in."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import orjson
from pydantic_core import SchemaError

from taskmill.domain.contracts import CompiledContract, TypeContract
from taskmill.domain.errors import (
    ContractRefused,
    InvalidInput,
    MalformedJson,
    Violation,
)
from taskmill.domain.task import DEFAULT_TYPE, TaskDraft
from taskmill.wire.contracts.checking import Checker, TakesLong
from taskmill.wire.contracts.compiling import Faults, compiled, most_looks
from taskmill.wire.contracts.defaults import DefaultsSpec, defaults_shown, fillers
from taskmill.wire.fields import NAME_WORDS, is_name
from taskmill.wire.push import TYPE as PUSH
from taskmill.wire.strict_json import compact, parse
from taskmill.wire.violations import validated
from taskmill.wire.wording import describe

LARGEST_SCHEMA_BYTES: Final = 64 * 1024
MOST_LOOKS: Final = 256
"""So many schemas may look at one value: then 250 values, which have room in 500 bytes, are checked in 0.3 s."""
_SCHEMA: Final = "/payload_schema"
_TOO_LARGE: Final = ("regular expressions that can be compiled", "one that is too large")


class Contract:
    """A current contract, which checks requests. Its schema is compiled when the first payload comes.

    One that was registered long ago may not compile any more: then every payload passes, and whoever runs the task
    decides. `on_unusable` hears of that, once, with what is wrong.
    """

    __slots__ = ("_checker", "_fillers", "_on_unusable", "schema", "type", "version")

    def __init__(
        self,
        type: str,  # noqa: A002 - as everywhere
        version: int,
        schema: str,
        defaults: str = "{}",
        *,
        on_unusable: "Callable[[Contract, str], None]" = lambda *_: None,
    ) -> None:
        self.type = type
        self.version = version
        self.schema = schema
        self._checker: Checker | None = None
        self._on_unusable = on_unusable
        self._fillers = fillers(orjson.loads(defaults))

    def violations(
        self, payload: Mapping[str, Any] | None, *, is_quick: bool = False
    ) -> tuple[Violation, ...]:
        """Return all that is wrong with a payload, up to a limit; none counts as an empty object.

        Raises:
            TakesLong: it is to be quick, and would not be, as the first time, in which the schema is compiled.
        """
        if self._checker is None and is_quick:
            raise TakesLong
        checker = self._checker or self._compiled()
        return tuple(checker.violations({} if payload is None else payload, is_quick=is_quick))

    def _compiled(self) -> Checker:
        try:
            nodes = _nodes(_read(self.schema))
        except InvalidInput as error:
            nodes = _nodes({})
            self._on_unusable(self, str(error))
        self._checker = Checker(nodes)
        return self._checker

    def fill(self, draft: TaskDraft, sent: Mapping[str, Any]) -> None:
        """Give the draft what the request has left out; what it says, null included, stands."""
        for name, part, value in self._fillers:
            if name not in sent:
                setattr(draft, part, value)


def compile_contract(contract: TypeContract) -> CompiledContract:
    """Return the contract as it is stored.

    Raises:
        ContractRefused: The type's name, the schema or a default can't be used; each place is named.
    """
    try:
        return _compiled(contract)
    except InvalidInput as error:
        raise ContractRefused(contract.type, error.violations) from None


def refuse_many_looks(contract: CompiledContract) -> None:
    """Refuse a contract that has one value looked at very often; those that hold already go on.

    Raises:
        ContractRefused: More than `MOST_LOOKS` schemas would look at one value.
    """
    looks = most_looks(orjson.loads(contract.form))
    if looks > MOST_LOOKS:
        expected = (
            f"at most {MOST_LOOKS} schemas that look at one value: alternatives within alternatives "
            "multiply"
        )
        found = InvalidInput.at(_SCHEMA, expected, f"{looks:,}")
        raise ContractRefused(contract.type, found.violations)


def _compiled(contract: TypeContract) -> CompiledContract:
    _check_name(contract.type)
    document = _read(contract.schema)
    defaults = defaults_shown(contract.defaults)
    try:
        validated(DefaultsSpec, defaults)
    except InvalidInput as error:
        raise InvalidInput(_below("/defaults", error.violations)) from None
    schema, shown = compact(document), compact(defaults)
    return CompiledContract(
        type=contract.type,
        schema=schema,
        form=compact(_nodes(document)),
        defaults=shown,
        digest=sha256(f"{schema}\n{shown}".encode()).digest(),
    )


def _check_name(name: str) -> None:
    if not is_name(name):
        raise InvalidInput.at("/type", NAME_WORDS, describe(name, reveal=True))
    if name in {DEFAULT_TYPE, PUSH}:
        expected = f"a type of your own: what {name} takes is fixed"
        raise InvalidInput.at("/type", expected, describe(name, reveal=True))


def _read(schema: str) -> object:
    body = schema.encode(errors="surrogatepass")
    if len(body) > LARGEST_SCHEMA_BYTES:
        raise InvalidInput.at(_SCHEMA, f"at most {LARGEST_SCHEMA_BYTES:,} bytes", "more")
    try:
        return parse(body)
    except MalformedJson as error:
        raise InvalidInput.at(_SCHEMA, "JSON", error.message) from None
    except InvalidInput as error:
        raise InvalidInput(_below(_SCHEMA, error.violations)) from None


def _nodes(document: object) -> list[dict[str, Any]]:
    faults = Faults()
    nodes = compiled(document, faults)
    if faults.found:
        raise InvalidInput(_below(_SCHEMA, faults.found))
    try:
        Checker(nodes)
    except SchemaError:
        raise InvalidInput.at(_SCHEMA, *_TOO_LARGE) from None
    return nodes


def _below(
    place: str, violations: "tuple[Violation, ...] | list[Violation]"
) -> tuple[Violation, ...]:
    return tuple(
        Violation(pointer=place + one.pointer, expected=one.expected, got=one.got)
        for one in violations
    )
