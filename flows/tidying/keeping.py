"""Old things of a home, by the user's rules: files that go, calls that go from the journal; listed, or done."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from blocks.chat.backends import Place
from blocks.chat.journal import Journal
from blocks.chat.trimming import compact, survey, trim
from blocks.plurals import several
from blocks.sandboxes import ProcessRuntime
from blocks.sandboxes.process import left_folders
from flows.tidying.options import UpkeepOptions
from flows.tidying.report import Row
from flows.tidying.retention import Kind, Removal, Rule, look, measure, plan, remove


async def tidy_files(
    home: Path, options: UpkeepOptions, *, now: datetime, keep_since: datetime | None = None
) -> list[Row]:
    """Logs and results that are old or too many, and what was left half-written.

    Args:
        home: TRIGPOINT_HOME.
        options: How long what is kept, and whether anything is done.
        now: The time.
        keep_since: When the oldest unfinished run began; what was touched since stays.
    """
    rules: dict[Kind, Rule] = {
        "logs": Rule(days=options.logs_days, gib=options.logs_gib),
        "results": Rule(days=options.results_days, gib=options.results_gib),
        # A file under a temporary name that nobody has written to for a day is nobody's any more.
        "leftovers": Rule(days=1),
    }
    found = await asyncio.to_thread(look, home)
    since = None if keep_since is None else keep_since.timestamp()
    removals = plan(found, rules, now=now.timestamp(), keep_since=since)
    return [await asyncio.to_thread(_removed, removal, home, options.apply) for removal in removals]


async def tidy_folders(options: UpkeepOptions) -> list[Row]:
    """Private folders of process sandboxes whose owner is gone and could not remove them.

    Args:
        options: Whether anything is done.
    """
    rows = []
    for folder in left_folders():
        with suppress(FileNotFoundError):  # Its owner's warden has just removed it.
            size = measure(folder).bytes
            why = "of a process sandbox whose owner is gone"
            rows.append(Row(what="remove folder", which=str(folder), why=why, bytes=size, done=options.apply))
    if rows and options.apply:
        await ProcessRuntime().reap()
    return rows


async def tidy_journal(
    store: Place, options: UpkeepOptions, *, now: datetime, keep_since: datetime | None = None
) -> list[Row]:
    """Calls that are older than any that a rerun should find; what they took stays in the ledger.

    Args:
        store: Where the journal is.
        options: How long calls are kept, and whether anything is done.
        now: The time.
        keep_since: When the oldest unfinished run began; the calls of that day and later stay.

    Raises:
        JournalError: The store cannot be read or written.
    """
    if isinstance(store, Path) and not await asyncio.to_thread(store.exists):
        return []
    before = now - timedelta(days=options.journal_days)
    before = before if keep_since is None else min(before, keep_since)
    with await asyncio.to_thread(Journal, store) as journal:
        old = await survey(journal, before)
        if not old.calls:
            return []
        if options.apply:
            await trim(journal, before)
            await compact(journal)
    day = f"{before.astimezone(UTC):%Y-%m-%d}"
    why = f"{several(old.calls, 'call')} of before {day}; what they took stays in the ledger"
    return [Row(what="trim journal", which=journal.name, why=why, bytes=old.bytes, done=options.apply)]


def _removed(removal: Removal, home: Path, apply: bool) -> Row:
    found = removal.found
    row = Row(
        what="remove file" if found.kind == "leftovers" else f"remove {found.kind}",
        which=str(found.path.relative_to(home)),
        why=removal.why,
        bytes=found.bytes,
    )
    if not apply:
        return row
    try:
        return row.model_copy(update={"done": remove(removal)})
    except OSError as error:
        return row.model_copy(update={"problem": f"{found.path} cannot be removed: {error.strerror}."})
