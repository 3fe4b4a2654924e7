"""Answers of several models to the same prompt, the first few prompts of an experiment."""

from __future__ import annotations

from blocks.frozen import Frozen
from blocks.plurals import several
from flows.matrix.records import Result, Status
from flows.matrix.sampling import COLUMNS

MOST_CHARS = 4_000
MOST_ANSWERS = 24
"""To one prompt."""
MOST_VALUE = 300


class Shown(Frozen):
    """One answer as the page shows it."""

    row: int
    name: str
    status: Status
    text: str
    cut: int
    """Characters left out."""
    message: str
    facts: tuple[str, ...]


class Side(Frozen):
    """One prompt's answers."""

    variables: tuple[tuple[str, str], ...]
    answers: tuple[Shown, ...]
    more: int = 0
    """Answers left out."""


class SideBySide:
    """Collects them as results pass by.

    Args:
        most: Prompts at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._sides: dict[tuple[tuple[str, str], ...], list[Shown]] = {}
        self._more: dict[tuple[tuple[str, str], ...], int] = {}
        self.left_out = False
        """Whether there are further prompts."""

    def add(self, result: Result) -> None:
        """Take a result in, if there is room."""
        prompt = tuple((name, value) for name, value in result.variables.items() if name not in COLUMNS)
        if prompt not in self._sides:
            if len(self._sides) >= self._most:
                self.left_out = True
                return
            self._sides[prompt] = []
        answers = self._sides[prompt]
        if len(answers) < MOST_ANSWERS:
            answers.append(_shown(result))
        else:
            self._more[prompt] = self._more.get(prompt, 0) + 1

    def sides(self) -> list[Side]:
        """What was collected."""
        return [
            Side(
                variables=tuple((name, _short(value)) for name, value in prompt),
                answers=tuple(answers),
                more=self._more.get(prompt, 0),
            )
            for prompt, answers in self._sides.items()
        ]


def _shown(result: Result) -> Shown:
    facts = [f"{name} {result.variables[name]}" for name in COLUMNS if result.variables.get(name)]
    facts += [] if result.latency_s is None else [f"{result.latency_s:.2f} s"]
    facts += [] if result.completion_tokens is None else [several(result.completion_tokens, "token")]
    facts += [] if result.cost_usd is None else [f"US$\N{NO-BREAK SPACE}{result.cost_usd:.2g}"]
    return Shown(
        row=result.row,
        name=f"{result.provider}/{result.model}",
        status=result.status,
        text=result.output[:MOST_CHARS],
        cut=max(0, len(result.output) - MOST_CHARS),
        message=result.error_message,
        facts=tuple(facts),
    )


def _short(value: str) -> str:
    return value if len(value) <= MOST_VALUE else value[: MOST_VALUE - 1] + "…"
