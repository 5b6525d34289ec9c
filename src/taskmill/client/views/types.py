"""What the client returns of `taskmill.wire.types`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from taskmill.client.view import View


class ContractVersionView(View):
    """One version of a contract."""

    version: int
    payload_schema: dict[str, Any]
    defaults: dict[str, Any]
    """only those that are set"""
    registered_at: datetime
    registered_by: str
    """the worker, or `rest`"""


class TypeSummaryView(ContractVersionView):
    """A type with its current contract."""

    name: str
    changed_at: datetime
    """since when this version is current"""
    workers: int
    """live workers that run the type"""


class TypeList(View):
    """The types that have a contract, by name."""

    items: list[TypeSummaryView]


class TypeView(TypeSummaryView):
    """A type with its current contract, and all versions of it."""

    versions: list[ContractVersionView]
    """newest first, 100 at most"""
