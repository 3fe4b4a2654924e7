"""The datasets of a home and those in the storage: which are there, and copying whole ones either way."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from blocks.digests import file_digest
from blocks.errors import DatasetError
from blocks.objects import ObjectStore
from blocks.together import together
from flows.sharing.deciding import FileName, Held, Manifest, Taken, datasets_to_take
from flows.tables.cards import read_card
from flows.tables.dataset import read_dataset
from flows.tables.shelf import Shelf

_MANIFEST = "manifest.json"
_FILES: tuple[FileName, ...] = ("data.csv", "sketch.json", "dataset.json")
_AT_ONCE = 8


class SharedDatasets:
    """`datasets/<slug>/<key>/`: the files of a dataset and, put there last, its manifest.

    Args:
        objects: The storage.
        home: TRIGPOINT_HOME.
    """

    def __init__(self, objects: ObjectStore, home: Path) -> None:
        self._objects, self._shelf = objects, Shelf(home)
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def exchange(self) -> tuple[str, ...]:
        """Let home and storage both hold the datasets of either; each is looked through once.

        What the home has goes first: a newer version may take its folder.

        Returns:
            A sentence for each that is damaged; it is left out.

        Raises:
            StorageError: The storage did not answer.
        """
        held, there = await asyncio.to_thread(self.held), await self._manifests()
        await self._give_all(held, there)
        return await self._take_all(held, there)

    async def take(self, slug: str) -> tuple[str, ...]:
        """Bring home what has this name, where the home lacks it; otherwise as `exchange`."""
        return await self._take_all(await asyncio.to_thread(self.held), await self._manifests(slug))

    async def give(self, slug: str) -> None:
        """Let the storage have a dataset of the home.

        Raises:
            StorageError: The storage did not answer.
        """
        await self._give_all(await asyncio.to_thread(self.held, slug), await self._manifests(slug))

    def held(self, slug: str = "") -> list[Held]:
        """The datasets of the home; folders that hold none are left out."""
        found = sorted(self._shelf.folder.glob(f"{slug or '*'}/data.csv"))
        manifests = ((each.parent.name, _manifest(each.parent)) for each in found)
        return [Held(folder, manifest) for folder, manifest in manifests if manifest is not None]

    async def _manifests(self, slug: str = "") -> list[str]:
        """Names of the manifests in the storage: of all datasets, or of those with a name."""
        top = f"datasets/{slug}".rstrip("/")
        return [f"{top}/{each}" for each in await self._objects.names(top) if each.endswith(f"/{_MANIFEST}")]

    async def _take_all(self, held: Sequence[Held], there: Sequence[str]) -> tuple[str, ...]:
        known = {each.manifest.key for each in held}
        wanted = [name for name in there if _key(name) not in known]
        offered, problems = [], []
        for name, content in zip(wanted, await together(self._read(each) for each in wanted), strict=True):
            try:
                offered.append(Manifest.model_validate_json(content))
            except ValidationError:
                problems.append(f"{self._objects.name}: {name} cannot be read; its dataset is left out.")
        said = await together(self._take(each) for each in datasets_to_take(held, offered))
        return (*problems, *filter(None, said))

    async def _give_all(self, held: Sequence[Held], there: Sequence[str]) -> None:
        known = set(map(_key, there))
        for each in held:
            if each.manifest.key not in known:
                await self._give(each)

    async def _give(self, held: Held) -> None:
        folder, place, files = self._shelf.folder / held.folder, _place(held.manifest), dict[FileName, str]()
        for name in _FILES:
            if (folder / name).is_file():
                files[name] = await asyncio.to_thread(file_digest, folder / name)
                await self._objects.send(folder / name, f"{place}/{name}")
        manifest = held.manifest.model_copy(update={"files": files})
        await self._objects.write(f"{place}/{_MANIFEST}", manifest.model_dump_json().encode())

    async def _take(self, taken: Taken) -> str:
        """Copy a dataset; why it could not be, in a sentence, or nothing."""
        manifest = taken.manifest
        staged = self._shelf.incoming / f"shared-{manifest.key[:16]}-{uuid4().hex[:8]}"
        staged.mkdir(parents=True)
        try:
            async with self._free:
                for name, digest in manifest.files.items():
                    await self._objects.fetch(f"{_place(manifest)}/{name}", staged / name)
                    if await asyncio.to_thread(file_digest, staged / name) != digest:
                        return f"{self._objects.name}: {_place(manifest)}/{name} is damaged; it is left out."
            if manifest.reading.content(manifest.files.get("data.csv", "")) != manifest.key:
                return f"{self._objects.name}: {_place(manifest)} is not what its name says; it is left out."
            await asyncio.to_thread(self._shelf.settle, staged, taken.folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return ""

    async def _read(self, name: str) -> bytes:
        async with self._free:
            return await self._objects.read(name)


async def take_named(objects: ObjectStore, home: Path, paths: Sequence[str]) -> tuple[str, ...]:
    """Bring home the datasets that a run names by their place in the home, where they are missing there.

    Raises:
        StorageError: The storage did not answer.
    """
    problems: list[str] = []
    for slug in await asyncio.to_thread(_missing, home, paths):
        problems += await SharedDatasets(objects, home).take(slug)
    return tuple(problems)


def _missing(home: Path, paths: Sequence[str]) -> list[str]:
    named = (Path(each).absolute() for each in paths)
    folders = (each.parent if each.name == "data.csv" else each for each in named if not each.exists())
    return sorted({each.name for each in folders if each.parent == (home / "datasets").absolute()})


def _place(manifest: Manifest) -> str:
    return f"datasets/{manifest.slug}/{manifest.key}"


def _key(name: str) -> str:
    """The dataset's key in the name of its manifest."""
    return name.split("/")[-2]


def _manifest(folder: Path) -> Manifest | None:
    """The manifest of a dataset of the home, but for its files; None where the folder holds none that can be read."""
    try:
        dataset = read_dataset(folder)
    except DatasetError:
        return None
    card = read_card(folder)
    changed = datetime.fromtimestamp(dataset.path.stat().st_mtime, UTC)
    return Manifest(
        slug=dataset.slug,
        key=dataset.content,
        reading=dataset.reading,
        source=card.source if card is not None else "",
        retrieved_at=card.retrieved_at if card is not None else changed,
    )
