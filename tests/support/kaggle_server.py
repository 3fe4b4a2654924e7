"""A stand-in for Kaggle's API at the level of the wire: the calls the client library makes, with JSON as Kaggle's."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.file_server import FileServer, Reply, Request, ranged

SERVICE = "/v1/datasets.DatasetApiService/"


@dataclass
class KaggleDataset:
    """A dataset of the stand-in."""

    ref: str
    files: Mapping[str, bytes]
    version: int = 1
    licence: str = "CC0: Public Domain"
    votes: int = 0
    downloads: int = field(default=0)

    def json(self) -> dict[str, Any]:
        """As Kaggle describes it."""
        return {
            "id": 7,
            "ref": self.ref,
            "title": f"All about {self.ref}",
            "subtitle": "a subtitle",
            "licenseName": self.licence,
            "totalBytes": sum(map(len, self.files.values())),
            "currentVersionNumber": self.version,
            "voteCount": self.votes,
            "url": f"https://www.kaggle.com/datasets/{self.ref}",
            "lastUpdated": "2026-01-02T03:04:05.678Z",
            "tags": [{"ref": "biology", "name": "biology"}],
        }


class KaggleServer:
    """Kaggle, as far as a `FileServer` can be it; downloads are redirected to signed addresses of the same server.

    Args:
        server: A running server; its paths are taken over.
        datasets: What there is.
        user: User and key that are let in; None: anybody.
    """

    def __init__(self, server: FileServer, *datasets: KaggleDataset, user: tuple[str, str] | None = None) -> None:
        self.server = server
        self.datasets = {dataset.ref: dataset for dataset in datasets}
        self.user = user
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.troubles: list[Reply] = []
        for method in ("GetDataset", "ListDatasets", "ListDatasetFiles", "DownloadDataset"):
            server.files[SERVICE + method] = self._answer
        for dataset in datasets:
            for name, content in dataset.files.items():
                server.files[f"/storage/{dataset.ref}/{name}"] = ranged(content)

    def called(self, method: str) -> int:
        """How often a method was called."""
        return sum(name == method for name, _ in self.calls)

    def _answer(self, request: Request) -> Reply:
        method, asked = request.path.removeprefix(SERVICE), json.loads(request.body or b"{}")
        self.calls.append((method, asked))
        if self.troubles:
            return self.troubles.pop(0)
        if self.user is not None and request.headers.get("authorization") != _basic(*self.user):
            return _json({"code": 401, "message": "Unauthenticated"}, status="401 Unauthorized")
        if method == "ListDatasets":
            return self._search(asked)
        dataset = self.datasets.get(f"{asked.get('ownerSlug')}/{asked.get('datasetSlug')}")
        if dataset is None:
            return _json({"code": 404, "message": "Not found"}, status="404 Not Found")
        if method == "GetDataset":
            return _json(dataset.json())
        if method == "ListDatasetFiles":
            return _json({"datasetFiles": [{"name": name, "totalBytes": len(c)} for name, c in dataset.files.items()]})
        return self._download(dataset, asked)

    def _search(self, asked: Mapping[str, Any]) -> Reply:
        found = [d for d in self.datasets.values() if asked.get("search", "") in d.ref]
        if asked.get("sortBy") == "DATASET_SORT_BY_VOTES":
            found.sort(key=lambda dataset: -dataset.votes)
        size, page = int(asked.get("pageSize", 20)), int(asked.get("page", 1))
        return _json({"datasets": [d.json() for d in found[(page - 1) * size : page * size]]})

    def _download(self, dataset: KaggleDataset, asked: Mapping[str, Any]) -> Reply:
        dataset.downloads += 1
        target = f"{self.server.url}/storage/{dataset.ref}/{asked['fileName']}?signature={dataset.downloads}"
        return Reply(status="302 Found", headers={"Location": target})


def _basic(user: str, key: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


def _json(data: object, status: str = "200 OK") -> Reply:
    return Reply(json.dumps(data).encode(), status=status, headers={"Content-Type": "application/json"})
