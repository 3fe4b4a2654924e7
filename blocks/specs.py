"""Plain values that blocks make real: which sandboxes and which model a run wants, which flow is to be started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from blocks.chat.budget import NO_CAPS, Caps
from blocks.sandboxes.models import SandboxLimits


@dataclass(frozen=True)
class PoolSpec:
    """Which sandboxes a run wants; equal specs share one pool."""

    runtime: Literal["auto", "docker", "process"] = "auto"
    docker_host: str | None = None
    allow_weak: bool = False
    limits: SandboxLimits = field(default_factory=SandboxLimits)


@dataclass(frozen=True)
class Spending:
    """What the calls of a run may send and spend.

    Attributes:
        requests_per_minute: Of the account; None: as a saved block says, or the server.
        tokens_per_minute: The same.
        budget: Name of the saved Budget block that caps the run.
        run_caps: Caps of this run alone, beside those of the block.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget: str | None = None
    run_caps: Caps = NO_CAPS


NO_LIMIT = Spending()


@dataclass(frozen=True)
class ModelSpec:
    """Which model a run asks, and whether only journals may answer.

    Attributes:
        model: As the user names it.
        base_url: Address of the endpoint, if the name alone does not say it.
        offline: Answer from journals only.
        replay: Recorded journals that may answer.
        max_in_flight: Calls under way at once, at most.
        spending: What it may send and spend.
    """

    model: str
    base_url: str | None = None
    offline: bool = False
    replay: tuple[Path, ...] = ()
    max_in_flight: int = 8
    spending: Spending = NO_LIMIT


class Errand(NamedTuple):
    """A flow that can be started.

    Attributes:
        deployment: As `flow/deployment`.
        entrypoint: Its module path, as in the deployment.
    """

    deployment: str
    entrypoint: str


class Outcome(NamedTuple):
    """How a flow that was started ended.

    Attributes:
        state: crashed: it or its host was lost on the way. not started: nobody took it up in time.
        message: Its state's message.
    """

    state: Literal["completed", "failed", "crashed", "not started"]
    message: str
