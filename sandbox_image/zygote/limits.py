"""The limits of a session, as OPEN carries them. The host's model is their home; here they are only read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sandbox_image.zygote.protocol import ProtocolError


@dataclass(frozen=True)
class Limits:
    """What one session may use. Sizes in bytes."""

    max_sessions: int
    spare_sessions: int
    memory_bytes: int
    scratch_bytes: int
    max_threads: int
    output_head_bytes: int
    output_tail_bytes: int
    max_figures: int
    max_event_bytes: int

    @classmethod
    def parse(cls, data: object) -> Limits:
        """Read the `limits` object of an OPEN frame; names that mean nothing to a session are passed over.

        Raises:
            ProtocolError: One is missing or no whole number from zero up.
        """
        if not isinstance(data, dict):
            raise ProtocolError("the limits are no JSON object")
        return cls(**{field.name: _whole(data, field.name) for field in fields(cls)})


def _whole(data: dict[str, Any], name: str) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ProtocolError(f"the limit {name} is {value!r}, not a whole number from zero up")
    return value
