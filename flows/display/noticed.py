"""What holds a run up, noticed deep below: shown where the user looks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOGGERS = ("blocks.chat", "blocks.slots")
"""Of the traffic with models and of the cap on sandboxes."""

Tell = Callable[[str], None]


class _Telling(logging.Handler):
    """Tells the view that was opened last: that of a run within a run is the one on the screen."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.views: list[Tell] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            for tell in self.views[-1:]:  # None is left where one thread still speaks while the last view closes.
                tell(record.getMessage())
        except Exception:  # As every handler does: what cannot be shown ends no call.
            self.handleError(record)


_telling = _Telling()


@contextmanager
def noticed(tell: Tell) -> Iterator[None]:
    """While the body runs, tell of what holds it up: a server's wait, a model that fails, sandboxes that others have.

    Args:
        tell: Given each as a sentence, in whatever thread it is noticed.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    _telling.views.append(tell)
    for logger in loggers:
        logger.addHandler(_telling)
    try:
        yield
    finally:
        _telling.views.remove(tell)
        if not _telling.views:
            for logger in loggers:
                logger.removeHandler(_telling)
