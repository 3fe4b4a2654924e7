"""The episode store: nothing that was written is lost, nothing torn is believed, one writer at a time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.held import Busy
from flows.verification.records import Episode
from flows.verification.store import EpisodeStore, StoreError, read_episodes, read_index
from tests.support.episodes import episode_on

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    async def make() -> list[Episode]:
        return [await episode_on(f"How many rows, version {number}?") for number in range(3)]

    return asyncio.run(make())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "episodes" / "cities.jsonl"


def fill(path: Path, episodes: list[Episode]) -> bytes:
    with EpisodeStore(path) as store:
        for episode in episodes:
            store.append(episode)
    return path.read_bytes()


def test_what_was_appended_is_found_again(path: Path, episodes: list[Episode]) -> None:
    fill(path, episodes)
    assert list(read_episodes(path)) == episodes
    with EpisodeStore(path) as store:
        assert list(store.entries) == [episode.episode_id for episode in episodes]
        assert store.get(episodes[1].episode_id) == episodes[1]
        assert store.finished(episodes[1].episode_id)
        assert store.get("unknown") is None
        assert not store.finished("unknown")
        store.append(episodes[0])
        assert store.get(episodes[0].episode_id) == episodes[0]


def test_a_missing_file_holds_nothing(path: Path) -> None:
    assert list(read_episodes(path)) == []


def test_the_last_record_of_a_key_holds_and_a_verdict_that_was_cut_off_is_not_final(
    path: Path, episodes: list[Episode]
) -> None:
    cut_off = episodes[0].model_copy(update={"verdict": episodes[0].verdict.model_copy(update={"verdict": "budget"})})
    with EpisodeStore(path) as store:
        store.append(cut_off)
        assert not store.finished(cut_off.episode_id)
        store.append(episodes[1])
        store.append(episodes[0])
        assert store.finished(episodes[0].episode_id)
    assert list(read_episodes(path)) == [episodes[0], episodes[1]]
    assert len(path.read_bytes().splitlines()) == 3


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_cutting_the_file_anywhere_costs_at_most_the_torn_record(
    tmp_path_factory: pytest.TempPathFactory, episodes: list[Episode], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "e.jsonl"
    whole = fill(path, episodes[:2])
    first = whole.index(b"\n") + 1
    edges = st.sampled_from([0, 1, first - 2, first - 1, first, first + 1, len(whole) - 1, len(whole)])
    at = data.draw(st.one_of(st.integers(0, len(whole)), edges))
    zeros = data.draw(st.sampled_from([0, 0, 1, 4096]), label="zero bytes a file system may leave behind")
    path.write_bytes(whole[:at] + b"\0" * zeros)
    # A record is whole when all but its line feed is there; zero bytes behind it tear it.
    ends = [first - 1, len(whole) - 1] if not zeros else [first, len(whole)]
    kept = [episode for episode, end in zip(episodes, ends, strict=False) if at >= end]
    assert list(read_episodes(path)) == kept
    with EpisodeStore(path) as store:
        assert store.problems == ()
        store.append(episodes[2])
    assert list(read_episodes(path)) == [*kept, episodes[2]]
    assert path.read_bytes() == b"".join(episode.to_line() for episode in [*kept, episodes[2]])


def test_a_damaged_line_in_the_middle_is_told_left_alone_and_costs_only_itself(
    path: Path, episodes: list[Episode]
) -> None:
    lines = [episode.to_line() for episode in episodes]
    damaged = b'{"episode_id": 5}\n'
    path.parent.mkdir()
    path.write_bytes(lines[0] + damaged + b"\xff\x00garbage\n\n" + lines[1])
    index = read_index(path)
    assert [problem.split(":")[1] for problem in index.problems] == ["2", "3"]
    with EpisodeStore(path) as store:
        store.append(episodes[2])
    assert list(read_episodes(path)) == episodes
    assert damaged in path.read_bytes()


def newer(episode: Episode, **changes: object) -> bytes:
    """The record of an episode as a newer Trigpoint might write it."""
    return json.dumps({**json.loads(episode.to_line()), "schema_version": 2, "moods": ["calm"], **changes}).encode()


def test_a_record_of_a_newer_version_is_told_and_left_and_costs_only_itself(
    path: Path, episodes: list[Episode]
) -> None:
    path.parent.mkdir()
    written = newer(episodes[0], verdict=["in another form"]) + b"\n" + episodes[1].to_line()
    path.write_bytes(written)
    with EpisodeStore(path) as store:
        assert not store.finished(episodes[0].episode_id)
        assert store.get(episodes[0].episode_id) is None
        assert list(store.newer) == [episodes[0].episode_id]
        (problem,) = store.problems
        assert f"{path}:1: this episode was written by a newer Trigpoint (schema version 2)" in problem
        assert store.get(episodes[1].episode_id) == episodes[1]
        store.append(episodes[2])
    assert path.read_bytes() == written + episodes[2].to_line()
    assert list(read_episodes(path)) == episodes[1:]


@pytest.mark.parametrize("part", ["verdict", "question", "dataset", "attempts"])
def test_a_record_that_turns_out_unreadable_is_no_episode_and_is_told(
    path: Path, episodes: list[Episode], part: str
) -> None:
    """Its line looks like an episode; only when it is needed is it found to be none, or to hold newer records."""
    data = json.loads(episodes[0].to_line())
    inner = data["attempts"][0] if part == "attempts" else data[part]
    inner["schema_version" if part != "dataset" else "rows"] = 2 if part != "dataset" else "many"
    path.parent.mkdir()
    path.write_bytes(json.dumps(data).encode() + b"\n" + episodes[1].to_line())
    with EpisodeStore(path) as store:
        assert store.get(episodes[0].episode_id) is None
        assert not store.finished(episodes[0].episode_id), "a question that is asked again can be kept"
        assert (episodes[0].episode_id in store.newer) == (part != "dataset")
        (problem,) = store.problems
        assert str(path) in problem
        assert episodes[0].question.id in problem
        store.append(episodes[0])
        assert store.get(episodes[0].episode_id) == episodes[0]


def test_there_is_one_writer_and_readers_are_not_held_up(path: Path, episodes: list[Episode]) -> None:
    with EpisodeStore(path) as store:
        store.append(episodes[0])
        with pytest.raises(Busy, match="Another run is writing"):
            EpisodeStore(path)
        assert list(read_episodes(path)) == [episodes[0]]
    EpisodeStore(path).close()


def test_a_closed_store_takes_nothing(path: Path, episodes: list[Episode]) -> None:
    store = EpisodeStore(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.append(episodes[0])


def test_a_full_disk_leaves_the_file_as_it_was(
    path: Path, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def half(fd: int, data: bytes) -> int:
        written = real(fd, bytes(data)[: len(data) // 2])
        monkeypatch.setattr(os, "write", _no_space)
        return written

    with EpisodeStore(path) as store:
        store.append(episodes[0])
        before = path.read_bytes()
        monkeypatch.setattr(os, "write", half)
        with pytest.raises(StoreError, match="No space left"):
            store.append(episodes[1])
        assert path.read_bytes() == before
        monkeypatch.setattr(os, "write", real)
        store.append(episodes[1])
    assert list(read_episodes(path)) == episodes[:2]


def test_a_file_that_cannot_be_cut_back_takes_nothing_more_until_it_is_mended(
    path: Path, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def half_then_full(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", _no_space)
        return real(fd, bytes(data)[: len(data) // 2])

    store = EpisodeStore(path)
    store.append(episodes[0])
    monkeypatch.setattr(os, "write", half_then_full)
    monkeypatch.setattr(os, "ftruncate", _no_space)
    with pytest.raises(StoreError, match="No space left"):
        store.append(episodes[1])
    monkeypatch.undo()
    with pytest.raises(StoreError, match="is closed"):
        store.append(episodes[2])
    with EpisodeStore(path) as mended:
        mended.append(episodes[2])
    assert list(read_episodes(path)) == [episodes[0], episodes[2]]


def _no_space(fd: int, data: object) -> int:
    raise OSError(28, "No space left on device")


def test_threads_may_append_side_by_side(path: Path, episodes: list[Episode]) -> None:
    made = [episodes[0].model_copy(update={"episode_id": str(number)}) for number in range(40)]
    with EpisodeStore(path) as store, ThreadPoolExecutor(8) as threads:
        entries = list(threads.map(store.append, made))
        assert all(store.get(entry.key) == episode for entry, episode in zip(entries, made, strict=True))
    assert sorted(episode.episode_id for episode in read_episodes(path)) == sorted(map(str, range(40)))


def test_a_record_counts_only_once_it_is_synced(
    path: Path, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync
    with EpisodeStore(path) as store:

        def watch(fd: int) -> None:
            synced.append(path.stat().st_size)
            real(fd)

        monkeypatch.setattr(os, "fsync", watch)
        for episode in episodes:
            store.append(episode)
    sizes = [len(episode.to_line()) for episode in episodes]
    assert synced == [sizes[0], sizes[0] + sizes[1], sum(sizes)]


WRITER = """
import asyncio, sys
from pathlib import Path
from flows.verification.store import EpisodeStore
from tests.support.episodes import episode_on

episode = asyncio.run(episode_on())
with EpisodeStore(Path(sys.argv[1])) as store:
    number = 0
    while True:
        number += 1
        store.append(episode.model_copy(update={"episode_id": str(number)}))
        print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_loses_nothing_it_reported_and_leaves_no_lock(path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert writer.stdout is not None
    reported = [int(writer.stdout.readline()) for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    reported += [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    writer.stdout.close()
    with EpisodeStore(path) as store:
        assert store.problems == ()
        assert set(map(str, reported)) <= set(store.entries)
        assert len(store.entries) <= len(reported) + 1
