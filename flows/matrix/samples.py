"""Samples to begin with: a prompt, experiments and a context file, ready to run with the mock provider."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal

from blocks.errors import UserError
from blocks.frozen import Frozen

FOLDER = Path(__file__).parent / "sample"
NAMES = ("prompt.txt", "experiments.csv", "context.txt")


class SampleReport(Frozen):
    """What was written."""

    schema_version: Literal[1] = 1
    folder: str
    files: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0: all of it."""
        return 0

    def sentence(self) -> str:
        """In one sentence."""
        return f"{len(self.files)} samples in {self.folder}"

    def table(self) -> list[dict[str, Any]]:
        """Rows for a table artifact."""
        return [{"file": each} for each in self.files]

    def command(self) -> str:
        """What runs them."""
        prompt, experiments, context = (shlex.quote(each) for each in self.files)
        return f"python flows/experiment.py -p {prompt} -e {experiments} -c {context} -o results.csv --flatten"


def write_samples(folder: Path) -> SampleReport:
    """Put the samples into a folder; what is there stays, and then nothing is written.

    Args:
        folder: Made where it is missing.

    Raises:
        UserError: One of them is there already, or cannot be written.
    """
    targets = [folder / name for name in NAMES]
    there = [path for path in targets if path.exists()]
    if there:
        raise UserError(f"{there[0]} is there already; nothing was written.", "Name another folder: --init FOLDER.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in targets:
            with path.open("xb") as file:
                file.write((FOLDER / path.name).read_bytes())
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}.", "Check the folder.") from error
    return SampleReport(folder=str(folder), files=tuple(map(str, targets)))
