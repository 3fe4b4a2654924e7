"""Files over HTTP: under a cap, resumed, tried again, and whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from blocks.sources.models import FetchLimits, RetryLimits, SourceError, SourceRefused
from blocks.sources.web import Received, WebFetcher
from tests.support.file_server import FileServer, Reply, Request, in_turn, ranged, rows

BODY = rows(4_000)
HALF = len(BODY) // 2


class Waits:
    """Stands in for sleeping, and remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        yield server


@pytest.fixture
def waits() -> Waits:
    return Waits()


async def fetch(
    url: str, folder: Path, waits: Waits, *, cap: int = 10**7, retry: RetryLimits | None = None
) -> Received:
    retry = retry or RetryLimits(stall_s=60, attempts=4)
    async with WebFetcher(retry, sleep=waits) as web:
        return await web.fetch(url, folder / "x.part", FetchLimits(max_bytes=cap), lambda done, total: None)


async def test_a_file_comes_whole_with_its_version_and_name(server: FileServer, tmp_path: Path) -> None:
    server.files["/a%20b.csv"] = ranged(BODY)
    seen: list[tuple[int, int | None]] = []
    async with WebFetcher() as web:
        received = await web.fetch(
            f"{server.url}/a%20b.csv?x=1", tmp_path / "x.part", FetchLimits(), lambda *told: seen.append(told)
        )
    assert received.path.read_bytes() == BODY
    assert (received.version, received.name, received.transferred) == ('"v1"', "a b.csv", len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert names(tmp_path) == [received.path.name], "no part and no note is left"


@pytest.mark.parametrize("trouble", ["cut", "stall"])
async def test_what_broke_off_is_gone_on_with(server: FileServer, tmp_path: Path, waits: Waits, trouble: str) -> None:
    headers = {"ETag": '"v1"'}
    bad = Reply(BODY, headers=headers)
    bad = replace(bad, cut_after=HALF) if trouble == "cut" else replace(bad, stall_after=HALF)
    server.files["/x.csv"] = in_turn(bad, ranged(BODY))
    impatient = RetryLimits(stall_s=2.0, attempts=4) if trouble == "stall" else None
    received = await fetch(f"{server.url}/x.csv", tmp_path, waits, retry=impatient)
    assert received.path.read_bytes() == BODY
    assert received.transferred == len(BODY), "no byte came twice"
    assert server.requests[1].headers["range"] == f"bytes={HALF}-"
    assert len(waits.seconds) == 1


async def test_a_later_run_goes_on_where_a_killed_one_stopped(server: FileServer, tmp_path: Path, waits: Waits) -> None:
    server.files["/x.csv"] = Reply(BODY, headers={"ETag": '"v1"'}, cut_after=HALF)
    with pytest.raises(SourceError, match="broke off"):
        await fetch(f"{server.url}/x.csv", tmp_path, waits, retry=RetryLimits(attempts=1))
    server.files["/x.csv"] = ranged(BODY)
    received = await fetch(f"{server.url}/x.csv", tmp_path, waits)
    assert received.path.read_bytes() == BODY
    assert received.transferred == len(BODY) - HALF


@pytest.mark.parametrize("validator", [{"ETag": 'W/"v1"'}, {}, {"ETag": '"v1"', "Accept-Ranges": "none"}])
async def test_without_a_strong_validator_the_file_is_fetched_anew(
    server: FileServer, tmp_path: Path, waits: Waits, validator: dict[str, str]
) -> None:
    server.files["/x.csv"] = in_turn(Reply(BODY, headers=validator, cut_after=HALF), Reply(BODY, headers=validator))
    received = await fetch(f"{server.url}/x.csv", tmp_path, waits)
    assert received.path.read_bytes() == BODY
    assert "range" not in server.requests[1].headers


async def test_a_file_that_changed_in_between_is_not_mixed(server: FileServer, tmp_path: Path, waits: Waits) -> None:
    newer = rows(4_000, seed=3)
    server.files["/x.csv"] = in_turn(Reply(BODY, headers={"ETag": '"v1"'}, cut_after=HALF), ranged(newer, tag='"v2"'))
    received = await fetch(f"{server.url}/x.csv", tmp_path, waits)
    assert received.path.read_bytes() == newer
    assert received.version == '"v2"'


async def test_a_server_that_ignores_if_range_is_not_believed(server: FileServer, tmp_path: Path, waits: Waits) -> None:
    newer = rows(4_000, seed=3)
    wrong = Reply(
        newer[HALF:],
        status="206 Partial Content",
        headers={"ETag": '"v2"', "Content-Range": f"bytes {HALF}-{len(newer) - 1}/{len(newer)}"},
    )
    server.files["/x.csv"] = in_turn(Reply(BODY, headers={"ETag": '"v1"'}, cut_after=HALF), wrong, ranged(newer))
    assert (await fetch(f"{server.url}/x.csv", tmp_path, waits)).path.read_bytes() == newer


@pytest.mark.parametrize("start", [0, HALF - 1, HALF + 1])
async def test_a_part_that_was_not_asked_for_is_not_appended(
    server: FileServer, tmp_path: Path, waits: Waits, start: int
) -> None:
    headers = {"ETag": '"v1"', "Content-Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"}
    wrong = Reply(BODY[start:], status="206 Partial Content", headers=headers)
    server.files["/x.csv"] = in_turn(Reply(BODY, headers={"ETag": '"v1"'}, cut_after=HALF), wrong, ranged(BODY))
    assert (await fetch(f"{server.url}/x.csv", tmp_path, waits)).path.read_bytes() == BODY


async def test_a_part_longer_than_the_file_is_thrown_away(server: FileServer, tmp_path: Path, waits: Waits) -> None:
    shorter = BODY[: HALF // 2]
    server.files["/x.csv"] = in_turn(
        Reply(BODY, headers={"ETag": '"v1"'}, cut_after=HALF),
        Reply(status="416 Range Not Satisfiable"),
        ranged(shorter),
    )
    assert (await fetch(f"{server.url}/x.csv", tmp_path, waits)).path.read_bytes() == shorter


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_the_wait_a_server_asks_for_is_kept(
    server: FileServer, tmp_path: Path, waits: Waits, status: str
) -> None:
    server.files["/x.csv"] = in_turn(Reply(status=status, headers={"Retry-After": "17"}), ranged(BODY))
    await fetch(f"{server.url}/x.csv", tmp_path, waits)
    assert waits.seconds == [17.0]


async def test_the_reset_of_a_limit_is_waited_for_only_where_a_limit_is_the_reason(
    server: FileServer, tmp_path: Path, waits: Waits
) -> None:
    told = {"X-RateLimit-Reset": "86400"}
    server.files["/x.csv"] = in_turn(Reply(status="503 Service Unavailable", headers=told), ranged(BODY))
    assert (await fetch(f"{server.url}/x.csv", tmp_path, waits)).path.read_bytes() == BODY
    server.files["/y.csv"] = in_turn(Reply(status="429 Too Many Requests", headers=told), ranged(BODY))
    with pytest.raises(SourceError, match="429"):
        await fetch(f"{server.url}/y.csv", tmp_path, waits)


async def test_a_wait_beyond_all_patience_ends_the_fetch(server: FileServer, tmp_path: Path, waits: Waits) -> None:
    server.files["/x.csv"] = Reply(status="429 Too Many Requests", headers={"Retry-After": "86400"})
    with pytest.raises(SourceError, match=r"429 and asks to send nothing for 86400 s \(1 d\), until .+") as ended:
        await fetch(f"{server.url}/x.csv", tmp_path, waits)
    assert "Run the same command again then" in ended.value.remedy
    assert (waits.seconds, server.asked("/x.csv")) == ([], 1)


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "401 Unauthorized", "410 Gone"])
async def test_what_will_not_change_is_not_tried_again(
    server: FileServer, tmp_path: Path, waits: Waits, status: str
) -> None:
    server.files["/x.csv"] = Reply(status=status)
    with pytest.raises(SourceError, match=status[:3]):
        await fetch(f"{server.url}/x.csv", tmp_path, waits)
    assert server.asked("/x.csv") == 1


async def test_an_announced_size_over_the_cap_is_refused_before_a_byte_is_kept(
    server: FileServer, tmp_path: Path, waits: Waits
) -> None:
    server.files["/x.csv"] = Reply(BODY, length=10**12, stall_after=0)
    with pytest.raises(SourceRefused, match="1,000,000,000,000 bytes"):
        await fetch(f"{server.url}/x.csv", tmp_path, waits, cap=10**6)
    assert names(tmp_path) == []


async def test_a_size_nobody_announced_is_stopped_at_the_cap(server: FileServer, tmp_path: Path, waits: Waits) -> None:
    server.files["/x.csv"] = Reply(BODY * 40, length=-1)
    with pytest.raises(SourceRefused, match="more than the 100,000 taken"):
        await fetch(f"{server.url}/x.csv", tmp_path, waits, cap=100_000)
    assert names(tmp_path) == []


async def test_fewer_bytes_than_announced_are_never_taken_for_the_file(
    server: FileServer, tmp_path: Path, waits: Waits
) -> None:
    server.files["/x.csv"] = Reply(BODY, length=len(BODY) + 1)
    with pytest.raises(SourceError, match="broke off"):
        await fetch(f"{server.url}/x.csv", tmp_path, waits)
    assert server.asked("/x.csv") == 5, "the first brings bytes, four more bring no new one"
    assert not (tmp_path / "x.part.whole").exists()


async def test_redirects_are_followed_and_bounded(server: FileServer, tmp_path: Path, waits: Waits) -> None:
    server.files["/x.csv"] = Reply(status="302 Found", headers={"Location": "/y.csv"})
    server.files["/y.csv"] = ranged(BODY)
    assert (await fetch(f"{server.url}/x.csv", tmp_path, waits)).path.read_bytes() == BODY
    server.files["/y.csv"] = Reply(status="302 Found", headers={"Location": "/x.csv"})
    with pytest.raises(SourceError, match="redirected without end"):
        await fetch(f"{server.url}/x.csv", tmp_path, waits)


async def test_a_redirect_takes_no_secret_to_another_place(server: FileServer, tmp_path: Path) -> None:
    secret = {"X-Api-Key": "s3cret", "Authorization": "Bearer s3cret"}
    with FileServer() as elsewhere:
        server.files["/x.csv"] = Reply(status="302 Found", headers={"Location": "/here.csv"})
        server.files["/here.csv"] = Reply(status="302 Found", headers={"Location": f"{elsewhere.url}/y.csv"})
        elsewhere.files["/y.csv"] = ranged(BODY)
        async with WebFetcher(headers=secret) as web:
            assert await web.version(f"{server.url}/x.csv") == '"v1"'
            await web.fetch(f"{server.url}/x.csv", tmp_path / "x.part", FetchLimits(), lambda done, total: None)
        for asked in server.requests:
            assert (asked.headers["x-api-key"], asked.headers["authorization"]) == ("s3cret", "Bearer s3cret")
        assert len(elsewhere.requests) == 2
        assert not any("s3cret" in str(asked.headers) for asked in elsewhere.requests)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x.csv", "gopher://x"])
async def test_a_redirect_leads_nowhere_but_to_the_web(
    server: FileServer, tmp_path: Path, waits: Waits, target: str
) -> None:
    server.files["/x.csv"] = Reply(status="302 Found", headers={"Location": target})
    with pytest.raises(SourceError, match="not http"):
        await fetch(f"{server.url}/x.csv", tmp_path, waits)
    assert names(tmp_path) == []


async def test_a_file_that_drips_for_ever_ends(server: FileServer, tmp_path: Path, waits: Waits) -> None:
    def drip(request: Request) -> Reply:
        return Reply(BODY, headers={"ETag": f'"{len(server.requests)}"'}, stall_after=len(server.requests))

    server.files["/x.csv"] = drip
    with pytest.raises(SourceError, match="more than 1 seconds"):
        await fetch(f"{server.url}/x.csv", tmp_path, waits, retry=RetryLimits(stall_s=0.1, total_s=1, attempts=99))


async def test_a_secret_address_is_not_told(server: FileServer, tmp_path: Path, waits: Waits) -> None:
    async with WebFetcher(RetryLimits(attempts=1), sleep=waits) as web:
        with pytest.raises(SourceError) as caught:
            await web.fetch(
                f"{server.url}/none?signature=s3cr3t", tmp_path / "x", FetchLimits(), lambda *_: None, what="the file"
            )
    assert "s3cr3t" not in str(caught.value)
    assert "the file" in str(caught.value)
