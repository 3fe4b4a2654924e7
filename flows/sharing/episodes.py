"""A dataset's episodes in the storage: one object for each episode key, so that no host can overwrite another's."""

from __future__ import annotations

import asyncio

from blocks.objects import ObjectStore
from blocks.together import together
from flows.sharing.deciding import exchange
from flows.verification.records import Episode
from flows.verification.store import EpisodeStore

AT_ONCE = 16
"""Objects under way at once."""
_ENDING = ".json"


class SharedEpisodes:
    """`episodes/<dataset key>/<episode key>.json`.

    Args:
        objects: The storage.
        dataset_key: The dataset's `content`: its sha256, by other rules for reading another.
    """

    def __init__(self, objects: ObjectStore, dataset_key: str) -> None:
        self._objects, self._key = objects, dataset_key
        self._there: set[str] = set()
        self._free = asyncio.Semaphore(AT_ONCE)

    @property
    def _folder(self) -> str:
        return f"episodes/{self._key}"

    async def merge(self, store: EpisodeStore) -> tuple[str, ...]:
        """Let home and storage both hold every finished episode that either has.

        Args:
            store: The home's episodes.

        Returns:
            A sentence for each object that is no episode; it is left as it is.

        Raises:
            StorageError: The storage did not answer.
            StoreError: An episode could not be written here.
        """
        names = await self._objects.names(self._folder)
        self._there = {name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING)}
        own = {entry.key for entry in store.entries.values() if entry.final and entry.dataset_key == self._key}
        # One whose verdict does not stand gives way to one from elsewhere; one of a newer Trigpoint to none.
        take, give = exchange(own, self._there - store.newer.keys())
        problems = []
        for key, episode in zip(take, await together(self._read(key) for key in take), strict=True):
            if episode is None:
                problems.append(f"{self._objects.name}: {self._name(key)} is no episode of this dataset; it is left.")
            else:
                await asyncio.to_thread(store.append, episode)
        await together(self._give(store, key) for key in give)
        return tuple(problems)

    async def put(self, episode: Episode) -> None:
        """Give an episode to the storage, unless it has one by that key or the verdict does not stand.

        Raises:
            StorageError: The storage did not answer.
        """
        key = episode.episode_id
        if episode.final and key not in self._there:
            async with self._free:
                await self._objects.write(self._name(key), episode.to_line())
            self._there.add(key)

    async def _give(self, store: EpisodeStore, key: str) -> None:
        episode = await asyncio.to_thread(store.get, key)
        if episode is not None:
            await self.put(episode)

    async def _read(self, key: str) -> Episode | None:
        """The episode of a key; None where the object is none, or another's."""
        async with self._free:
            content = await self._objects.read(self._name(key))
        try:
            episode = Episode.from_line(content)
        except ValueError:
            return None
        return episode if (episode.episode_id, episode.dataset.table) == (key, self._key) else None

    def _name(self, key: str) -> str:
        return f"{self._folder}/{key}{_ENDING}"
