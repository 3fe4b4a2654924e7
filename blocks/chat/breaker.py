"""The breaker of a model: after too many failures nothing is sent for a while, then one call tries.

It opens when most requests of the last minute have failed, or when a row of failures has lasted. Its state is kept in
the store, so every process and host obeys it and a restart does not close it. Plain arithmetic; `sending` keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

FAILURES = frozenset({"rate_limited", "server_failure", "timeout", "connection_lost", "unreachable", "malformed_reply"})
"""Outcomes that say the model is not there; any other one, a refusal for instance, says that it is."""
SPEAKS_NOT = frozenset({"cancelled", "unsent", "lost", "request_too_large"})
"""Outcomes that say nothing about the model: what is too large is mostly refused by a proxy before it."""

CALLS = 5
"""Of so many calls at least must there have been requests in the last minute: one that always fails proves nothing."""
DENSITY = 0.8
DENSITY_REQUESTS = 20
"""Open when this share of the last minute's requests has failed, of so many at least."""
STREAK_REQUESTS = 10
STREAK_S = 60.0
"""Open when nothing else has come back for so many requests and so long."""
FIRST_PROBE_S = 30.0
LAST_PROBE_S = 600.0
"""Time until a first probe, doubled with each probe that fails, up to the second."""
PROBE_LEASE_S = 330.0
"""A probe that has not come back by then is taken for lost."""
PROBE_LOOK_S = 1.0
"""Pause before a look at whether a probe has come back."""

State = Literal["closed", "open", "probing"]


class Breaker(NamedTuple):
    """The state of one model's breaker."""

    state: State = "closed"
    since: float = 0.0
    probe_at: float = 0.0
    probe: str = ""
    trips: int = 0
    streak: int = 0
    streak_since: float = 0.0
    reason: str = ""

    @classmethod
    def of(cls, row: object) -> Breaker:
        """As a row of the store has it."""
        return cls(*(getattr(row, name) for name in cls._fields))

    def wait_s(self, now: float) -> float:
        """Seconds until it is worth asking again; 0: a call may go now."""
        wait = 0.0 if self.state == "closed" else max(0.0, self.probe_at - now)
        return min(wait, PROBE_LOOK_S) if self.state == "probing" else wait

    def probed(self, send: str, now: float) -> Breaker:
        """With a request let through as a probe."""
        if self.state == "closed":
            return self
        return self._replace(state="probing", probe=send, probe_at=now + PROBE_LEASE_S)

    def told(self, send: str, outcome: str, now: float, recent: Recent) -> Breaker:
        """After a request has come back.

        Args:
            send: Its id.
            outcome: How, see `FAILURES`.
            now: By the store's clock.
            recent: Counts what came back since a moment, this request included.
        """
        probe = self.state != "closed" and send == self.probe
        if outcome in SPEAKS_NOT:
            return self._replace(state="open", probe="", probe_at=now) if probe else self
        if outcome not in FAILURES:
            return Breaker(since=now) if probe else self._replace(streak=0) if self.streak else self
        if probe:
            return self._opened(f"a probe failed ({outcome})", now)
        counted = self._replace(streak=self.streak + 1, streak_since=self.streak_since if self.streak else now)
        if self.state != "closed":
            return counted
        if counted.streak < STREAK_REQUESTS and counted.streak % CALLS:
            return counted
        seen = recent(max(self.since, now - 60.0))
        if seen.calls < CALLS:
            return counted
        if counted.streak >= STREAK_REQUESTS and now - counted.streak_since >= STREAK_S:
            return counted._opened(f"{counted.streak} requests failed in a row, the last as {outcome}", now)
        if seen.requests >= DENSITY_REQUESTS and seen.failed >= DENSITY * seen.requests:
            return counted._opened(f"{seen.failed} of the last {seen.requests} requests failed", now)
        return counted

    def _opened(self, reason: str, now: float) -> Breaker:
        wait = min(LAST_PROBE_S, FIRST_PROBE_S * 2**self.trips)
        return Breaker("open", now, now + wait, "", self.trips + 1, self.streak, self.streak_since, reason)


class Seen(NamedTuple):
    """What came back."""

    requests: int
    failed: int
    calls: int


Recent: TypeAlias = Callable[[float], Seen]


class BreakerChange(NamedTuple):
    """A breaker that has opened or closed, for observers."""

    endpoint: str
    model: str
    state: State
    reason: str
    probe_s: float


BreakerObserver: TypeAlias = Callable[[BreakerChange], None]
