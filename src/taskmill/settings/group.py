"""The base of all groups of settings."""

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A frozen group of settings that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")
