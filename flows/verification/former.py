"""Files of earlier releases, which two datasets of one name shared: each takes what is its own, and nothing is lost.

They had the dataset's short name alone, now they have digits of its key as well. What is taken is on disk under its new
name before it goes from the old one, so that a killed run has lost nothing and the next one goes on.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import NamedTuple, Self

from blocks.replaced import replacing
from flows.tables.dataset import Dataset
from flows.verification.store import Entry, EpisodeStore, Index, StoreError, read_index

_SOURCES = ("template", "program", "llm")


class _Line(NamedTuple):
    """A line of a file of episodes: the episode it holds, and of which dataset; empty where it is none."""

    raw: bytes
    episode: str = ""
    dataset: str = ""

    @classmethod
    def of(cls, raw: bytes) -> Self:
        try:
            episode = json.loads(raw)
            dataset = episode["dataset"]
            return cls(raw, str(episode["episode_id"]), str(dataset.get("content") or dataset["key"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(raw)


def former_names(dataset: Dataset) -> list[str]:
    """What the files of a dataset may have been called: its short name, with and without the digits of its key."""
    plain = re.sub(rf"-{dataset.content[:8]}$", "", dataset.slug)
    return [name for name in dict.fromkeys((dataset.slug, plain)) if name != dataset.stem]


def former_files(folder: Path, dataset: Dataset, ending: str = ".jsonl") -> list[Path]:
    """The files of earlier releases that may hold something of a dataset."""
    return [path for name in former_names(dataset) if (path := folder / f"{name}{ending}").is_file()]


def episode_file(home: Path, dataset: Dataset) -> Path:
    """Where a home has the episodes of a dataset."""
    return home / "episodes" / f"{dataset.stem}.jsonl"


def open_episodes(home: Path, dataset: Dataset) -> EpisodeStore:
    """The writer of a dataset's episodes in a home, with those that files of earlier releases have of it.

    Raises:
        Busy: Another run is writing them.
        StoreError: They cannot be read or written.
    """
    take_episodes(home / "episodes", dataset)
    return EpisodeStore(episode_file(home, dataset))


def episode_index(home: Path, dataset: Dataset) -> Index:
    """The episodes of a dataset as they are on disk, wherever they are; nothing is changed.

    Raises:
        StoreError: A file cannot be read.
    """
    index = read_index(episode_file(home, dataset))
    found: dict[str, Entry] = {}
    for old in former_files(home / "episodes", dataset):
        former = read_index(old)
        found |= {key: entry for key, entry in former.entries.items() if entry.dataset_key == dataset.content}
        index = index._replace(newer=former.newer | index.newer, damaged=(*former.damaged, *index.damaged))
    return index._replace(entries=found | index.entries)


def take_episodes(folder: Path, dataset: Dataset) -> None:
    """Put the episodes that a dataset has in files of earlier releases into its own.

    Raises:
        Busy: Another run is writing one of the files.
        StoreError: One cannot be read or written.
    """
    new = folder / f"{dataset.stem}.jsonl"
    for old in former_files(folder, dataset):
        try:
            with EpisodeStore(old):  # Nobody writes it meanwhile.
                _take_episodes(old, new, dataset.content)
        except FileNotFoundError:  # Another run has just taken it.
            continue
        except OSError as error:
            raise StoreError(f"{old} cannot be taken over: {error.strerror}.", "Check the folder.") from error


def _take_episodes(old: Path, new: Path, content: str) -> None:
    lines = [_Line.of(line) for line in old.read_bytes().splitlines(keepends=True)]
    ours = [line for line in lines if line.dataset == content]
    if not ours:
        return
    if all(line.dataset in (content, "") for line in lines) and not new.exists():
        old.rename(new)
        return
    with EpisodeStore(new) as store:
        for line in ours:
            if not store.finished(line.episode) and line.episode not in store.newer:
                store.append_line(line.raw if line.raw.endswith(b"\n") else line.raw + b"\n")
    _rewrite(old, b"".join(line.raw for line in lines if line.dataset != content))


def take_questions(folder: Path, dataset: Dataset) -> None:
    """Put the questions that a dataset has in files of earlier releases into its own, with all that is kept about them.

    A question that says of no dataset is a user's own; where another dataset has the same name, both get it.

    Raises:
        OSError: A file cannot be read or written.
    """
    new = folder / f"{dataset.stem}.jsonl"
    for name in former_names(dataset):
        report = folder / f"{name}.report.json"
        if _report_of(report) == dataset.content:
            for source in _SOURCES:
                _move(folder / f"{name}.{source}.model.jsonl", folder / f"{dataset.stem}.{source}.model.jsonl")
            _move(report, folder / f"{dataset.stem}.report.json")
        old = folder / f"{name}.jsonl"
        # Another run may have taken it just now.
        with contextlib.suppress(FileNotFoundError):
            _take_questions(old, new, dataset.content)


def _take_questions(old: Path, new: Path, content: str) -> None:
    raw = old.read_bytes()
    lines = raw.splitlines(keepends=True)
    owners = [_question_of(line) for line in lines]
    foreign = any(owner not in (None, "", content) for owner in owners)
    if not foreign and not new.exists():
        old.rename(new)
        return
    if raw.lstrip().startswith(b"[") or not any(owner in (None, content) for owner in owners):
        return
    before = new.read_bytes() if new.exists() else b""
    known = set(before.splitlines())
    mine = [line for line, owner in zip(lines, owners, strict=True) if owner in (None, content)]
    fresh = [line.rstrip(b"\r\n") + b"\n" for line in mine if line.strip() not in known]
    # Where it is there already, only what says of the dataset is added: one that is missing was deleted by its user.
    if before:
        fresh = [line for line in fresh if not foreign or _question_of(line) == content]
    if fresh:
        _rewrite(new, before + (b"" if before.endswith(b"\n") or not before else b"\n") + b"".join(fresh))
    kept = [line for line, owner in zip(lines, owners, strict=True) if owner != content and (foreign or owner == "")]
    _rewrite(old, b"".join(kept))


def _question_of(line: bytes) -> str | None:
    """The dataset a question was made for; None: any; empty: the line is no question."""
    try:
        data = json.loads(line)
        return data.get("dataset_key") if isinstance(data, dict) else ""
    except (ValueError, RecursionError):
        return ""


def _report_of(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["dataset_key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _move(old: Path, new: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not new.exists():
            old.rename(new)


def _rewrite(path: Path, content: bytes) -> None:
    if not content.strip():
        path.unlink(missing_ok=True)
        return
    with replacing(path) as fresh:
        fresh.write_bytes(content)
