"""A log file of its own for each dataset of a run, so that parallel work stays readable."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


@contextmanager
def dataset_log(folder: Path, slug: str) -> Iterator[logging.Logger]:
    """A logger that writes to `<folder>/<slug>.log`, and passes on to Prefect's logs what is a warning or worse.

    Args:
        folder: `logs/<run>`.
        slug: The dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger(f"trigpoint.dataset.{folder.name}.{slug.replace('.', '_')}")
    handler = logging.FileHandler(folder / f"{slug}.log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        handler.close()
