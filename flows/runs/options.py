"""Options that runs share: where code runs, how much at once, and how a model is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from blocks.chat.budget import Caps
from blocks.chat.models import Sampling
from blocks.errors import UserError
from blocks.frozen import Frozen
from blocks.sandboxes.models import SandboxLimits
from blocks.specs import ModelSpec, PoolSpec, Spending
from flows.verification.attempts import TraceConfig

MIB = 2**20


class RuntimeOptions(Frozen):
    """Where code runs."""

    runtime: Annotated[
        Literal["auto", "docker", "process"],
        Field(description="where code runs; auto: docker when an engine and the image are there, else process"),
    ] = "auto"
    docker_host: Annotated[
        str | None, Field(description="engine address unix://, tcp:// or ssh://; empty: DOCKER_HOST or the local one")
    ] = None
    allow_weak: Annotated[
        bool, Field(description="process runtime on a kernel without Landlock: run with the weaker walls")
    ] = False


class SandboxOptions(RuntimeOptions):
    """Where code runs, and what it may use."""

    cell_timeout: Annotated[float, Field(gt=0, le=3600, description="wall clock of a cell, seconds")] = 60.0
    memory: Annotated[int, Field(ge=64, description="memory of a session beyond the shared dataset, MiB")] = 1024
    parallel_datasets: Annotated[int, Field(ge=1, le=64, description="datasets at once in this process")] = 2

    def pool(self) -> PoolSpec:
        """The sandboxes."""
        return PoolSpec(self.runtime, self.docker_host, self.allow_weak, self.limits())

    def limits(self) -> SandboxLimits:
        """The limits of the sandboxes."""
        return SandboxLimits(
            max_sessions=self.sessions(), cell_timeout_s=self.cell_timeout, memory_bytes=self.memory * MIB
        )

    def sessions(self) -> int:
        """Sessions alive at once in a sandbox."""
        return 16


class SpendingOptions(Frozen):
    """What model calls may send and spend."""

    requests_per_minute: Annotated[
        int | None, Field(ge=1, description="of the account, all hosts with this store; empty: as the server says")
    ] = None
    tokens_per_minute: Annotated[
        int | None, Field(ge=1, description="of the account, all hosts with this store; empty: as the server says")
    ] = None
    budget: Annotated[str | None, Field(description="saved Budget block: caps by run, day and model")] = None
    budget_requests: Annotated[int | None, Field(ge=0, description="HTTP requests of this run, retries included")] = (
        None
    )
    budget_tokens: Annotated[int | None, Field(ge=0, description="tokens of this run, prompts and answers")] = None
    budget_usd: Annotated[float | None, Field(ge=0, description="US dollars of this run; needs the model's price")] = (
        None
    )

    def spending(self) -> Spending:
        """The same for blocks."""
        caps = Caps(requests=self.budget_requests, tokens=self.budget_tokens, usd=self.budget_usd)
        return Spending(self.requests_per_minute, self.tokens_per_minute, self.budget, caps)


class ModelOptions(SpendingOptions):
    """Which model is asked, and how."""

    model: Annotated[
        str | None,
        Field(description="openrouter/VENDOR/MODEL, openai/MODEL, ollama/MODEL, block:NAME, or a name with --base-url"),
    ] = None
    base_url: Annotated[str | None, Field(description="an OpenAI-compatible endpoint, http(s)://HOST/v1")] = None
    offline: Annotated[bool, Field(description="answer from the journal only; a missing call is an error")] = False
    temperature: Annotated[float, Field(ge=0, le=2, description="sampling temperature")] = 0.7
    top_p: Annotated[float | None, Field(gt=0, le=1, description="nucleus sampling; empty: the provider's")] = None
    max_tokens: Annotated[int, Field(ge=16, description="tokens of one reply")] = 2048
    prompt: Annotated[Literal["full", "compact"], Field(description="compact suits small models")] = "full"
    act: Annotated[Literal["block", "tool"], Field(description="code as a block or as a native tool call")] = "block"
    max_turns: Annotated[int, Field(ge=1, le=100, description="replies per trace")] = 10
    parallel_calls: Annotated[int, Field(ge=1, le=1024, description="model calls under way at once, at most")] = 8

    def named_model(self) -> str:
        """The model's name as the user gave it.

        Raises:
            UserError: None was given.
        """
        if self.model is None:
            raise UserError(
                "No model is named.",
                "Give --model openrouter/VENDOR/MODEL, --model ollama/NAME, or --model NAME --base-url http://HOST/v1.",
            )
        return self.model

    def model_spec(self, *replay: Path) -> ModelSpec:
        """The model; offline, recorded journals may answer too.

        Raises:
            UserError: No model is named.
        """
        known = tuple(path for path in replay if path.exists()) if self.offline else ()
        return ModelSpec(
            self.named_model(),
            self.base_url,
            self.offline,
            known,
            self.parallel_calls,
            self.spending(),
        )

    def trace_config(self, model: str, sampling: Sampling, cell_timeout_s: float) -> TraceConfig:
        """How attempts are made.

        Args:
            model: The model as its provider names it.
            sampling: What of the sampling is sent.
            cell_timeout_s: Wall clock of a cell, seconds.
        """
        base = TraceConfig.compact(model, sampling) if self.prompt == "compact" else TraceConfig(model=model)
        return base.model_copy(
            update={
                "sampling": sampling,
                "act": self.act,
                "max_turns": self.max_turns,
                "cell_timeout_s": cell_timeout_s,
            }
        )

    def sampling(self, seed: int | None = None) -> Sampling:
        """The sampling parameters."""
        return Sampling(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens, seed=seed)
