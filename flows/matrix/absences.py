"""Models that are out of order while an experiment runs: for how long their rows are put aside, and who tries again."""

from __future__ import annotations

import time
from dataclasses import dataclass

from blocks.chat.breaker import FAILURES
from blocks.chat.errors import ChatError, ModelAway

Place = tuple[str, str]
"""Provider and model, as a row names them."""
SHORTEST_S = 1.0
"""Before a model is tried again, at least."""


@dataclass
class _Absence:
    error: ModelAway
    until: float
    tried: bool = False


class Absences:
    """What a run has met of them; whether a model is back only a call can tell."""

    def __init__(self) -> None:
        self._known: dict[Place, _Absence] = {}

    def away(self, place: Place) -> ModelAway | None:
        """Why a model is not to be asked now, and for how long; None: it may be asked.

        Of a model that was away a single call may find out, until `met` or `over` is told.
        """
        absence = self._known.get(place)
        if absence is None:
            return None
        if time.monotonic() >= absence.until and not absence.tried:
            absence.tried = True
            return None
        return self._left(absence)

    def known(self, place: Place) -> bool:
        """Whether a model was away when it was asked last."""
        return place in self._known

    def met(self, place: Place, error: ModelAway) -> bool:
        """A model is away; whether that is news."""
        news = place not in self._known
        self._known[place] = _Absence(error, time.monotonic() + max(error.probe_s, SHORTEST_S))
        return news

    def failed(self, place: Place, error: ChatError) -> ModelAway | None:
        """Why a call that failed as those of a model that is away do is worth another try; None: it is not known so."""
        absence = self._known.get(place)
        if absence is None or error.kind not in FAILURES:
            return None
        absence.tried = False
        return self._left(absence)

    def over(self, place: Place) -> bool:
        """A call has come to an end that says the model is there; whether that is news."""
        return self._known.pop(place, None) is not None

    @staticmethod
    def _left(absence: _Absence) -> ModelAway:
        seconds = max(absence.until - time.monotonic(), SHORTEST_S)
        error = absence.error
        return type(error)(error.message, error.remedy, probe_s=seconds)
