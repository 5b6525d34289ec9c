"""What all groups of settings are."""

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A frozen group of settings that knows all its names."""

    model_config = ConfigDict(frozen=True, extra="forbid")
