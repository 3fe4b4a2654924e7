"""What a session's code finds: `df`, the libraries under their usual names, `submit` and `note`."""

from __future__ import annotations

import builtins
import random
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from sandbox_image.zygote.events import EventPipe
from sandbox_image.zygote.values import to_tagged

_OVERHEAD = 4_096
"""Bytes an event has around its value, at most: names and code lines are cut to fit."""

_LIBRARIES = {
    "pd": "pandas",
    "np": "numpy",
    "scipy": "scipy",
    "stats": "scipy.stats",
    "sm": "statsmodels.api",
    "smf": "statsmodels.formula.api",
    "plt": "matplotlib.pyplot",
    "sklearn": "sklearn",
}
"""Usual names of what is preloaded."""

SEED = 0
"""`random` and `numpy.random` start from it in every session, so that replaying the same cells gives the same numbers.
Generators made without a seed (`numpy.random.default_rng()`) still draw from the system."""


def build(frame: object, events: EventPipe) -> dict[str, Any]:
    """The namespace of a new session: a fresh `__main__` module, so that pickling the user's classes works."""
    import numpy as np

    random.seed(SEED)
    np.random.seed(SEED)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    names = main.__dict__
    names.update({name: sys.modules[module] for name, module in _LIBRARIES.items() if module in sys.modules})
    names.update(df=frame, submit=_submitter(events), note=_noter(events), __builtins__=builtins)
    return names


def _submitter(events: EventPipe) -> Callable[[object], None]:
    def submit(answer: object) -> None:
        """Hand in the answer. The last one of a cell counts."""
        events.event(type="answer", value=to_tagged(answer, events.max_bytes - _OVERHEAD))

    return submit


def _noter(events: EventPipe) -> Callable[..., None]:
    def note(name: str, value: object, code_line: str = "", depends_on: Iterable[str] = ()) -> None:
        """Record an intermediate result: its name, its value, the line that made it, the notes it builds on."""
        if not isinstance(name, str) or not isinstance(code_line, str):
            raise TypeError("note() takes a name and a code_line that are strings")
        names = [depends_on] if isinstance(depends_on, str) else list(depends_on)
        if not all(isinstance(other, str) for other in names):
            raise TypeError("note() takes depends_on as a list of names")
        tagged = to_tagged(value, events.max_bytes // 2)
        if not events.event(type="note", name=name, value=tagged, code_line=code_line, depends_on=names):
            raise ValueError("the note is too long: shorten its name, code_line or depends_on")

    return note
