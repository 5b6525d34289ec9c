"""Contracts: each is compiled when it is registered, and again in processes where payloads come in."""

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
from taskmill.domain.task import TaskDraft
from taskmill.domain.task_fields import DEFAULT_TYPE
from taskmill.wire.contracts.checking import Checker, TakesLong
from taskmill.wire.contracts.compiling import Faults, compiled, most_checks
from taskmill.wire.contracts.defaults import DefaultsSpec, default_fields, fillers
from taskmill.wire.fields import NAME_WORDS, is_name
from taskmill.wire.push import TYPE as PUSH
from taskmill.wire.strict_json import compact, parse
from taskmill.wire.violations import validated
from taskmill.wire.wording import describe

LARGEST_SCHEMA_BYTES: Final = 64 * 1024
MOST_CHECKS: Final = 256
"""This many schemas may check one value: then 250 values, which fit into 500 bytes, are checked in 0.3 s."""
_SCHEMA: Final = "/payload_schema"
_TOO_LARGE: Final = ("regular expressions that can be compiled", "one that is too large")


class Contract:
    """A current contract, which checks requests. Its schema is compiled when the first payload comes.

    One that was registered long ago may no longer compile: then every payload passes, and the handler has to check
    it. `on_unusable` is called once then, with the reason.
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
        """Return all that is wrong with a payload, up to a limit; None counts as an empty object.

        Raises:
            TakesLong: `is_quick` is set, and the check takes longer, as the first one does, which compiles.
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
        """Fill in the defaults that the request has left out; what it has, null included, is not changed."""
        for name, part, value in self._fillers:
            if name not in sent:
                setattr(draft, part, value)


def compile_contract(contract: TypeContract) -> CompiledContract:
    """Compile a contract for storage.

    Raises:
        ContractRefused: The type's name, the schema or a default can't be used; each place is listed.
    """
    try:
        return _compiled(contract)
    except InvalidInput as error:
        raise ContractRefused(contract.type, error.violations) from None


def refuse_many_checks(contract: CompiledContract) -> None:
    """Refuse a new contract that checks one value very often; current ones stay valid.

    Raises:
        ContractRefused: More than `MOST_CHECKS` schemas would check one value.
    """
    checks = most_checks(orjson.loads(contract.form))
    if checks > MOST_CHECKS:
        expected = (
            f"at most {MOST_CHECKS} schemas that check one value: alternatives within alternatives "
            "multiply"
        )
        found = InvalidInput.at(_SCHEMA, expected, f"{checks:,}")
        raise ContractRefused(contract.type, found.violations)


def _compiled(contract: TypeContract) -> CompiledContract:
    _check_name(contract.type)
    document = _read(contract.schema)
    defaults = default_fields(contract.defaults)
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
    prefix: str, violations: "tuple[Violation, ...] | list[Violation]"
) -> tuple[Violation, ...]:
    return tuple(
        Violation(pointer=prefix + one.pointer, expected=one.expected, got=one.got)
        for one in violations
    )
