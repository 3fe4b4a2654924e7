"""Checking an experiment without asking: every row made ready, every model looked for, every size judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from blocks.errors import TrigpointError
from blocks.frozen import Frozen
from blocks.plurals import several
from flows.matrix.asking import window_warnings
from flows.matrix.drafting import Draft, SeatOf
from flows.matrix.estimating import estimated_tokens
from flows.matrix.running import Experiment

MOST = 100
"""Findings that are told one by one."""


class Finding(Frozen):
    """What is wrong with rows."""

    message: str
    rows: int
    first: int
    """Number of the first of them."""
    status: Literal["error", "warning"]


class CheckReport(Frozen):
    """What a check found."""

    schema_version: Literal[1] = 1
    rows: int
    good: int
    """Rows without a finding."""
    bad: int
    """Rows that would fail."""
    tokens: int
    """Of all prompts, estimated."""
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0: no row would fail. 1: some would. 2: all would."""
        if self.bad == self.rows:
            return 2
        return 1 if self.bad else 0

    def sentence(self) -> str:
        """The check in one sentence."""
        told = f"{several(self.rows, 'row')}: {self.good} ready to be asked"
        warned = self.rows - self.good - self.bad
        told += f", {warned} with a warning" if warned else ""
        told += f", {self.bad} would fail" if self.bad else ""
        return f"{told}; prompts of about {several(self.tokens, 'token')} together (an estimate)"

    def table(self) -> list[dict[str, Any]]:
        """Rows for a table artifact."""
        return [finding.model_dump() for finding in self.findings]


Listed = Callable[[str, str], Awaitable[bool | None]]
"""Whether a provider's own list has a model; None: it gives no list. Raises what keeps it from being asked."""


class Checker:
    """Checks the rows of an experiment.

    Args:
        work: The experiment.
        seat_of: Finds models.
        listed: Looks them up.
    """

    def __init__(self, work: Experiment, seat_of: SeatOf, listed: Listed) -> None:
        self._work, self._listed = work, listed
        self._drafter = work.drafter(seat_of)
        self._models: dict[tuple[str, str], str] = {}
        self._found: dict[tuple[str, str], list[int]] = {}

    async def check(self) -> CheckReport:
        """Look at every row; no model is asked anything."""
        states: Counter[str] = Counter()
        tokens = 0
        for row in self._work.sheet.rows():
            try:
                draft = await self._drafter.draft(row)
                tokens += estimated_tokens(draft.prompt)
                warnings = await self._warnings(draft)
            except TrigpointError as error:
                states["bad"] += 1
                self._note("error", " ".join(str(error).split()), row.number)
                continue
            states["good"] += not warnings
            for warning in warnings:
                self._note("warning", warning, row.number)
        findings = sorted(self._found.items(), key=lambda item: (item[0][0], -item[1][0]))
        return CheckReport(
            rows=self._work.sheet.count,
            good=states["good"],
            bad=states["bad"],
            tokens=tokens,
            findings=tuple(
                Finding(message=message, rows=count, first=first, status="error" if kind == "error" else "warning")
                for (kind, message), (count, first) in findings[:MOST]
            ),
        )

    async def _warnings(self, draft: Draft) -> list[str]:
        """What is to be said of a row that can be sent.

        Raises:
            TrigpointError: It cannot.
        """
        problem = await self._problem(draft.row.provider, draft.row.model)
        if problem:
            raise TrigpointError(problem)
        options = self._work.options
        window = await draft.seat.window() if options.check_context else None
        found = window_warnings(estimated_tokens(draft.prompt), window, options.context_share)
        if draft.missing:
            found.append(f"No column is called {', '.join(draft.missing)}: left in the prompt as it is.")
        return found

    async def _problem(self, provider: str, model: str) -> str:
        """Why a model cannot be asked; looked up once."""
        place = (provider, model)
        if place not in self._models:
            try:
                there = await self._listed(provider, model)
                self._models[place] = f"{provider} lists no model {model}." if there is False else ""
            except TrigpointError as error:
                self._models[place] = str(error)
        return self._models[place]

    def _note(self, kind: str, message: str, row: int) -> None:
        if (kind, message) in self._found:
            self._found[kind, message][0] += 1
        elif len(self._found) < 10 * MOST:
            self._found[kind, message] = [1, row]
