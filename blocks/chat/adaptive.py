"""How many requests of an account to a model may be under way at once in this process: found out, not set.

It begins small and grows with every answer while it is used to the full, until the server turns requests away. Those
turned away together are one episode: the limit falls once, to what the server did take, but never below a quarter;
nothing is sent until the time the server asked for is over. Then it grows by one a round, and goes back to where it was
turned away only after some time without an episode.

Whoever waits has a patience: once the server asks for more than that, the wait ends at once, not when it is over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

FIRST = 4
DECREASE = 0.85
MOST_DECREASE = 0.25
"""An episode leaves between the second and the first share of what was under way."""
NEVER = -float("inf")
QUIET_S = 30.0
"""Time without an episode after which the level that was turned away is tried again."""


@dataclass(frozen=True)
class Leave:
    """A request that may be under way.

    Attributes:
        episode: How many episodes there had been when it began.
    """

    episode: int


class ClosedForLong(Exception):
    """The server has asked to send nothing for longer than a request would wait."""


class ClosingWatcher(Protocol):
    """Told when a closed time has become longer."""

    def closed_for_longer(self) -> None:
        """Those who wait elsewhere may have to be told."""
        ...


class _Waiter(NamedTuple):
    future: asyncio.Future[int]
    patience_s: float


class Adaptive:
    """The limit of one account and model in one event loop.

    Args:
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: deque[_Waiter] = deque()
        self.watchers: WeakSet[ClosingWatcher] = WeakSet()
        """Who shares it, and is told of each longer closed time."""
        self._timer: asyncio.TimerHandle | None = None
        self._slow_start = True
        self._turned_away_at = float("inf")
        self._episode = 0
        self._episode_s = NEVER
        self._peak = 0
        self._rejected = 0
        self._answered = 0
        self.limit = FIRST
        self.in_flight = 0
        self.closed_until = NEVER
        self.said = ""
        """Why nothing is sent until then."""

    async def enter(self, served_s: float = NEVER, patience_s: float = float("inf")) -> Leave:
        """Waits for room.

        Args:
            served_s: The end of a closed time that this request has waited out already.
            patience_s: The longest closed time that it waits out.

        Raises:
            ClosedForLong: Nothing is sent for longer than that, be it now or asked for while this one waits.
        """
        if self.is_closed(served_s) and self.closed_s() > patience_s:
            raise ClosedForLong
        if self._waiting or not self._has_room(served_s):
            waiter = _Waiter(asyncio.get_running_loop().create_future(), patience_s)
            # Who has been turned away goes first.
            (self._waiting.append if served_s == NEVER else self._waiting.appendleft)(waiter)
            self._plan_opening()
            try:
                return Leave(await waiter.future)
            except asyncio.CancelledError:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                elif not waiter.future.cancelled() and waiter.future.exception() is None:
                    self.in_flight -= 1
                self._let_in()
                raise
        self.in_flight += 1
        return Leave(self._episode)

    def leave(self, leave: Leave, *, answered: bool) -> None:
        """A request has come back: answered, or with an error that says nothing about how many may be under way."""
        saturated = self.in_flight >= self.limit
        self.in_flight -= 1
        if answered and saturated and leave.episode == self._episode:
            self._grow()
        self._let_in()

    def turned_away(self, leave: Leave, wait_s: float, said: str = "") -> float:
        """A request has come back rejected for there being too many.

        Args:
            leave: The request's.
            wait_s: As for `close`.
            said: As for `close`.

        Returns:
            As `close`.
        """
        now = self._clock()
        if leave.episode == self._episode:
            self._episode += 1
            self._episode_s = now
            self._peak, self._rejected = self.in_flight, 0
            self._slow_start = False
        if leave.episode == self._episode - 1:
            self._rejected += 1
            taken = min(self._peak - self._rejected, int(self._peak * DECREASE))
            self._turned_away_at = self._peak - self._rejected + 1
            self.limit = max(1, int(self._peak * MOST_DECREASE), min(taken, self.limit))
            self._turned_away_at = max(self._turned_away_at, self.limit + 1)
        self.in_flight -= 1
        end = self.close(wait_s, said)
        self._let_in()
        return end

    def close(self, wait_s: float, said: str = "") -> float:
        """Nothing more is sent for so many seconds; a shorter time never ends a longer one.

        Args:
            wait_s: What the server asks to wait.
            said: Why, for people.

        Returns:
            When that is over, by the clock.
        """
        end = self._clock() + wait_s
        if wait_s > 0 and end > self.closed_until:
            self.closed_until, self.said = end, said
            self._end_impatient()
            for watcher in list(self.watchers):
                watcher.closed_for_longer()
        return end

    def closed_s(self) -> float:
        """Seconds until something may be sent again."""
        return max(0.0, self.closed_until - self._clock())

    def is_closed(self, served_s: float = NEVER) -> bool:
        """Whether nothing may be sent now.

        Args:
            served_s: As for `enter`.
        """
        return self.closed_until > served_s and self.closed_s() > 0

    def _end_impatient(self) -> None:
        closed = self.closed_s()
        for waiter in [each for each in self._waiting if closed > each.patience_s]:
            self._waiting.remove(waiter)
            if not waiter.future.done():
                waiter.future.set_exception(ClosedForLong())

    def _has_room(self, served_s: float) -> bool:
        return self.in_flight < self.limit and not self.is_closed(served_s)

    def _grow(self) -> None:
        if self._slow_start:
            self.limit += 1
            return
        self._answered += 1
        if self._answered < self.limit:
            return
        self._answered = 0
        if self.limit + 1 < self._turned_away_at:
            self.limit += 1
        elif self._clock() - self._episode_s >= QUIET_S:
            self.limit += 1
            self._turned_away_at = float("inf")

    def _let_in(self) -> None:
        while self._waiting and self._has_room(NEVER):
            future = self._waiting.popleft().future
            if not future.done():
                self.in_flight += 1
                future.set_result(self._episode)
        self._plan_opening()

    def _plan_opening(self) -> None:
        if self._waiting and self._timer is None and (wait := self.closed_s()):
            self._timer = asyncio.get_running_loop().call_later(wait, self._open)

    def _open(self) -> None:
        self._timer = None
        self._let_in()


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[tuple[str, str], Adaptive]] = (
    WeakKeyDictionary()
)


def share_adaptive(account: str, model: str, watcher: ClosingWatcher) -> Adaptive:
    """The limit that all clients of an account share for a model in this event loop; to be given back.

    Args:
        account: The account.
        model: The model.
        watcher: The client's part that is told of closed times.
    """
    loop = asyncio.get_running_loop()
    known = _loops.setdefault(loop, WeakValueDictionary())
    found = known.get((account, model))
    if found is None:
        found = known[account, model] = Adaptive(loop.time)
    found.watchers.add(watcher)
    return found


def give_back_adaptive(account: str, model: str, watcher: ClosingWatcher) -> None:
    """Give a share back. With the last one all is forgotten: a later client finds out anew, as credit may be bought."""
    known = _loops.get(asyncio.get_running_loop(), WeakValueDictionary())
    found = known.get((account, model))
    if found is not None:
        found.watchers.discard(watcher)
        if not found.watchers:
            known.pop((account, model), None)
