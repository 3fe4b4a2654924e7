"""Kaggle as a source, through Kaggle's own client library: refs and search pages, versions, licences, one CSV file.

The library is `kagglesdk`, the client under the `kaggle` command; importing `kaggle` itself would look for credentials
and ask the server about them. What the library leaves open is set here: no credentials but those given, and timeouts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import requests
from kagglesdk import KaggleEnv
from kagglesdk.datasets.services.dataset_api_service import DatasetApiClient
from kagglesdk.datasets.types.dataset_api_service import (
    ApiDataset,
    ApiDownloadDatasetRequest,
    ApiGetDatasetRequest,
    ApiListDatasetFilesRequest,
    ApiListDatasetsRequest,
)
from kagglesdk.datasets.types.dataset_enums import DatasetFileTypeGroup, DatasetSortBy
from kagglesdk.kaggle_http_client import KaggleHttpClient
from requests.adapters import HTTPAdapter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from blocks.chat.waits import server_wait
from blocks.sources.archives import extract_table
from blocks.sources.copying import landed
from blocks.sources.models import (
    PACKED_ENDINGS,
    TABLE_ENDINGS,
    Facts,
    Fetched,
    FetchLimits,
    Progress,
    Reference,
    RetryLimits,
    SourceError,
    SourceRefused,
)
from blocks.sources.web import Interrupted, WebFetcher

API = "https://api.kaggle.com"
PAGE_SIZE = 20
_FILE_PAGES = 10
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
T = TypeVar("T")


@dataclass(frozen=True)
class Credentials:
    """Who asks. With a user name, `key` is the classic API key; without one, an API token; both empty: nobody."""

    username: str = ""
    key: str = ""

    def __repr__(self) -> str:
        """Without the key."""
        return f"Credentials(username={self.username!r})"


@dataclass(frozen=True)
class Search:
    """Pages of a search, sorted by votes, kept to what fits.

    Attributes:
        words: What to search for; empty: everything.
        pages: Pages of 20.
        licences: Words one of which the licence must contain, ignoring case; empty: any licence.
        max_bytes: Largest dataset.
    """

    words: str = ""
    pages: int = 1
    licences: tuple[str, ...] = ()
    max_bytes: int | None = None


class _Timeouts(HTTPAdapter):
    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = self._timeout_s
        return super().send(request, *args, **kwargs)


class _Client(KaggleHttpClient):  # type: ignore[misc]
    """Kaggle's client, told everything it would otherwise look for in the user's home and environment."""

    def __init__(self, base_url: str, credentials: Credentials, timeout_s: float, trust_proxy: bool) -> None:
        super().__init__(env=KaggleEnv.PROD, user_agent="trigpoint")
        self._endpoint = base_url.rstrip("/")
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._trust_proxy = trust_proxy

    def _try_fill_auth(self) -> None:
        session: requests.Session = self._session
        session.trust_env = self._trust_proxy
        session.mount("https://", _Timeouts(self._timeout_s))
        session.mount("http://", _Timeouts(self._timeout_s))
        if self._credentials.username:
            session.auth = (self._credentials.username, self._credentials.key)
        elif self._credentials.key:
            session.auth = KaggleHttpClient.BearerAuth(self._credentials.key)
        self._signed_in = bool(self._credentials.key)


class KaggleDatasets:
    """Datasets of Kaggle: those named, or those a search finds.

    Args:
        refs: `owner/name` or `owner/name/VERSION`, each with `#file.csv` where there are several.
        search: Search pages; its finds with more than one CSV file are passed over.
        credentials: Who asks.
        base_url: The API's address.
        retry: How patiently.
        trust_proxy: Whether HTTP_PROXY and the like apply.
    """

    def __init__(
        self,
        refs: Sequence[str] = (),
        search: Search | None = None,
        *,
        credentials: Credentials | None = None,
        base_url: str = API,
        retry: RetryLimits | None = None,
        trust_proxy: bool = False,
    ) -> None:
        self._refs, self._search = refs, search
        self._credentials = credentials or Credentials()
        self._retry = retry or RetryLimits()
        self._base_url, self._trust_proxy = base_url, trust_proxy

    async def references(self) -> Sequence[Reference]:
        """The datasets, with version, size, licence and tags.

        Raises:
            SourceError: A ref is misspelt or not there, or Kaggle cannot be reached.
        """
        named = [await self._named(ref) for ref in self._refs]
        return [*named, *(await self._found(self._search) if self._search is not None else [])]

    async def fetch(self, reference: Reference, folder: Path, limits: FetchLimits, progress: Progress) -> Fetched:
        """Fetch the dataset's one CSV file; see `Source.fetch`."""
        owner, name = reference.source.removeprefix("kaggle:").split("/")[:2]
        version = int(reference.version) if reference.version.isdigit() else None
        file = await self._file(owner, name, version, reference.member)

        def address(api: DatasetApiClient) -> str:
            request = ApiDownloadDatasetRequest()
            request.owner_slug, request.dataset_slug, request.file_name = owner, name, file
            if version is not None:
                request.dataset_version_number = version
            with api.download_dataset(request) as response:
                if not response.history:
                    raise SourceError("Kaggle named no address to download from.", "Try again later.")
                return str(response.url)

        url = await self._call(f"{reference.source}, file {file}", address)
        async with WebFetcher(self._retry, trust_proxy=self._trust_proxy) as web:
            received = await web.fetch(
                url, folder / "arrived.part", limits, progress, what=f"{reference.source}#{file}"
            )
        table = folder / "data.csv"
        # Kaggle packs single large files on its own account: then the archive holds exactly the one.
        await asyncio.to_thread(extract_table, received.path, table, "", limits)
        return await asyncio.to_thread(landed, table, received.transferred, reference)

    async def _named(self, ref: str) -> Reference:
        ref, _, member = ref.partition("#")
        parts = ref.strip("/").split("/")
        if len(parts) not in (2, 3) or not all(parts) or (len(parts) == 3 and not parts[2].isdigit()):
            raise SourceError(f"kaggle:{ref} is no Kaggle dataset.", "Write kaggle:OWNER/NAME or …/VERSION.")

        def ask(api: DatasetApiClient) -> ApiDataset:
            request = ApiGetDatasetRequest()
            request.owner_slug, request.dataset_slug = parts[:2]
            return api.get_dataset(request)

        found = _reference(await self._call(f"kaggle:{ref}", ask), member)
        if len(parts) == 2:
            return found
        return found.model_copy(update={"source": f"kaggle:{'/'.join(parts)}", "version": parts[2], "bytes": None})

    async def _found(self, search: Search) -> list[Reference]:
        found: dict[str, Reference] = {}
        for page in range(1, search.pages + 1):
            datasets = await self._call("A search of Kaggle", partial(_page, search, page))
            for dataset in datasets:
                reference = _reference(dataset, "")
                if _fits(reference, search) and await self._has_one_table(reference):
                    found.setdefault(reference.source, reference)
            if len(datasets) < PAGE_SIZE:
                break
        return list(found.values())

    async def _has_one_table(self, reference: Reference) -> bool:
        owner, name = reference.source.removeprefix("kaggle:").split("/")
        return len(await self._tables(owner, name, None)) == 1

    async def _file(self, owner: str, name: str, version: int | None, member: str) -> str:
        if member:
            return member
        tables = await self._tables(owner, name, version)
        if len(tables) != 1:
            shown = ", ".join(sorted(tables)[:8])
            count = f"{len(tables)} CSV files" if tables else "no CSV file"
            remedy = f"Name one with #FILE: {shown}." if tables else "Choose another dataset."
            raise SourceRefused(f"kaggle:{owner}/{name} has {count}, not one.", remedy)
        return tables[0]

    async def _tables(self, owner: str, name: str, version: int | None) -> list[str]:
        def ask(api: DatasetApiClient) -> list[str]:
            names: list[str] = []
            request = ApiListDatasetFilesRequest()
            request.owner_slug, request.dataset_slug, request.page_size = owner, name, 200
            if version is not None:
                request.dataset_version_number = version
            for _ in range(_FILE_PAGES):
                reply = api.list_dataset_files(request)
                names += [str(file.name) for file in reply.files or []]
                if not reply.next_page_token:
                    break
                request.page_token = reply.next_page_token
            return names

        names = await self._call(f"The files of kaggle:{owner}/{name}", ask)
        return [name for name in names if _is_table(name)]

    async def _call(self, what: str, ask: Callable[[DatasetApiClient], T]) -> T:
        """Ask Kaggle in a thread, again where that may help."""
        retrying = AsyncRetrying(
            stop=self._given_up, wait=self._wait, retry=retry_if_exception_type(Interrupted), reraise=True
        )
        return await retrying(asyncio.to_thread, self._ask, what, ask)

    def _ask(self, what: str, ask: Callable[[DatasetApiClient], T]) -> T:
        try:
            with _Client(self._base_url, self._credentials, self._retry.stall_s, self._trust_proxy) as client:
                return ask(DatasetApiClient(client))
        except requests.HTTPError as error:
            raise _failure(what, error.response) from error
        except requests.RequestException as error:
            raise Interrupted(f"{what}: Kaggle cannot be reached ({type(error).__name__}).") from error

    def _given_up(self, state: RetryCallState) -> bool:
        asked = _interruption(state).retry_after_s or 0.0
        return state.attempt_number >= self._retry.attempts or asked > self._retry.max_server_wait_s

    def _wait(self, state: RetryCallState) -> float:
        asked = _interruption(state).retry_after_s
        if asked is not None:
            return asked
        ceiling = min(self._retry.max_wait_s, self._retry.first_wait_s * 2.0 ** (state.attempt_number - 1))
        return random.uniform(ceiling / 2, ceiling)


def _page(search: Search, page: int, api: DatasetApiClient) -> list[ApiDataset]:
    request = ApiListDatasetsRequest()
    request.sort_by = DatasetSortBy.DATASET_SORT_BY_VOTES
    request.file_type = DatasetFileTypeGroup.DATASET_FILE_TYPE_GROUP_CSV
    request.search, request.page, request.page_size = search.words, page, PAGE_SIZE
    if search.max_bytes is not None:
        request.max_size = search.max_bytes
    return list(api.list_datasets(request).datasets or [])


def _reference(dataset: ApiDataset, member: str) -> Reference:
    version = str(dataset.current_version_number or "")
    return Reference(
        source=f"kaggle:{dataset.ref}",
        version=version,
        member=member,
        name=str(dataset.ref).replace("/", "-"),
        bytes=dataset.total_bytes or None,
        facts=Facts(
            title=dataset.title or "",
            description=dataset.description or dataset.subtitle or "",
            licence=dataset.license_name or "",
            tags=tuple(tag.name for tag in dataset.tags or [] if tag.name),
            url=dataset.url or f"https://www.kaggle.com/datasets/{dataset.ref}",
            version=version,
        ),
    )


def _fits(reference: Reference, search: Search) -> bool:
    if search.max_bytes is not None and reference.bytes is not None and reference.bytes > search.max_bytes:
        return False
    licence = reference.facts.licence.casefold()
    return not search.licences or any(word.casefold() in licence for word in search.licences)


def _is_table(name: str) -> bool:
    plain = name.lower()
    for packed in PACKED_ENDINGS:
        plain = plain.removesuffix(packed)
    return plain.endswith(TABLE_ENDINGS)


def _failure(what: str, response: requests.Response | None) -> SourceError:
    status = response.status_code if response is not None else 0
    if response is not None and status in _AGAIN:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Interrupted(f"{what}: Kaggle answered {status}.", server_wait(headers, refused=status == 429))
    if status in (401, 403):
        return SourceError(
            f"{what}: Kaggle answered {status}.",
            "Set KAGGLE_USERNAME and KAGGLE_KEY, and accept the dataset's terms on its page.",
        )
    remedy = "Check the spelling." if status == 404 else "Try again later."
    return SourceError(f"{what}: Kaggle answered {status}.", remedy)


def _interruption(state: RetryCallState) -> Interrupted:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Interrupted)
    return error
