"""The Prefect server as this host sees it: reachable, of a fitting version, its clock, pools, workers and limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

import httpx
import prefect
from packaging.version import InvalidVersion, Version
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import WorkerStatus
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL

from blocks.host.findings import GIB, Finding, HostNeeds, apart_s, note, ok, wrong
from blocks.host.gpu import has_driver
from blocks.host.schedules import look_at_schedules
from blocks.host.services import look_at_services, silent
from blocks.sandboxes.container import ZYGOTE_BYTES, Facts
from blocks.slots import LIMIT_NAME
from blocks.work_pools import GPU_POOL, Pool, is_current, pools

PATIENCE_S = 10.0
_POOLS = "Run `make pools`."
_PROC = Path("/proc")


async def look_at_server(needs: HostNeeds, facts: Facts | None) -> list[Finding]:
    """What there is to say of the server that PREFECT_API_URL names.

    Args:
        needs: What the host is to be good for.
        facts: The engine's, to hold the limit against; None where it did not answer.
    """
    url = PREFECT_API_URL.value()
    if not url:
        found = "none is named, so every run would start one of its own"
        return [wrong("server", found, "Set PREFECT_API_URL=http://SERVER:4200/api, or say --no-server.")]
    heard, seen = await _hear(url, needs.skew_s)
    if not heard:
        return seen
    async with get_client() as client:
        seen += await _asked("server version", _version, client)
        for pool in _wanted(needs):
            seen += await _asked(f"pool {pool.name}", lambda asked, pool=pool: _pool(asked, pool), client)  # type: ignore[misc]
        seen += await _asked("limit", lambda asked: _limit(asked, facts), client)
        seen += await _asked("services", look_at_services, client)
        return seen + await _asked("schedules", look_at_schedules, client)


async def _hear(url: str, most_s: float) -> tuple[bool, list[Finding]]:
    """Whether it answers, and what its clock says."""
    sent = datetime.now(UTC)
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            answer = (await client.get(f"{url.rstrip('/')}/health")).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        words = str(error).partition("\n")[0] or type(error).__name__
        remedy = "Start one with `prefect server start`, or mend PREFECT_API_URL; is its port open to this host?"
        return False, [wrong("server", f"{url} does not answer: {words}", remedy)]
    took = datetime.now(UTC) - sent
    return True, [ok("server", url), _clock(answer.headers.get("date", ""), sent + took / 2, most_s)]


def _clock(date: str, here: datetime, most_s: float) -> Finding:
    try:
        there = parsedate_to_datetime(date)
    except ValueError:
        return note("clock", "the server does not tell its time", "Ask it directly rather than through a proxy.")
    ahead = apart_s(there, here)
    if abs(ahead) <= most_s:
        return ok("clock", f"within {max(abs(ahead), 1.0):.0f} s of the server's")
    which = "behind" if ahead > 0 else "ahead of"
    remedy = "Let both keep time by NTP (`timedatectl set-ntp true`): heartbeats and leases are judged by it."
    return wrong("clock", f"this host is {abs(ahead):.0f} s {which} the server, more than {most_s:g}", remedy)


Question = Callable[[PrefectClient], Awaitable[list[Finding]]]


async def _asked(what: str, question: Question, client: PrefectClient) -> list[Finding]:
    """What a question finds; a server that refuses to answer is a finding too."""
    try:
        return await question(client)
    except PrefectHTTPStatusError as error:
        status = error.response.status_code
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return [wrong(what, "the server wants a password", "Set PREFECT_API_AUTH_STRING as the server has it.")]
        return [wrong(what, f"the server answered with HTTP {status}", "Look at its log; is it a Prefect server?")]
    except (httpx.HTTPError, ValueError) as error:
        words = str(error).partition("\n")[0] or type(error).__name__
        return [wrong(what, f"the server gave no sensible answer: {words}", "Look at its log; is it a Prefect server?")]


async def _version(client: PrefectClient) -> list[Finding]:
    what, theirs, mine = "server version", await client.api_version(), prefect.__version__
    same = f"Install Prefect {mine} on the server, or this version's lock file's one here."
    try:
        there, here = Version(theirs), Version(mine)
    except InvalidVersion:
        return [wrong(what, f"the server says {theirs!r}", "Is it a Prefect server?")]
    found = f"the server has Prefect {theirs}, this host {mine}"
    if there.major != here.major:
        return [wrong(what, f"{found}: they do not understand each other", same)]
    if (there.major, there.minor) < (here.major, here.minor):
        return [wrong(what, f"{found}: the server must not be the older one", same)]
    return [ok(what, found)]


def _wanted(needs: HostNeeds) -> list[Pool]:
    """The pools this host's workers are to poll."""
    if needs.pool:
        return [Pool(name, "", 0) for name in needs.pool]
    return [pool for pool in pools() if pool.name != GPU_POOL or needs.gpu or has_driver()]


async def _pool(client: PrefectClient, pool: Pool) -> list[Finding]:
    what = f"pool {pool.name}"
    try:
        there = await client.read_work_pool(pool.name)
    except ObjectNotFound:
        return [wrong(what, "the server has none of this name", _POOLS)]
    if there.type != "docker":
        return [wrong(what, f"it is of type {there.type}, not docker", f"Delete it and {_POOLS.lower()}")]
    found = [await _workers(client, pool)]
    if there.is_paused:
        resume = f"`prefect work-pool resume {pool.name}` once you know why it was paused."
        found.append(note(what, "it is paused: nothing is started", resume))
    if not is_current(there.base_job_template):
        found.append(note(what, "its job template is not that of this version", _POOLS))
    return found


async def _workers(client: PrefectClient, pool: Pool) -> Finding:
    """Alive as the server hears it, and of this host as its own list of processes shows it."""
    what, start = f"pool {pool.name}", f"`prefect worker start --pool {pool.name}` here, kept running by systemd."
    workers = await client.read_workers_for_work_pool(pool.name)
    living = [worker for worker in workers if worker.status == WorkerStatus.ONLINE and not silent(worker)]
    mine = _polling(pool.name)
    if not living:
        told = f"process {mine[0]} polls it and the server does not hear it" if mine else "no living worker polls it"
        return wrong(what, told, f"Look at its log and its PREFECT_API_URL; {start}" if mine else f"Run {start}")
    if mine:
        return ok(what, f"polled from here (process {', '.join(map(str, mine))}), {len(living)} workers alive in all")
    judge = wrong if pool.each_host else note
    return judge(what, f"{len(living)} living workers poll it, none of them from here", f"Run {start}")


def _polling(pool: str) -> list[int]:
    """Processes of this machine that are a worker for the pool; the server knows workers by name only."""
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdecimal() and _is_worker(folder, pool):
            found.append(int(folder.name))
    return sorted(found)


def _is_worker(process: Path, pool: str) -> bool:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # It has ended meanwhile.
        return False
    named = pool in words or f"--pool={pool}" in words
    worker = named and "worker" in words and "start" in words and any("prefect" in word for word in words)
    return worker and _door(_api_url(process)) in (None, _door(PREFECT_API_URL.value()))


def _api_url(process: Path) -> str | None:
    """The server a process was started for; None where it does not say so, or is somebody else's."""
    try:
        variables = (process / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    name = f"{PREFECT_API_URL.name}="
    return next((each.removeprefix(name) for each in variables if each.startswith(name)), None)


def _door(url: str | None) -> tuple[int | None, str] | None:
    """Port and path of a server: what tells two of one machine apart, whatever name each is called by."""
    if url is None:
        return None
    parts = urlsplit(url)
    return parts.port, parts.path.rstrip("/")


async def _limit(client: PrefectClient, facts: Facts | None) -> list[Finding]:
    what = f"limit {LIMIT_NAME}"
    try:
        limit = await client.read_global_concurrency_limit_by_name(LIMIT_NAME)
    except ObjectNotFound:
        return [wrong(what, "the server has none of this name", _POOLS)]
    change = f"`prefect gcl update {LIMIT_NAME} --limit N`."
    if not limit.active:
        return [wrong(what, "it is switched off: nothing bounds the sandboxes", f"`prefect gcl enable {LIMIT_NAME}`.")]
    found = f"at most {limit.limit} sandboxes at once, {limit.active_slots} now"
    if facts is None:
        return [ok(what, found)]
    if facts.memory and limit.limit * ZYGOTE_BYTES > facts.memory:
        need = f"{limit.limit * ZYGOTE_BYTES / GIB:.0f} of the {facts.memory / GIB:.0f} GiB there are"
        return [wrong(what, f"{found}; all on this engine would take {need} before any session", change)]
    if limit.limit > facts.cpus:
        return [note(what, f"{found}; all on this engine would share its {facts.cpus} CPUs", change)]
    return [ok(what, f"{found}; the engine has {facts.cpus} CPUs and {facts.memory / GIB:.0f} GiB")]
