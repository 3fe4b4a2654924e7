"""Homes on one storage: episodes, questions and datasets of each are those of all, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.objects import Folder, ObjectStore, Patience
from flows.generation.recipes import Batch
from flows.generation.shelf import Shelf
from flows.questions.records import AnswerSpec, Question
from flows.sharing.datasets import SharedDatasets, take_named
from flows.sharing.episodes import SharedEpisodes
from flows.sharing.share import HomeShare
from flows.tables.cards import DownloadCard, write_record
from flows.tables.dataset import Dataset, read_dataset
from flows.tables.profiling import DatasetProfile
from flows.verification.records import Episode
from flows.verification.store import EpisodeStore, read_episodes
from tests.support.episodes import episode_on
from tests.support.properties import PATIENT

KEY = "a" * 64
COUNT = 5


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    async def make() -> list[Episode]:
        return [await episode_on(f"How many rows, version {number}?") for number in range(COUNT)]

    return asyncio.run(make())


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    (tmp_path / "volume").mkdir()
    return ObjectStore(Folder(tmp_path / "volume"), "volume")


@settings(PATIENT, max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["make", "merge"]), st.integers(0, COUNT - 1)), max_size=9)
)
def test_however_homes_take_turns_all_end_with_the_union(
    episodes: list[Episode], turns: Sequence[tuple[int, str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "volume").mkdir()
        objects = ObjectStore(Folder(root / "volume"), "volume")

        async def merge(home: int) -> None:
            with EpisodeStore(root / f"{home}.jsonl") as store:
                assert await SharedEpisodes(objects, episodes[0].dataset.key).merge(store) == ()

        made = set()
        for home, what, number in turns:
            if what == "merge":
                asyncio.run(merge(home))
                continue
            made.add(episodes[number].episode_id)
            with EpisodeStore(root / f"{home}.jsonl") as store:
                if not store.finished(episodes[number].episode_id):
                    store.append(episodes[number])
        for home in (0, 1, 2, 0, 1):
            asyncio.run(merge(home))
        for home in range(3):
            found = [each.episode_id for each in read_episodes(root / f"{home}.jsonl")]
            assert sorted(found) == sorted(made)
            assert (root / f"{home}.jsonl").read_bytes().count(b"\n") == len(made), "nothing is there twice"


async def test_an_object_that_is_no_episode_is_told_and_left(
    tmp_path: Path, objects: ObjectStore, episodes: list[Episode]
) -> None:
    key = episodes[0].dataset.key
    await objects.write(f"episodes/{key}/{'0' * 64}.json", b'{"torn')
    await objects.write(f"episodes/{key}/{'1' * 64}.json", episodes[1].to_line())
    with EpisodeStore(tmp_path / "home.jsonl") as store:
        store.append(episodes[0])
        problems = await SharedEpisodes(objects, key).merge(store)
        assert len(problems) == 2
        assert list(store.entries) == [episodes[0].episode_id]
    assert await objects.read(f"episodes/{key}/{'0' * 64}.json") == b'{"torn'


async def test_an_outage_while_questions_are_answered_becomes_the_run_s_trouble(
    tmp_path: Path, episodes: list[Episode]
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    share = HomeShare(ObjectStore(Folder(volume), "volume", Patience(2, 0.01)), tmp_path / "home").of(
        read_dataset(tmp_path / "data.csv")
    )
    await share.give_episode(episodes[0])
    assert share.trouble == ""
    volume.rename(tmp_path / "gone")
    await share.give_episode(episodes[1])
    assert "volume" in share.trouble
    (tmp_path / "gone").rename(volume)


def question(name: str) -> Question:
    return Question(
        id=f"template-{name}", source="template", text=f"What is {name}?", reference_program="submit(1)",
        ground_truth=1, dataset_key=KEY, answer=AnswerSpec(type="int"), provenance={"name": name},
    )  # fmt: skip


def batch(key: str, *names: str) -> Batch:
    return Batch(key=key, source="template", proposed=9, questions=tuple(map(question, names)), refused=())


def home_share(objects: ObjectStore, home: Path, slug: str) -> tuple[HomeShare, Dataset, Shelf]:
    record = Dataset(slug=slug, key=KEY, path=home / "data.csv", bytes=1)
    return HomeShare(objects, home), record, Shelf(home / "questions", slug, KEY)


async def test_questions_go_with_their_reports_and_with_what_a_user_added(tmp_path: Path, objects: ObjectStore) -> None:
    one, record, shelf = home_share(objects, tmp_path / "one", "cities")
    shelf.path.parent.mkdir(parents=True)
    shelf.path.write_text(json.dumps({"id": "mine", "text": "Why?"}) + "\n")
    shelf.put(batch("k1", "a", "b"))
    await one.of(record).give_questions()

    # The other home knows the same content under another name.
    other, record, theirs = home_share(objects, tmp_path / "other", "towns")
    said: list[str] = []
    await other.of(record).exchange_questions(said.append)
    assert said == []
    assert {each.id for each in theirs.questions()} == {"mine", "template-a", "template-b"}
    assert theirs.done("k1") == shelf.done("k1") is not None

    theirs.put(batch("k2", "c"))
    await other.of(record).give_questions()
    await one.of(record).exchange_questions(said.append)
    assert shelf.done("k1") is not None, "what a home has of a source stays until it makes that anew"
    third, record, last = home_share(objects, tmp_path / "third", "cities")
    await third.of(record).exchange_questions(said.append)
    assert last.done("k2") is not None, "an empty home takes what was made last"


def downloaded(home: Path, slug: str, content: str) -> None:
    folder = home / "datasets" / slug
    folder.mkdir(parents=True)
    (folder / "data.csv").write_text(content)
    (folder / "dataset.json").write_text('{"title": "By hand"}')


async def test_datasets_come_whole_or_not_at_all(tmp_path: Path, objects: ObjectStore) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    downloaded(one, "cities", "a,b\n1,2\n")
    downloaded(one, "rain", "a,b\n3,4\n")
    await SharedDatasets(objects, one).exchange()
    names = await objects.names("datasets")
    assert len(names) == 6
    damaged = next(name for name in names if name.startswith("rain/") and name.endswith("data.csv"))
    await objects.write(f"datasets/{damaged}", b"a,b\n3,")

    assert await take_named(objects, other, [str(other / "datasets" / "cities")]) == ()
    assert [each.name for each in (other / "datasets").iterdir()] == ["cities"]
    problems = await SharedDatasets(objects, other).exchange()
    assert len(problems) == 1
    assert "damaged" in problems[0]
    assert [each.name for each in (other / "datasets").iterdir()] == ["cities"]
    assert (other / "datasets" / "cities" / "dataset.json").read_text() == '{"title": "By hand"}'
    assert list((other / "incoming").iterdir()) == [], "nothing half-fetched is left"
    assert await SharedDatasets(objects, one).exchange() == (), "a home that has it needs nothing"


async def test_what_only_a_home_has_is_in_the_storage_before_a_newer_version_takes_its_folder(
    tmp_path: Path, objects: ObjectStore
) -> None:
    for home, content, day in (("newer", "a\n2\n", 2), ("older", "a\n1\n", 1)):
        downloaded(tmp_path / home, "cities", content)
        card = DownloadCard(
            source="kaggle:o/cities", retrieved_at=datetime(2026, 1, day, tzinfo=UTC), bytes=4, sha256=KEY,
            encoding="utf-8", delimiter=",", rows=1, column_count=1,
            profile=DatasetProfile(rows=1, columns=1, facts=()),
        )  # fmt: skip
        write_record(tmp_path / home / "datasets" / "cities" / "dataset.json", card)
        assert await SharedDatasets(objects, tmp_path / home).exchange() == ()
    assert (tmp_path / "older" / "datasets" / "cities" / "data.csv").read_text() == "a\n2\n"
    data = [name for name in await objects.names("datasets") if name.endswith("data.csv")]
    assert sorted([await objects.read(f"datasets/{name}") for name in data]) == [b"a\n1\n", b"a\n2\n"]


def test_without_a_storage_nothing_happens(tmp_path: Path) -> None:
    share = HomeShare(None, tmp_path)
    asyncio.run(share.exchange_datasets(pytest.fail))
    asyncio.run(share.take_named(["datasets/x"], pytest.fail))
    assert list(tmp_path.iterdir()) == []
