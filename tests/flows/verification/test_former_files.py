"""Files of earlier releases, shared by datasets of one name: each takes its own, nothing is lost or doubled."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from blocks.appended import AppendedFile
from blocks.held import Busy
from flows.generation.shelf import Shelf, made_by_other_rules
from flows.questions.files import read_questions
from flows.questions.records import Question
from flows.tables.dataset import Dataset, read_dataset
from flows.verification.batch import gather_questions
from flows.verification.former import episode_index, open_episodes
from flows.verification.records import DatasetRef
from flows.verification.store import EpisodeStore, read_index
from tests.flows.generation.test_shelf import batch
from tests.support.episodes import LOADED, episode_on
from tests.support.waiting import SECONDS


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Dataset, Dataset]:
    """Two datasets of one name."""
    found = []
    for name, text in (("a", "x,y\n1,2\n"), ("b", "x,y\n3,4\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.csv").write_text(text)
        found.append(read_dataset(tmp_path / name / "train.csv"))
    one, other = found
    assert one.slug == other.slug == "train"
    return one, other


async def put_episodes(path: Path, *datasets: Dataset) -> list[str]:
    """An old file with an episode of each dataset; the keys."""
    keys = []
    with EpisodeStore(path) as store:
        for number, dataset in enumerate(datasets):
            episode = await episode_on(text=f"How many rows, {number}?")
            ref = DatasetRef.of(dataset, LOADED)
            keys.append(f"{number}" * 64)
            store.append(episode.model_copy(update={"dataset": ref, "episode_id": keys[-1]}))
    return keys


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_file_of_one_dataset_gets_its_new_name(tmp_path: Path, twins: tuple[Dataset, Dataset]) -> None:
    one, _ = twins
    old = tmp_path / "episodes" / "train.jsonl"
    keys = await put_episodes(old, one, one)
    before = old.read_bytes()
    assert list(episode_index(tmp_path, one).entries) == keys, "a report reads it where it is"
    assert old.exists()
    with open_episodes(tmp_path, one) as store:
        assert list(store.entries) == keys
        assert store.get(keys[0]) is not None
    assert names(old.parent) == {f"{one.stem}.jsonl"}
    assert (old.parent / f"{one.stem}.jsonl").read_bytes() == before


async def test_a_shared_file_is_parted(tmp_path: Path, twins: tuple[Dataset, Dataset]) -> None:
    one, other = twins
    old = tmp_path / "episodes" / "train.jsonl"
    first, second, third = await put_episodes(old, one, other, one)
    for _ in range(2):
        with open_episodes(tmp_path, one) as store:
            assert list(store.entries) == [first, third]
        with open_episodes(tmp_path, other) as store:
            assert list(store.entries) == [second]
    assert names(old.parent) == {f"{one.stem}.jsonl", f"{other.stem}.jsonl"}
    for stem, count in ((one.stem, 2), (other.stem, 1)):
        assert (old.parent / f"{stem}.jsonl").read_bytes().count(b"\n") == count


async def test_what_stands_in_the_new_file_is_not_taken_and_what_was_cut_off_is(
    tmp_path: Path, twins: tuple[Dataset, Dataset]
) -> None:
    """The old file's last record is whole, only its line feed is missing."""
    one, other = twins
    folder = tmp_path / "episodes"
    first, _, third = await put_episodes(folder / "train.jsonl", one, other, one)
    lines = (folder / "train.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "train.jsonl").write_bytes(b"".join(lines)[:-1])
    (folder / f"{one.stem}.jsonl").write_bytes(lines[0])
    with open_episodes(tmp_path, one) as store:
        assert list(store.entries) == [first, third]
        assert store.get(third) is not None
    assert (folder / f"{one.stem}.jsonl").read_bytes() == lines[0] + lines[2]
    assert (folder / "train.jsonl").read_bytes() == lines[1]


async def test_what_a_killed_run_has_taken_is_not_taken_twice(tmp_path: Path, twins: tuple[Dataset, Dataset]) -> None:
    one, other = twins
    folder = tmp_path / "episodes"
    (first, _) = await put_episodes(folder / "train.jsonl", one, other)
    # Killed after the copy and before the old file was written anew; a torn record besides.
    whole = (folder / "train.jsonl").read_bytes().splitlines(keepends=True)[0]
    (folder / f"{one.stem}.jsonl").write_bytes(whole + whole[:50])
    with open_episodes(tmp_path, one) as store:
        assert list(store.entries) == [first]
    assert (folder / f"{one.stem}.jsonl").read_bytes() == whole
    assert [entry.dataset_key for entry in read_index(folder / "train.jsonl").entries.values()] == [other.key]


async def test_a_file_that_another_run_writes_is_left(tmp_path: Path, twins: tuple[Dataset, Dataset]) -> None:
    one, _ = twins
    old = tmp_path / "episodes" / "train.jsonl"
    await put_episodes(old, one)
    with AppendedFile(old) as file:
        file.lock()
        with pytest.raises(Busy, match="Another run is writing"):
            open_episodes(tmp_path, one)
    assert old.exists()


async def test_a_dataset_read_by_rules_takes_nothing_that_was_read_without(
    tmp_path: Path, twins: tuple[Dataset, Dataset]
) -> None:
    one, _ = twins
    await put_episodes(tmp_path / "episodes" / "train.jsonl", one)
    ruled = one.model_copy(update={"reading": one.reading.model_copy(update={"delimiter": ";"})})
    with open_episodes(tmp_path, ruled) as store:
        assert store.entries == {}
    with open_episodes(tmp_path, one) as store:
        assert len(store.entries) == 1


def asked(dataset: Dataset, home: Path) -> list[str]:
    return [question.text for question in gather_questions(dataset, None, (), home).questions]


def old_questions(home: Path, *owners: str | None) -> Path:
    path = home / "questions" / "train.jsonl"
    path.parent.mkdir(exist_ok=True)
    lines = [{"id": f"q{at}", "text": f"{at}?", "dataset_key": owner} for at, owner in enumerate(owners)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_questions_of_one_dataset_get_their_new_name(tmp_path: Path, twins: tuple[Dataset, Dataset]) -> None:
    one, _ = twins
    folder = tmp_path / "questions"
    old_questions(tmp_path, one.key, None)
    report = {"dataset": "train", "dataset_key": one.key, "sources": []}
    (folder / "train.report.json").write_text(json.dumps(report))
    (folder / "train.llm.model.jsonl").write_text("{}\n")
    assert asked(one, tmp_path) == ["0?", "1?"], "they are read where they are"
    Shelf.of(tmp_path, one)
    assert names(folder) == {f"{one.stem}{ending}" for ending in (".jsonl", ".report.json", ".llm.model.jsonl")}
    assert asked(one, tmp_path) == ["0?", "1?"]


def test_questions_of_two_datasets_are_parted_and_a_users_own_are_both_s(
    tmp_path: Path, twins: tuple[Dataset, Dataset]
) -> None:
    one, other = twins
    old_questions(tmp_path, one.key, other.key, None)
    assert asked(one, tmp_path) == ["0?", "2?"]
    assert not gather_questions(one, None, (), tmp_path).problems, "what is another's there is no mistake"
    for _ in range(2):
        Shelf.of(tmp_path, one)
        Shelf.of(tmp_path, other)
        assert sorted(asked(one, tmp_path)) == ["0?", "2?"]
        assert sorted(asked(other, tmp_path)) == ["1?", "2?"]
    assert names(tmp_path / "questions") == {f"{one.stem}.jsonl", f"{other.stem}.jsonl"}


def test_a_file_put_there_later_is_taken_in(tmp_path: Path, twins: tuple[Dataset, Dataset]) -> None:
    one, _ = twins
    Shelf.of(tmp_path, one).take_in([Question(id="mine", text="Mine?")])
    old_questions(tmp_path, None)
    Shelf.of(tmp_path, one)
    assert asked(one, tmp_path) == ["Mine?", "0?"]
    assert names(tmp_path / "questions") == {f"{one.stem}.jsonl"}


def test_lines_that_are_no_questions_stay_where_they_are(tmp_path: Path, twins: tuple[Dataset, Dataset]) -> None:
    one, other = twins
    old = old_questions(tmp_path, one.key, other.key)
    with old.open("a") as file:
        file.write("{broken\n")
    Shelf.of(tmp_path, one)
    assert b"{broken" in old.read_bytes()
    assert asked(one, tmp_path) == ["0?"]


def test_questions_are_not_taken_over_while_another_run_writes_them(
    tmp_path: Path, twins: tuple[Dataset, Dataset]
) -> None:
    """Nor under the name that the dataset has in a run of both."""
    one, _ = twins
    among_others = one.model_copy(update={"slug": one.stem})
    old_questions(tmp_path, one.key, None)
    taking = threading.Thread(target=Shelf.of, args=(tmp_path, among_others))
    with Shelf(tmp_path / "questions", one.slug, one.content)._writing():
        taking.start()
        taking.join(0.5)
        assert names(tmp_path / "questions") == {"train.jsonl"}
        (tmp_path / "questions" / f"{one.stem}.jsonl").write_text('{"id": "mine", "text": "Mine?"}\n')
    taking.join(SECONDS)
    assert asked(one, tmp_path) == ["Mine?", "0?", "1?"]


def test_two_datasets_of_one_name_keep_their_questions(tmp_path: Path, twins: tuple[Dataset, Dataset]) -> None:
    shelves = [Shelf.of(tmp_path, each) for each in twins]
    for shelf, name in zip(shelves, "ab", strict=True):
        shelf.put(batch("key", name))
    assert [[each.id for each in shelf.questions()] for shelf in shelves] == [["template-a"], ["template-b"]]
    assert all(read_questions(shelf.path).questions for shelf in shelves)
    assert all(shelf.done("key") for shelf in shelves)


def test_a_run_of_both_and_a_run_of_one_have_the_same_files(twins: tuple[Dataset, Dataset]) -> None:
    one, _ = twins
    among_others = one.model_copy(update={"slug": f"{one.slug}-{one.content[:8]}"})
    assert among_others.stem == one.stem
    long = one.model_copy(update={"slug": "a" * 80})
    assert len(long.stem) == 80


def test_questions_made_by_other_rules_are_told_of(tmp_path: Path, twins: tuple[Dataset, Dataset]) -> None:
    one, other = twins
    Shelf.of(tmp_path, one).put(batch("key", "a", "b"))
    ruled = one.model_copy(update={"reading": one.reading.model_copy(update={"delimiter": ";"})})
    (told,) = made_by_other_rules(tmp_path, ruled)
    assert told.startswith(f"2 questions in {one.stem}.jsonl were made by other rules")
    assert made_by_other_rules(tmp_path, one) == made_by_other_rules(tmp_path, other) == []
    Shelf.of(tmp_path, ruled).put(batch("key", "c"))
    assert len(made_by_other_rules(tmp_path, one)) == 1, "and the other way round"
    among_others = ruled.model_copy(update={"slug": f"{ruled.slug}-{ruled.content[:8]}"})
    assert made_by_other_rules(tmp_path, among_others) == [told]
    former = tmp_path / "questions" / f"{one.slug}.report.json"
    (tmp_path / "questions" / f"{one.stem}.report.json").rename(former)
    (told,) = made_by_other_rules(tmp_path, ruled)
    assert told.startswith(f"2 questions in {one.slug}.jsonl")
