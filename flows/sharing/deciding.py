"""What a home takes from the storage and what it gives: plain decisions over keys and manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AwareDatetime, Field, PlainSerializer

from blocks.frozen import Frozen
from blocks.sandboxes.reading import NO_RULES, ReadingRules

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Literal["data.csv", "sketch.json", "dataset.json"]
Key = TypeVar("Key", bound=str)


class Manifest(Frozen):
    """One dataset in the storage; put there last, so that a dataset with a manifest is whole."""

    schema_version: Literal[1] = 1
    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
    key: Digest
    """sha256 of the table's file; where rules for reading it were given, of both."""
    reading: Annotated[ReadingRules, PlainSerializer(ReadingRules.given_rules)] = NO_RULES
    source: str = ""
    """The reference it was downloaded from; empty: somebody made the folder by hand."""
    retrieved_at: AwareDatetime
    files: dict[FileName, Digest] = Field(default_factory=dict)


class Held(NamedTuple):
    """A dataset of the home: its folder, and what its manifest says or would say."""

    folder: str
    manifest: Manifest


class Taken(NamedTuple):
    """A dataset to be taken, and the folder it goes to; one that is there is of an earlier version."""

    manifest: Manifest
    folder: str


def exchange(here: Iterable[Key], there: Iterable[Key]) -> tuple[list[Key], list[Key]]:
    """What to take and what to give, so that both sides hold the union; sorted.

    Args:
        here: Keys of what the home holds.
        there: Keys of what the storage holds.
    """
    mine, theirs = set(here), set(there)
    return sorted(theirs - mine), sorted(mine - theirs)


def datasets_to_take(held: Iterable[Held], offered: Iterable[Manifest]) -> list[Taken]:
    """Which datasets a home lacks, and where they go.

    A home follows each source to its newest version, and never goes back. What somebody put into a folder by hand is
    never replaced, and taken from elsewhere only where no folder has its name.
    """
    folders = {each.folder for each in held}
    keys = {each.manifest.key for each in held}
    present = {each.manifest.source: each for each in held if each.manifest.source}
    taken = []
    for manifest in _newest(offered).values():
        if manifest.key in keys:
            continue
        here = present.get(manifest.source)
        if here is not None:
            if here.manifest.retrieved_at < manifest.retrieved_at:
                taken.append(Taken(manifest, here.folder))
        elif manifest.slug not in folders:
            taken.append(Taken(manifest, manifest.slug))
        elif manifest.source:
            taken.append(Taken(manifest, f"{manifest.slug[:71]}-{manifest.key[:8]}"))
        folders.add(manifest.slug)
    return taken


def _newest(offered: Iterable[Manifest]) -> Mapping[str, Manifest]:
    """The newest of each source, or of each name of what was made by hand; earliest first, so that it has its name."""
    newest: dict[str, Manifest] = {}
    for manifest in sorted(offered, key=lambda each: (each.retrieved_at, each.key)):
        newest[manifest.source or f"folder {manifest.slug}"] = manifest
    return newest
