"""Gathers a report from the store and the home; nothing is changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from blocks.chat.journal import Journal
from blocks.chat.ledger import Spending, spending
from blocks.chat.outages import Outage, outages
from flows.nights.shelf import Bench, dataset_names
from flows.overview.options import ReportOptions
from flows.overview.records import DatasetStanding, HomeReport, Line
from flows.runs.logs import log_name, told
from flows.tables.facts import known_notes
from flows.verification.former import episode_file, former_files
from flows.verification.store import read_index

SUMS = ("requests", "prompt_tokens", "completion_tokens", "cost_usd", "unreported")


async def gather_report(journal: Journal | None, home: Path, options: ReportOptions, run: str) -> HomeReport:
    """The report.

    Args:
        journal: The store; None where there is none yet.
        home: TRIGPOINT_HOME.
        options: What it is about.
        run: Name of the run, for its logs: written only where a dataset meets an error that nobody foresaw.
    """
    lines: tuple[Line, ...] = ()
    down: tuple[Outage, ...] = ()
    if journal is not None:
        found = await spending(
            journal, by=(*(name for name in options.by if name != "outcome"), "outcome"), since=options.since,
            until=options.until, run=options.run, flow=options.flow, model=options.model,
        )  # fmt: skip
        lines, down = _lines(found, options), await outages(journal)
    return HomeReport(by=options.by, lines=lines, outages=down, datasets=tuple(_standings(home, run)))


def _lines(found: tuple[Spending, ...], options: ReportOptions) -> tuple[Line, ...]:
    """Outcomes added up, unless they are to be told apart."""
    sums: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for entry in found:
        line = sums[tuple(getattr(entry, name) for name in options.by)]
        line.update({name: getattr(entry, name) for name in SUMS})
        line["failed"] += entry.requests if entry.outcome != "ok" else 0
    return tuple(Line.model_validate({"names": names, **line}) for names, line in sorted(sums.items()))


def _standings(home: Path, run: str) -> list[DatasetStanding]:
    found, told_of = [], set[Path]()
    for name in sorted(dataset_names(home)):
        try:
            bench = Bench(home, name, "")
            # Of files of earlier releases it may be that not every episode is of this dataset; they are told once.
            told_of |= {episode_file(home, bench.dataset), *former_files(home / "episodes", bench.dataset)}
            found.append(_standing(home, name, bench))
        except Exception as error:  # One bad dataset never keeps the others from the report.
            found.append(DatasetStanding(dataset=name, problem=told(error, home / "logs" / run, log_name(name))))
    elsewhere = [path for path in sorted((home / "episodes").glob("*.jsonl")) if path not in told_of]
    return [*found, *(_elsewhere(path, home / "logs" / run) for path in elsewhere)]


def _elsewhere(path: Path, logs: Path) -> DatasetStanding:
    """Of a dataset that is not in the home, such as `episode.py my.csv` asks about: what was asked is all we know."""
    try:
        found = read_index(path)
    except Exception as error:
        return DatasetStanding(dataset=path.stem, problem=told(error, logs, path.stem))
    verdicts = Counter(entry.verdict for entry in found.entries.values())
    return DatasetStanding(
        dataset=f"{path.stem} (not in datasets/)",
        questions=len(found.entries),
        open=sum(not entry.final for entry in found.entries.values()),
        verdicts=dict(sorted(verdicts.items())),
        problem=" ".join(found.problems),
    )


def _standing(home: Path, name: str, bench: Bench) -> DatasetStanding:
    standing, notes = bench.standing(), known_notes(home, bench.dataset)
    verdicts = Counter(entry.verdict for entry in standing.entries.values())
    return DatasetStanding(
        dataset=name,
        questions=standing.questions,
        open=standing.unanswered,
        verdicts=dict(sorted(verdicts.items())),
        notes=notes,
        problem=" ".join(standing.problems),
    )
