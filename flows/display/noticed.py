"""What the traffic with models notices by itself, shown where the user looks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TRAFFIC = "blocks.chat"
"""Its loggers."""

Tell = Callable[[str], None]


class _Telling(logging.Handler):
    """Tells the view that was opened last: that of a run within a run is the one on the screen."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.views: list[Tell] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.views[-1](record.getMessage())
        except Exception:  # As every handler does: what cannot be shown ends no call.
            self.handleError(record)


_telling = _Telling()


@contextmanager
def noticed(tell: Tell) -> Iterator[None]:
    """While the body runs, tell of what holds calls up: a wait that a server asks for, a model that is not asked.

    Args:
        tell: Given each as a sentence, in whatever thread it is noticed.
    """
    logger = logging.getLogger(TRAFFIC)
    _telling.views.append(tell)
    logger.addHandler(_telling)
    try:
        yield
    finally:
        _telling.views.remove(tell)
        if not _telling.views:
            logger.removeHandler(_telling)
