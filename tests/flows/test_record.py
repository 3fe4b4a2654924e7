"""The tool that makes the demo's recording: it copies from a home the replies that the episodes there rest on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from blocks.chat.exported import read
from blocks.chat.journal import Journal
from flows.samples import SLUGS, dataset_folder
from flows.samples.record import record
from flows.samples.recording import JOURNAL, OPTIONS
from flows.tables.dataset import read_dataset
from flows.verification.former import open_episodes
from flows.verification.records import DatasetRef
from tests.support.episodes import LOADED, episode_on


async def put_episode(home: Path, slug: str, key: str) -> None:
    """An episode of a bundled dataset in a home, all of whose messages came with one call's reply."""
    dataset = read_dataset(dataset_folder(slug))
    episode = await episode_on()
    attempts = [
        attempt.model_copy(
            update={
                "messages": tuple(
                    message.model_copy(update={"call": message.call and message.call.model_copy(update={"key": key})})
                    for message in attempt.messages
                )
            }
        )
        for attempt in episode.attempts
    ]
    with open_episodes(home, dataset) as store:
        store.append(
            episode.model_copy(update={"dataset": DatasetRef.of(dataset, LOADED), "attempts": tuple(attempts)})
        )


async def test_a_recording_holds_the_replies_that_the_episodes_of_a_home_rest_on(tmp_path: Path) -> None:
    shipped = list(read(JOURNAL))
    with Journal(tmp_path / "store.db") as journal:
        await journal.import_jsonl(JOURNAL)
    for slug, call in zip(SLUGS, shipped, strict=False):
        await put_episode(tmp_path, slug, call.key)
    folder = tmp_path / "recording"
    assert await asyncio.to_thread(record, tmp_path, OPTIONS, folder) == len(SLUGS) < len(shipped)
    assert {call.key: call for call in read(folder / JOURNAL.name)} == {
        call.key: call for call in shipped[: len(SLUGS)]
    }
    assert json.loads((folder / OPTIONS.name).read_text()) == json.loads(OPTIONS.read_text())


async def test_a_dataset_without_episodes_is_named(tmp_path: Path) -> None:
    await put_episode(tmp_path, SLUGS[0], "0" * 64)
    with pytest.raises(ValueError, match=f"no episodes of {SLUGS[1]} in"):
        await asyncio.to_thread(record, tmp_path, OPTIONS, tmp_path / "recording")
