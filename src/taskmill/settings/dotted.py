"""Names of settings with a dot between group and name, and groups as mappings."""

from collections.abc import Mapping
from typing import Any


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values of groups within groups by dotted names; those that are None are left out."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flattened(value, f"{prefix}{name}."))
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted names as values of groups."""
    groups: dict[str, Any] = {}
    for dotted, value in values.items():
        group, _, name = dotted.rpartition(".")
        (groups.setdefault(group, {}) if group else groups)[name] = value
    return groups
