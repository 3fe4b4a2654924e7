"""How many requests of an account may be under way at once in this process: found out, not set.

It begins small and grows with every answer while it is used to the full, until the server turns requests away. Those
turned away together are one episode: the limit falls once, to what the server did take, but never below a quarter;
nothing is sent until the time the server asked for is over. Then it grows by one a round, and goes back to where it was
turned away only after some time without an episode.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary, WeakValueDictionary

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


class Adaptive:
    """The limit of one account in one event loop.

    Args:
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: deque[asyncio.Future[int]] = deque()
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

    async def enter(self, served_s: float = NEVER) -> Leave:
        """Waits for room.

        Args:
            served_s: The end of a closed time that this request has waited out already.
        """
        if self._waiting or not self._has_room(served_s):
            future = asyncio.get_running_loop().create_future()
            # Who has been turned away goes first.
            (self._waiting.append if served_s == NEVER else self._waiting.appendleft)(future)
            self._plan_opening()
            try:
                return Leave(await future)
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self.in_flight -= 1
                elif future in self._waiting:
                    self._waiting.remove(future)
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

    def turned_away(self, leave: Leave, wait_s: float) -> None:
        """A request has come back rejected for there being too many.

        Args:
            leave: The request's.
            wait_s: What the server asks to wait.
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
        self.close(wait_s)
        self._let_in()

    def close(self, wait_s: float) -> None:
        """Nothing more is sent for so many seconds."""
        self.closed_until = max(self.closed_until, self._clock() + wait_s)

    def closed_s(self) -> float:
        """Seconds until something may be sent again."""
        return max(0.0, self.closed_until - self._clock())

    def _has_room(self, served_s: float) -> bool:
        return self.in_flight < self.limit and (self.closed_until <= served_s or not self.closed_s())

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
            future = self._waiting.popleft()
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


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[str, Adaptive]] = WeakKeyDictionary()


def adaptive_of(account: str) -> Adaptive:
    """The limit that all clients of an account share in this event loop."""
    loop = asyncio.get_running_loop()
    accounts = _loops.setdefault(loop, WeakValueDictionary())
    found = accounts.get(account)
    if found is None:
        found = accounts[account] = Adaptive(loop.time)
    return found
