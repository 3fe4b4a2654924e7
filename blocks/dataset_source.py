"""The DatasetSource blocks: where datasets come from, with the credentials and filters that go with a place."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import parse_qs

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.blocks.core import Block
from prefect.blocks.fields import SecretDict
from pydantic import Field, SecretStr

from blocks.errors import UserError
from blocks.settings import settings
from blocks.sources.addresses import WebFiles
from blocks.sources.local import LocalFiles
from blocks.sources.models import Fetched, FetchLimits, Progress, Reference, RetryLimits, Source, SourceError

__all__ = ["DatasetSource", "FsspecSource", "HttpSource", "KaggleSource", "LocalSource", "source_for"]

_Member = Annotated[str, Field(title="File", description="which file of an archive; empty: the only table in it")]
_Retry = Annotated[RetryLimits, Field(title="Retries", description="how patiently a transfer is tried again")]


class DatasetSource(Block, ABC):
    """A place that datasets come from: lists references, then fetches each under a cap."""

    @abstractmethod
    def engine(self) -> Source:
        """What does the work.

        Raises:
            SourceError: The block's fields do not name a source.
        """

    async def references(self) -> Sequence[Reference]:
        """The datasets there, with their versions where the source knows them before a transfer.

        Raises:
            SourceError: The source cannot be read.
        """
        return await self.engine().references()

    async def fetch(self, reference: Reference, folder: Path, limits: FetchLimits, progress: Progress) -> Fetched:
        """Bring one dataset's table into a folder; what an earlier try left there is gone on with.

        Args:
            reference: One that `references` gave.
            folder: The dataset's own working folder.
            limits: What it may cost.
            progress: Told while bytes come in, in whichever thread that happens.

        Raises:
            SourceRefused: The dataset is not taken as it is.
            SourceError: It could not be fetched now.
        """
        return await self.engine().fetch(reference, folder, limits, progress)


class HttpSource(DatasetSource):
    """A file at a web address.

    Attributes:
        url: The address.
        member: The file wanted from an archive.
        headers: Sent with every request, e.g. for a private server.
        check_version: Ask for the present version before anything is fetched.
        retry: How patiently.

    Example:
        ```python
        from blocks.dataset_source import HttpSource

        source = HttpSource(url="https://example.org/penguins.csv")
        [reference] = await source.references()
        ```
    """

    _block_type_name: ClassVar[str | None] = "HTTP Source"
    _block_type_slug: ClassVar[str | None] = "trigpoint-http-source"
    _description: ClassVar[str | None] = "A dataset at a web address."

    url: Annotated[str, Field(title="Address", description="http or https", min_length=1)]
    member: _Member = ""
    headers: Annotated[SecretDict | None, Field(title="Headers", description="sent with every request")] = None
    check_version: Annotated[
        bool, Field(title="Check version", description="ask for the present version before anything is fetched")
    ] = False
    retry: _Retry = RetryLimits()

    def engine(self) -> Source:
        """What does the work."""
        return WebFiles(
            self.url,
            self.member,
            check_version=self.check_version,
            headers=self.headers.get_secret_value() if self.headers else None,
            retry=self.retry,
            trust_proxy=settings().trust_proxy,
        )


class LocalSource(DatasetSource):
    """Files of this machine.

    Attributes:
        path: A file, a folder, or a glob.
        member: The file wanted from an archive.

    Example:
        ```python
        from blocks.dataset_source import LocalSource

        references = await LocalSource(path="exports/**/*.csv").references()
        ```
    """

    _block_type_name: ClassVar[str | None] = "Local Source"
    _block_type_slug: ClassVar[str | None] = "trigpoint-local-source"
    _description: ClassVar[str | None] = "Datasets in files, folders and globs."

    path: Annotated[str, Field(title="Path", description="a file, a folder, or a glob", min_length=1)]
    member: _Member = ""

    def engine(self) -> Source:
        """What does the work."""
        return LocalFiles(self.path, self.member)


class FsspecSource(DatasetSource):
    """Anything fsspec reads: object stores, model hubs, archives.

    Attributes:
        url: The address; a folder or a glob is expanded.
        member: The file wanted from an archive.
        options: Arguments of the driver, e.g. credentials.
        retry: How patiently.

    Example:
        ```python
        from blocks.dataset_source import FsspecSource

        source = FsspecSource(url="s3://bucket/tables/*.csv", options={"key": "…", "secret": "…"})
        ```
    """

    _block_type_name: ClassVar[str | None] = "Fsspec Source"
    _block_type_slug: ClassVar[str | None] = "trigpoint-fsspec-source"
    _description: ClassVar[str | None] = "Datasets behind any fsspec URL."

    url: Annotated[str, Field(title="URL", description="s3://, gs://, hf://, zip://, …", min_length=1)]
    member: _Member = ""
    options: Annotated[SecretDict | None, Field(title="Options", description="arguments of the driver")] = None
    retry: _Retry = RetryLimits()

    def engine(self) -> Source:
        """What does the work."""
        from blocks.sources.remote import RemoteFiles  # Its registry of drivers is read only when it is needed.

        options = self.options.get_secret_value() if self.options else None
        return RemoteFiles(self.url, self.member, options, self.retry)


class KaggleSource(DatasetSource):
    """Datasets of Kaggle: those named, and those a search finds.

    Attributes:
        refs: `owner/name` or `owner/name/VERSION`, with `#file.csv` where there are several.
        search: Words to search for; empty: no search unless `pages` is set.
        pages: Pages of the search, 20 datasets each, sorted by votes; those with one CSV file are taken.
        licences: A search takes only licences with one of these words.
        max_bytes: Largest dataset a search takes.
        username: Kaggle user; empty: KAGGLE_USERNAME.
        key: API key of that user, or without a user an API token; empty: KAGGLE_KEY or KAGGLE_API_TOKEN.
        base_url: Address of the API.
        retry: How patiently.

    Example:
        ```python
        from blocks.dataset_source import KaggleSource

        await KaggleSource(search="climate", pages=2, licences=("CC0",)).save("climate")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Kaggle Source"
    _block_type_slug: ClassVar[str | None] = "trigpoint-kaggle-source"
    _description: ClassVar[str | None] = "Datasets of Kaggle, by name or by search."

    refs: Annotated[tuple[str, ...], Field(title="Datasets", description="owner/name or owner/name/VERSION")] = ()
    search: Annotated[str, Field(title="Search", description="words to search for")] = ""
    pages: Annotated[int, Field(title="Pages", ge=0, le=100, description="pages of 20, by votes; 0: no search")] = 0
    licences: Annotated[tuple[str, ...], Field(title="Licences", description="words one of which must occur")] = ()
    max_bytes: Annotated[int | None, Field(title="Largest", gt=0, description="bytes; empty: any size")] = None
    username: Annotated[str, Field(title="User", description="empty: KAGGLE_USERNAME")] = ""
    key: Annotated[
        SecretStr | None, Field(title="Key", description="API key or token; empty: KAGGLE_KEY, KAGGLE_API_TOKEN")
    ] = None
    base_url: Annotated[str | None, Field(title="API", description="empty: Kaggle's own")] = None
    retry: _Retry = RetryLimits()

    def engine(self) -> Source:
        """What does the work."""
        # Kaggle's client takes half a second to import, which only its users should wait for.
        from blocks.sources.kaggle_api import API, Credentials, KaggleDatasets, Search

        username, key = self._credentials()
        pages = self.pages or (1 if self.search else 0)
        return KaggleDatasets(
            self.refs,
            Search(self.search, pages, self.licences, self.max_bytes) if pages else None,
            credentials=Credentials(username, key),
            base_url=self.base_url or API,
            retry=self.retry,
            trust_proxy=settings().trust_proxy,
        )

    def _credentials(self) -> tuple[str, str]:
        if self.key is not None:
            return self.username, self.key.get_secret_value()
        if token := os.environ.get("KAGGLE_API_TOKEN", ""):
            return "", token
        return self.username or os.environ.get("KAGGLE_USERNAME", ""), os.environ.get("KAGGLE_KEY", "")


async def source_for(text: str, *, check_version: bool = False, max_bytes: int | None = None) -> DatasetSource:
    """The source a person names in one line.

    Args:
        text: `https://…`, `s3://…`, `zip://x.csv::https://…`, `kaggle:OWNER/NAME`,
            `kaggle:?search=WORDS&pages=N&licence=WORD`, `block:TYPE/NAME`, a file, a folder or a glob. `#FILE` at its
            end names a file of an archive.
        check_version: Ask web servers for the present version before anything is fetched.
        max_bytes: Largest dataset a search takes.

    Raises:
        SourceError: It names no source.
    """
    kind, _, rest = text.partition(":")
    if kind == "block":
        return await _saved(rest)
    if kind == "kaggle":
        return _kaggle(rest, max_bytes)
    if "://" not in text or kind == "file":
        return _local(text.removeprefix("file://"))
    address, _, member = text.partition("#")
    if kind.lower() in ("http", "https") and "::" not in text:
        return HttpSource(url=address, member=member, check_version=check_version)
    from blocks.sources.remote import protocols

    if kind not in protocols():
        raise SourceError(f"{kind}:// is no protocol known here.", "Give http(s)://, an fsspec URL, kaggle: or a path.")
    return FsspecSource(url=address, member=member)


def _local(text: str) -> LocalSource:
    path, _, member = text.partition("#")
    # A file may have the sign in its name.
    return LocalSource(path=text) if Path(text).exists() else LocalSource(path=path, member=member)


def _kaggle(rest: str, max_bytes: int | None) -> KaggleSource:
    if not rest.startswith("?"):
        return KaggleSource(refs=(rest,))
    asked = parse_qs(rest[1:])
    unknown = asked.keys() - {"search", "pages", "licence"}
    pages = asked.get("pages", ["1"])[0]
    if unknown or not pages.isdigit() or not 1 <= int(pages) <= 100:
        wrong = ", ".join(sorted(unknown)) or f"pages={pages}"
        raise SourceError(f"kaggle:{rest} is not understood ({wrong}).", "Use search=, pages=1…100 and licence=.")
    return KaggleSource(
        search=asked.get("search", [""])[0],
        pages=int(pages),
        licences=tuple(asked.get("licence", [])),
        max_bytes=max_bytes,
    )


async def _saved(name: str) -> DatasetSource:
    try:
        block = await Block.aload(name)
    except ValueError as error:
        raise SourceError(f"There is no block {name}.", "Write block:TYPE/NAME as the Blocks page shows it.") from error
    if not isinstance(block, DatasetSource):
        raise UserError(f"The block {name} is no dataset source.", "Name one of the DatasetSource family.")
    return block
