"""Gathers a report from the store and the home; nothing is changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from blocks.chat.journal import Journal
from blocks.chat.ledger import Spending, spending
from blocks.chat.outages import Outage, outages
from blocks.errors import TrigpointError
from flows.nights.shelf import Bench, dataset_names
from flows.overview.options import ReportOptions
from flows.overview.records import DatasetStanding, HomeReport, Line

SUMS = ("requests", "prompt_tokens", "completion_tokens", "cost_usd", "unreported")


async def gather_report(journal: Journal | None, home: Path, options: ReportOptions) -> HomeReport:
    """The report.

    Args:
        journal: The store; None where there is none yet.
        home: TRIGPOINT_HOME.
        options: What it is about.
    """
    lines: tuple[Line, ...] = ()
    down: tuple[Outage, ...] = ()
    if journal is not None:
        found = await spending(
            journal, by=(*(name for name in options.by if name != "outcome"), "outcome"), since=options.since,
            until=options.until, run=options.run, flow=options.flow, model=options.model,
        )  # fmt: skip
        lines, down = _lines(found, options), await outages(journal)
    return HomeReport(by=options.by, lines=lines, outages=down, datasets=tuple(_standings(home)))


def _lines(found: tuple[Spending, ...], options: ReportOptions) -> tuple[Line, ...]:
    """Outcomes added up, unless they are to be told apart."""
    sums: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for entry in found:
        line = sums[tuple(getattr(entry, name) for name in options.by)]
        line.update({name: getattr(entry, name) for name in SUMS})
        line["failed"] += entry.requests if entry.outcome != "ok" else 0
    return tuple(Line.model_validate({"names": names, **line}) for names, line in sorted(sums.items()))


def _standings(home: Path) -> list[DatasetStanding]:
    return [_standing(home, name) for name in sorted(dataset_names(home))]


def _standing(home: Path, name: str) -> DatasetStanding:
    try:
        standing = Bench(home, name, "").standing()
    except (TrigpointError, ValueError) as error:
        return DatasetStanding(dataset=name, problem=str(error))
    verdicts = Counter(entry.verdict for entry in standing.entries.values())
    return DatasetStanding(
        dataset=name, questions=standing.questions, open=standing.unanswered, verdicts=dict(sorted(verdicts.items()))
    )
