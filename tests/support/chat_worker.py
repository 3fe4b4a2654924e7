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
from pathlib import Path

from blocks.chat.journal import Journal
from blocks.chat.models import ChatReply
from blocks.chat.records import JournalRecord
from tests.support.chat import ask, opened


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
    parser.add_argument("store", type=Path)
    parser.add_argument("url")
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--die", default="")
    parser.add_argument("--lease", type=float, default=60.0)
    options = parser.parse_args()
    journal = DyingJournal(options.store, lease_s=options.lease)
    journal.die = options.die
    async with opened(options.url, journal, owns_journal=True) as client:

        async def one(number: int) -> None:
            reply = await client.complete(ask(f"question {number}"))
            line = {"number": number, "content": reply.message.content, "replayed": reply.replayed}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

        await asyncio.gather(*(one(number) for number in range(options.first, options.last)))


if __name__ == "__main__":
    asyncio.run(main())
