"""An experiment run in the test's own process, without Prefect: what the flow does between its two borders."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blocks.model_desk import ModelDesk, model_desk
from blocks.settings import settings
from flows.matrix.checking import Checker, CheckReport
from flows.matrix.options import ExperimentOptions
from flows.matrix.records import Result
from flows.matrix.report import ExperimentReport
from flows.matrix.running import Experiment, Inputs, open_experiment

Ended = Callable[[Result | None], None]


class Bench:
    """A folder with a prompt, experiments and results.

    Args:
        folder: Where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.prompt("Say something about {{topic}}.")

    @property
    def output(self) -> Path:
        """The table of results."""
        return self.folder / "results.csv"

    def prompt(self, text: str) -> None:
        """Write the prompt."""
        self.file("prompt.txt", text)

    def file(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        return path

    def experiments(self, *lines: str) -> None:
        """Write the experiments."""
        self.file("experiments.csv", "\n".join(lines) + "\n")

    def inputs(self, **changes: Any) -> Inputs:
        """What a user would name."""
        given: dict[str, Any] = {
            "experiments": "experiments.csv",
            "prompt": "prompt.txt",
            "output": "results.csv",
            "context": (),
        }
        given |= changes
        for name in ("experiments", "prompt", "output"):
            if given[name] != "-":
                given[name] = str(self.folder / given[name])
        given["context"] = tuple(
            f"{slot}{equals}{self.folder / path}" if equals else str(self.folder / slot)
            for slot, equals, path in (each.partition("=") for each in given["context"])
        )
        return Inputs(**given)

    async def run(self, ended: Ended = lambda result: None, inputs: Inputs | None = None, **options: Any) -> Any:
        """Run it: the report, or what a check found."""
        chosen = ExperimentOptions(**{"report": False, **options})
        async with open_experiment(inputs or self.inputs(), chosen, settings().home, self.warnings.append) as work:
            self.notes = work.notes
            desk_of = model_desk(
                base_url=chosen.base_url, timeout_s=chosen.timeout, in_flight=chosen.concurrency,
                warn=self.warnings.append, spending=chosen.spending(),
            )  # fmt: skip
            async with desk_of as desk:
                return await self._work(work, desk, ended)

    async def _work(self, work: Experiment, desk: ModelDesk, ended: Ended) -> ExperimentReport | CheckReport:
        async def told(result: Result | None) -> None:
            ended(result)

        if work.options.validate_only:
            return await Checker(work, desk.seat, desk.listed).check()
        return await work.run("test", desk.seat, told, self.warnings.append)

    def rows(self, path: str = "results.csv") -> list[dict[str, str]]:
        """The rows of a CSV it wrote."""
        with (self.folder / path).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def lines_on_disk(self) -> list[bytes]:
        """The whole lines of the file of rows."""
        path = self.folder / "results.csv.rows.jsonl"
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the file of rows."""
        return [json.loads(line) for line in self.lines_on_disk()]
