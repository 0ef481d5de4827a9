"""The base of everything that people write in definitions."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base of all parts: frozen, no unknown keys, written with the names that people use."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
