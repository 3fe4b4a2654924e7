"""A log file of its own for each dataset of a run, so that parallel work stays readable."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blocks.errors import TrigpointError, words_of
from flows.tables.dataset import slug_of

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


class _LogFile(logging.FileHandler):
    """A file whose disk may be full: that is no reason for a traceback in the midst of what a run shows."""

    refused: OSError | None = None

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exception()
        if isinstance(error, OSError):
            self.refused = error
        else:
            super().handleError(record)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # What could not be written is tried once more.
            super().close()


@contextmanager
def dataset_log(folder: Path, slug: str) -> Iterator[logging.Logger]:
    """A logger that writes to `<folder>/<slug>.log`, and passes on to Prefect's logs what is a warning or worse.

    Args:
        folder: `logs/<run>`.
        slug: The dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger(f"trigpoint.dataset.{folder.name}.{slug.replace('.', '_')}")
    handler = _LogFile(folder / f"{slug}.log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        handler.close()


def log_name(name: str) -> str:
    """A name that a log file can have, made of one that may hold anything."""
    return slug_of(Path(f"{name.rstrip('/')}.csv"))


def told(error: Exception, folder: Path, slug: str) -> str:
    """What ended the work on a dataset, in a sentence that names it; of what nobody foresaw, the log has the traceback.

    Args:
        error: It.
        folder: `logs/<run>`.
        slug: The dataset.
    """
    if isinstance(error, TrigpointError):
        return str(error) if slug in str(error) else f"{slug}: {error}"
    words = f"{slug}: {words_of(error)}"
    try:
        with dataset_log(folder, slug) as log:
            log.error("An error that nobody foresaw ended the work on %s.", slug, exc_info=error)
            lost = [each.refused for each in log.handlers if isinstance(each, _LogFile) and each.refused]
        if lost:
            raise lost[0]
    except OSError as refused:
        return f"{words} (its log cannot be written: {refused.strerror})."
    return f"{words} (the traceback is in {folder / f'{slug}.log'})."
