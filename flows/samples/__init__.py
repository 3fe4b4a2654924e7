"""The datasets and questions that ship with the package: real tables, freely licensed, as they were published."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SLUGS = ("penguins", "statecrime", "co2")
"""The bundled datasets, in the order of the demo."""


def dataset_folder(slug: str) -> Path:
    """The folder with data.csv and dataset.json of a bundled dataset."""
    return FOLDER / slug


def question_file(slug: str) -> Path:
    """The question file (JSON lines) of a bundled dataset."""
    return FOLDER / "questions" / f"{slug}.jsonl"
