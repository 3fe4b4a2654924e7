"""What a check of a host finds: typed records of what there is and, where that is not as it should be, the remedy."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from blocks.frozen import Frozen

Standing = Literal["ok", "note", "wrong"]
"""note: flows run, but not as one would expect; wrong: something will fail."""
GIB = 2**30


class Finding(Frozen):
    """One thing that was looked at."""

    what: str
    standing: Standing
    found: str
    """What there is, in words."""
    remedy: str = ""
    """What to do about it; empty when all is well."""


class HostNeeds(Frozen):
    """What this host is to be good for; also the command line of the check."""

    docker_host: Annotated[
        str | None, Field(description="address of the Docker engine; default: DOCKER_HOST, else the local one")
    ] = None
    gpu: Annotated[bool, Field(description="a GPU must be there; without this it is looked at only where one is")] = (
        False
    )
    server: Annotated[bool, Field(description="look at the Prefect server, its pools, workers and limits")] = True
    pool: Annotated[
        tuple[str, ...],
        Field(description="work pools whose workers belong to this host, in place of those `make pools` makes"),
    ] = ()
    free_gib: Annotated[
        float, Field(ge=0, description="free space wanted in the home and in the engine's folder, GiB")
    ] = 10.0
    memory_gib: Annotated[float, Field(ge=0, description="memory wanted to be available now, GiB")] = 4.0
    skew_s: Annotated[
        float, Field(gt=1, description="most that the server's clock may differ, seconds; it tells whole ones")
    ] = 5.0


class HostReport(Frozen):
    """All that was found on a host."""

    schema_version: Literal[1] = 1
    host: str
    at: AwareDatetime
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0: nothing is wrong; 1: something is."""
        return int(any(finding.standing == "wrong" for finding in self.findings))

    def sentence(self) -> str:
        """The report in one sentence."""
        wrong, notes = (sum(f.standing == standing for f in self.findings) for standing in ("wrong", "note"))
        if not wrong:
            return f"{self.host} is fit: {len(self.findings)} things looked at, {notes} to note"
        return f"{self.host} is not fit: {wrong} of {len(self.findings)} things are wrong, {notes} to note"


def ok(what: str, found: str) -> Finding:
    """All is well."""
    return Finding(what=what, standing="ok", found=found)


def note(what: str, found: str, remedy: str) -> Finding:
    """Flows run, but not as one would expect."""
    return Finding(what=what, standing="note", found=found, remedy=remedy)


def wrong(what: str, found: str, remedy: str) -> Finding:
    """Something will fail."""
    return Finding(what=what, standing="wrong", found=found, remedy=remedy)


def apart_s(there: datetime, here: datetime) -> float:
    """How far a clock that tells whole seconds is from ours, seconds; positive: it is ahead.

    Less than a second cannot be told, and is none.
    """
    ahead = (there - here).total_seconds()
    return ahead if ahead > 0 else min(0.0, ahead + 1.0)
