"""An S3 server on 127.0.0.1: moto's, behind a door that counts requests and keeps strangers out of private buckets."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEY, SECRET = "AKIDEXAMPLE0000", "sec-0d1f9a27c4e8"
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class S3Server:
    """The server, in threads of this process; a context manager.

    Args:
        private: Buckets for which a request must be signed with `KEY`.
    """

    def __init__(self, *private: str) -> None:
        self.private = private
        self.out = False
        """Whether every request is answered with 503, as in an outage."""
        self.requests: list[tuple[str, str]] = []
        self.answered: list[tuple[str, str]] = []
        """The same, of requests that were let in, once they have had their effect."""

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def keyed(self) -> dict[str, str]:
        """The environment of somebody who has the key."""
        return {**self.anonymous, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    @property
    def anonymous(self) -> dict[str, str]:
        """The environment of somebody who has none."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def options(self, secret: str = SECRET) -> dict[str, Any]:
        """The settings of a driver of fsspec's that comes here with the key."""
        client = {"endpoint_url": self.url, "region_name": "us-east-1"}
        return {"key": KEY if secret == SECRET else "AKIDSTRANGER0000", "secret": secret, "client_kwargs": client}

    def put(self, path: str, body: bytes = b"") -> None:
        """Make a bucket (`/bucket`) or an object (`/bucket/key`)."""
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/x/us-east-1/s3/aws4_request",
            "x-amz-acl": "public-read",  # The door, not moto, tells who may read.
        }
        httpx.put(f"{self.url}{path}", content=body, headers=headers, trust_env=False, timeout=120.0).raise_for_status()
        self.requests.clear()

    def fetched(self, path: str) -> int:
        """How often an object's content was asked for."""
        return self.requests.count(("GET", path))

    def __enter__(self) -> Self:
        moto: Any = DomainDispatcherApplication(create_backend_app)

        def door(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            path = environ["PATH_INFO"]
            self.requests.append((environ["REQUEST_METHOD"], path))
            if self.out:
                start("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]
            signed = re.search(f"Credential={KEY}/", environ.get("HTTP_AUTHORIZATION", ""))
            if path.split("/")[1] in self.private and not signed:
                start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(_DENIED)))])
                return [b"" if environ["REQUEST_METHOD"] == "HEAD" else _DENIED]
            answer: Iterable[bytes] = moto(environ, start)
            self.answered.append((environ["REQUEST_METHOD"], path))
            return answer

        self._server = make_server("127.0.0.1", 0, door, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        httpx.post(f"{self.url}/moto-api/reset", trust_env=False, timeout=120.0)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
