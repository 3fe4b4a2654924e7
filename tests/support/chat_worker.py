"""A process that makes model calls, for tests that kill it: `python -m tests.support.chat_worker STORE URL FIRST LAST`.

It asks questions FIRST to LAST (not included), prints one JSON line per reply as it comes, and dies by SIGKILL where
`--die` says: `unstored` when an answer has come and is about to be stored, `stored` when that has just happened.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from functools import cache

from blocks.chat import owners
from blocks.chat.admission import Rules
from blocks.chat.budget import BudgetPlan, Caps
from blocks.chat.errors import BudgetSpent
from blocks.chat.journal import Journal
from blocks.chat.limits import Limits
from blocks.chat.models import ChatReply
from blocks.chat.records import JournalRecord
from tests.support.chat import ask, opened
from tests.support.stores import place_of


class DyingJournal(Journal):
    """A journal whose process dies around a store."""

    die: str = ""

    async def store(self, record: JournalRecord) -> ChatReply:
        """Stores, unless it dies before."""
        if self.die == "unstored":
            os.kill(os.getpid(), signal.SIGKILL)
        reply = await super().store(record)
        if self.die == "stored":
            os.kill(os.getpid(), signal.SIGKILL)
        return reply


async def main() -> None:
    """Makes the calls."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=place_of)
    parser.add_argument("url")
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--die", default="")
    parser.add_argument("--host", help="the host it says it is on")
    parser.add_argument("--limit", type=int, help="requests per minute")
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--requests", type=int, help="budget of the day")
    parser.add_argument("--lease", type=float, default=60.0)
    options = parser.parse_args()
    if options.host:
        owners._place = cache(lambda: str(options.host))
    journal = DyingJournal(options.store, lease_s=options.lease)
    journal.die = options.die
    rules = Rules(Limits(requests_per_minute=options.limit), BudgetPlan(day=Caps(requests=options.requests)))
    given = {"rules": rules, "max_in_flight": options.in_flight, "owns_journal": True}
    async with opened(options.url, journal, **given) as client:

        async def one(number: int) -> None:
            try:
                reply = await client.complete(ask(f"question {number}"))
            except BudgetSpent:
                return
            line = {"number": number, "content": reply.message.content, "replayed": reply.replayed}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

        await asyncio.gather(*(one(number) for number in range(options.first, options.last)))


if __name__ == "__main__":
    asyncio.run(main())
