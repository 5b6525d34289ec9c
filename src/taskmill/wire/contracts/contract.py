"""Contracts: each is compiled when it is registered, and again in processes where payloads come in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson

from taskmill.domain.contracts import CompiledContract, TypeContract
from taskmill.domain.errors import (
    ContractRefused,
    InvalidInput,
    MalformedJson,
    Violation,
)
from taskmill.domain.task import TaskDraft
from taskmill.domain.task_fields import DEFAULT_TYPE
from taskmill.wire.contracts.checking import TakesLong, violations
from taskmill.wire.contracts.compiling import compile_schema
from taskmill.wire.contracts.defaults import DefaultsSpec, Filler, fillers
from taskmill.wire.contracts.nodes import Node
from taskmill.wire.contracts.secret_fields import MARK, NO_SECRETS, SecretFields
from taskmill.wire.fields import NAME_WORDS, is_name
from taskmill.wire.push import TYPE as PUSH
from taskmill.wire.strict_json import compact, parse
from taskmill.wire.violations import validated
from taskmill.wire.wording import describe

LARGEST_SCHEMA_BYTES: Final = 64 * 1024
MOST_CHECKS: Final = 256
"""This many schemas may check one value: then 250 values, which fit into 500 bytes, are checked in 0.3 s."""
_SCHEMA: Final = "/payload_schema"


@dataclass(slots=True, eq=False)
class Contract:
    """A current contract, which checks requests. Its schema is compiled when the first payload comes.

    One that was registered long ago may no longer compile: then every payload passes, and the handler has to check
    it; if something in it is secret, all is. `on_unusable` is called once then, with the reason.
    """

    type: str
    version: int
    schema: str
    defaults: InitVar[str] = "{}"
    on_unusable: "Callable[[Contract, str], None]" = field(default=lambda *_: None, kw_only=True)
    _root: Node | None = field(default=None, init=False)
    _secrets: SecretFields = field(default=NO_SECRETS, init=False)
    _fillers: Sequence[Filler] = field(init=False)

    def __post_init__(self, defaults: str) -> None:
        self._fillers = fillers(orjson.loads(defaults))

    def violations(
        self, payload: Mapping[str, Any] | None, *, is_quick: bool = False
    ) -> tuple[Violation, ...]:
        """Return all that is wrong with a payload, up to a limit; None counts as an empty object.

        Raises:
            TakesLong: `is_quick` is set, and the check takes longer, as the first one does, which compiles.
        """
        if self._root is None:
            if is_quick:
                raise TakesLong
            self._root = self._compile()
        checked = {} if payload is None else payload
        return violations(self._root, checked, secrets=self._secrets, is_quick=is_quick)

    @property
    def queue(self) -> str | None:
        """The default queue of its tasks, None where it has none."""
        return next((str(value) for name, _, value in self._fillers if name == "queue"), None)

    @property
    def may_have_secrets(self) -> bool:
        """Whether its schema marks something as secret, perhaps where no payload has anything."""
        return MARK in self.schema

    def secrets(self) -> SecretFields:
        """Return what is secret in payloads; the first call may compile the schema."""
        if self._root is None:
            self._root = self._compile()
        return self._secrets

    def _compile(self) -> Node:
        try:
            root = _compiled(self.schema)[1]
        except InvalidInput as error:
            self.on_unusable(self, str(error))
            root = Node(is_secret=self.may_have_secrets)
        if self.may_have_secrets:
            self._secrets = SecretFields(root)
        return root

    def fill(self, draft: TaskDraft, sent: Mapping[str, Any]) -> None:
        """Fill in the defaults that the request has left out; what it has, null included, is not changed."""
        for name, part, value in self._fillers:
            if name not in sent:
                setattr(draft, part, value)


def compile_contract(contract: TypeContract) -> CompiledContract:
    """See whether a contract compiles, and return it as it is stored.

    Raises:
        ContractRefused: The type's name, the schema or a default can't be used; each place is listed.
    """
    try:
        _check_name(contract.type)
        document, _, most_checks = _compiled(contract.schema)
        defaults = _checked_defaults(contract.defaults)
    except InvalidInput as error:
        raise ContractRefused(contract.type, error.violations) from None
    schema = compact(document)
    return CompiledContract(
        type=contract.type,
        schema=schema,
        defaults=defaults,
        digest=sha256(f"{schema}\n{defaults}".encode()).digest(),
        most_checks=most_checks,
    )


def refuse_many_checks(contract: CompiledContract) -> None:
    """Refuse a new contract that checks one value very often; current ones stay valid.

    Raises:
        ContractRefused: More than `MOST_CHECKS` schemas would check one value.
    """
    if contract.most_checks > MOST_CHECKS:
        expected = (
            f"at most {MOST_CHECKS} schemas that check one value: nested alternatives multiply"
        )
        found = InvalidInput.at(_SCHEMA, expected, f"{contract.most_checks:,}")
        raise ContractRefused(contract.type, found.violations)


def _check_name(name: str) -> None:
    if not is_name(name):
        raise InvalidInput.at("/type", NAME_WORDS, describe(name, reveal=True))
    if name in {DEFAULT_TYPE, PUSH}:
        expected = f"a type of your own: what {name} takes is fixed"
        raise InvalidInput.at("/type", expected, describe(name, reveal=True))


def _checked_defaults(defaults: Mapping[str, Any]) -> str:
    with _below("/defaults"):
        spec = validated(DefaultsSpec, dict(defaults))
    return compact(spec.model_dump(exclude_none=True))


def _compiled(schema: str) -> tuple[object, Node, int]:
    """Return a schema as parsed and as compiled, and how many nodes check one value at most."""
    body = schema.encode(errors="surrogatepass")
    if len(body) > LARGEST_SCHEMA_BYTES:
        raise InvalidInput.at(_SCHEMA, f"at most {LARGEST_SCHEMA_BYTES:,} bytes", "more")
    try:
        with _below(_SCHEMA):
            document = parse(body)
            return document, *compile_schema(document)
    except MalformedJson as error:
        raise InvalidInput.at(_SCHEMA, "JSON", error.message) from None


@contextmanager
def _below(pointer: str) -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(tuple(one.below(pointer) for one in error.violations)) from None
