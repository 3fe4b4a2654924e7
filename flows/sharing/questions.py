"""A dataset's questions in the storage: an object for what each source made, and for each question of a user."""

from __future__ import annotations

import asyncio
from datetime import datetime

from pydantic import AwareDatetime, ValidationError

from blocks.errors import UserError
from blocks.frozen import Frozen
from blocks.objects import ObjectStore, StorageError
from blocks.together import together
from flows.generation.shelf import Part, Shelf
from flows.questions.records import Question
from flows.sharing.deciding import exchange

_OWN = "own-"


class SharedPart(Frozen):
    """What a source made, and when it was given."""

    given: AwareDatetime
    part: Part


class SharedQuestions:
    """`questions/<dataset key>/<source>-<batch key>.json` and `…/own-<question key>.json`.

    Args:
        objects: The storage.
        shelf: The home's.
        dataset_key: The dataset's `content`: its sha256, by other rules for reading another.
    """

    def __init__(self, objects: ObjectStore, shelf: Shelf, dataset_key: str) -> None:
        self._objects, self._shelf, self._key = objects, shelf, dataset_key

    async def take(self) -> tuple[str, ...]:
        """Bring home what it lacks: of each source of which it has nothing, what was given last.

        A user's own questions come only where the home has no question file: there, one that is missing was deleted.

        Returns:
            A sentence for each object or file that cannot be used; it is left as it is.

        Raises:
            StorageError: The storage did not answer.
        """
        try:
            mine, empty = {part.report.source for part in self._shelf.parts()}, not self._shelf.path.exists()
            names = [each for each in await self._names() if each.partition("-")[0] not in mine]
            wanted = [each for each in names if empty or not each.startswith(_OWN)]
            contents = await together(self._objects.read(f"{self._folder}/{each}") for each in wanted)
            await asyncio.to_thread(self._adopt, dict(zip(wanted, contents, strict=True)))
        except ValidationError as error:
            return (f"{self._objects.name}: {self._folder} holds what is no question ({error.errors()[0]['msg']}).",)
        except StorageError:
            raise
        except UserError as error:
            return (str(error),)
        return ()

    async def give(self, now: datetime) -> None:
        """Let the storage have what the home has made, and what a user has put there.

        Raises:
            StorageError: The storage did not answer.
            QuestionFileError: The question file cannot be used.
        """
        objects = {f"{part.report.source}-{part.report.key}.json": part for part in self._shelf.parts()}
        own = {f"{_OWN}{each.key(self._key)}.json": each for each in self._shelf.own()}
        _, missing = exchange({*objects, *own}, await self._names())
        for name in missing:
            record = SharedPart(given=now, part=objects[name]) if name in objects else own[name]
            await self._objects.write(f"{self._folder}/{name}", record.model_dump_json().encode())

    def _adopt(self, contents: dict[str, bytes]) -> None:
        shared = [SharedPart.model_validate_json(each) for name, each in contents.items() if not name.startswith(_OWN)]
        parts = {each.part.report.source: each.part for each in sorted(shared, key=lambda each: each.given)}
        for part in parts.values():
            if part.dataset_key == self._key:
                self._shelf.adopt(part)
        own = [Question.model_validate_json(each) for name, each in contents.items() if name.startswith(_OWN)]
        self._shelf.take_in(own)

    async def _names(self) -> list[str]:
        return [each for each in await self._objects.names(self._folder) if each.endswith(".json")]

    @property
    def _folder(self) -> str:
        return f"questions/{self._key}"
