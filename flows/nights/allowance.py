"""What a night has left: questions, and time to begin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Allowance:
    """The questions a night may still ask and the moment after which nothing is begun.

    Datasets are worked on side by side: each is granted its share before it begins and gives back what it did not ask.

    Args:
        questions: New questions in the whole night.
        seconds: From now until nothing more is begun.
        clock: Tells the time, seconds.
    """

    def __init__(self, questions: int, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._left = questions
        self._granted = 0
        self._clock = clock
        self.ends = clock() + seconds
        """When the window closes, on the clock."""
        self._changed = asyncio.Condition()

    @property
    def over(self) -> bool:
        """Whether nothing may be begun any more."""
        return self._clock() >= self.ends

    @property
    def remaining_s(self) -> float:
        """Seconds until the window closes."""
        return max(0.0, self.ends - self._clock())

    async def grant(self, wanted: int) -> int:
        """As many of the questions wanted as there are left; none only once nobody can give any back."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._left > 0 or self._granted == 0)
            given = min(wanted, self._left)
            self._left -= given
            self._granted += given
            return given

    async def settle(self, granted: int, asked: int) -> None:
        """Give back what was granted and not asked."""
        async with self._changed:
            self._granted -= granted
            self._left += max(granted - asked, 0)
            self._changed.notify_all()
