"""What a run tells of how a dataset's file was read."""

from __future__ import annotations

from pathlib import Path

from flows.generation.recipes import Batch
from flows.generation.shelf import Shelf
from flows.runs.noting import tell_notes
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
