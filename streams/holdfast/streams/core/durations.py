"""Durations in definitions, as `schemas.durations` reads them."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from holdfast.schemas.durations import parse_duration_ms

DurationMs = Annotated[int, BeforeValidator(parse_duration_ms), Field(ge=0)]
"""A pydantic field that takes any duration and holds milliseconds."""
