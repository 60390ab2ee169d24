"""What all payloads are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Ident = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
AlertId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}-[0-9]+$")]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""UTC with milliseconds."""
Score = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0.0)]
Rect = tuple[float, float, float, float]
"""x, y, width, height."""


class Payload(BaseModel):
    """Base of every payload and of the objects in them."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, populate_by_name=True)

    def to_bytes(self) -> bytes:
        """UTF-8 JSON without absent keys."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class ClockPart(Payload):
    """Whether ``ts`` comes from a synchronised clock."""

    synced: bool


def moment(when: datetime) -> str:
    """A UTC time as it stands in payloads, rounded down to milliseconds.

    Raises
    ------
    ValueError
        It has no time zone.
    """
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no time zone")
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
