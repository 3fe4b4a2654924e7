"""What a run tells of how a dataset's file was read."""

from __future__ import annotations

from pathlib import Path

from flows.generation.recipes import Batch
from flows.generation.shelf import Shelf
from flows.runs.noting import log_notes, tell_notes
from flows.tables.dataset import read_dataset


def test_every_line_names_the_dataset_once(tmp_path: Path) -> None:
    table = tmp_path / "trees.csv"
    table.write_text("a,b\n1,2\n")
    plain = read_dataset(table)
    batch = Batch(key="k", source="template", proposed=0, questions=(), refused=())
    made = Shelf.of(tmp_path, plain)
    made.put(batch)
    report = made.report_path.read_text().replace('"questions": []', '"questions": ["q-1"]')
    made.report_path.write_text(report)
    dataset = plain.model_copy(
        update={
            "reading": plain.reading.model_copy(update={"delimiter": ";"}),
            "overruled": "trees.csv is read by another rule.",
            "notes": ("One.", "Two."),
        }
    )
    warned, logged = list[str](), list[str]()
    tell_notes(dataset, tmp_path, "the log", warned.append, logged.append)
    assert len(warned) == 4
    assert set(warned) < set(logged), "the log has the rules given as well"
    for line in (*warned, *logged):
        assert line.startswith("trees: ")
        assert not line.removeprefix("trees: ").startswith("trees: "), line


def test_what_is_not_shown_is_in_the_log_that_the_last_line_names(tmp_path: Path) -> None:
    table = tmp_path / "trees.csv"
    table.write_text("a,b\n1,2\n")
    notes = tuple(f"Column {at} has a note." for at in range(8))
    dataset = read_dataset(table).model_copy(update={"notes": notes})
    warned, logged = list[str](), list[str]()
    log_notes(dataset, tmp_path, "run-1", warned.append, logged.append)
    file = tmp_path / "logs" / "run-1" / "trees.log"
    assert warned[-1] == f"trees: 3 notes about reading more, see {file}"
    assert all(note in file.read_text() for note in notes)
    assert [f"trees: {note}" for note in notes] == logged
