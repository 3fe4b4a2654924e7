"""A cell's result as text for the model: what happened, what was printed, within a budget of characters.

The text depends on the result alone and leaves out what differs from run to run (times, memory, object addresses), so
that a repeated run sends the same messages and the journal can answer them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from blocks.sandboxes.models import CellResult

_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,16}\b")
_HEAD_SHARE = 0.7

OK = "[run {cell}: ok]"
ERROR = "[run {cell}: failed with {name}]"
STOPPED = {
    "timeout": "[run {cell}: stopped, it ran longer than the time limit{limit}]",
    "memory": "[run {cell}: stopped, it used more memory than allowed]",
    "killed": "[run {cell}: ended by force: {reason}]",
    "lost": "[run {cell}: the session was lost]",
}
NAMESPACE_LOST = "All variables of earlier runs are lost; `df` is as loaded. Define again what you need."
NOTHING = "Nothing was printed. Use print(...) to see values."
SUBMITTED = "The answer was received."
NOT_SUBMITTED = "submit(...) was called, but the run did not end well, so the answer does not count."
FIGURES = "{count} drawn; figures are not shown to you."
DROPPED = "{count} of the values given to submit, note or figures could not be taken: too large or malformed."
LEFT_OUT = "\n… [{count:,} characters left out] …\n"
SECTIONS = {"stdout": "Output:", "value": "Value of the last line:", "error": "Error:", "stderr": "Messages:"}


class _Section(NamedTuple):
    kind: str
    text: str


def cell_feedback(result: CellResult, *, turn: int, budget: int, timeout_s: float | None = None) -> str:
    """What the model is told of a cell.

    Args:
        result: The cell's result.
        turn: The turn's number, the name the model knows the run by.
        budget: Characters of output, value, error and messages together; each is cut in its middle, visibly.
        timeout_s: The time limit that was in force, if the attempt has its own, seconds.
    """
    lines = [_status(result, turn, timeout_s)]
    if not result.namespace_kept:
        lines.append(NAMESPACE_LOST)
    sections = _sections(result)
    for section, room in zip(sections, shares([len(s.text) for s in sections], budget), strict=True):
        lines.append(SECTIONS[section.kind] + "\n" + cut(section.text, room))
    if result.submission is not None:
        lines.append(SUBMITTED if result.status == "ok" else NOT_SUBMITTED)
    elif not sections and result.status == "ok":
        lines.append(NOTHING)
    if result.figures:
        lines.append(FIGURES.format(count=_count(len(result.figures), "figure")))
    if result.events_dropped:
        lines.append(DROPPED.format(count=result.events_dropped))
    return "\n".join(lines)


def shares(lengths: list[int], budget: int) -> list[int]:
    """How many characters each text gets: short ones whole, the rest of the budget equally among the long ones."""
    given = dict.fromkeys(range(len(lengths)), 0)
    open_ones = sorted(given, key=lambda at: lengths[at])
    room = budget
    while open_ones:
        at = open_ones[0]
        given[at] = min(lengths[at], room // len(open_ones))
        room -= given[at]
        open_ones.pop(0)
    return [given[at] for at in range(len(lengths))]


def cut(text: str, room: int) -> str:
    """The text, or its head and tail around a mark that counts what is left out."""
    if len(text) <= room:
        return text
    head = int(room * _HEAD_SHARE)
    tail = room - head
    return text[:head] + LEFT_OUT.format(count=len(text) - room) + (text[-tail:] if tail else "")


def clean(text: str) -> str:
    """Text that every provider takes and that does not differ from run to run.

    Object addresses are masked; control characters other than tab and line break, and lone surrogates, are written out.
    """
    masked = _ADDRESS.sub("at 0x…", text.replace("\r\n", "\n"))
    return "".join(sign if sign in "\n\t" or _plain(sign) else f"\\x{ord(sign):02x}" for sign in masked)


def _plain(sign: str) -> bool:
    code = ord(sign)
    return code >= 0x20 and not 0x7F <= code < 0xA0 and not 0xD800 <= code <= 0xDFFF


def _status(result: CellResult, turn: int, timeout_s: float | None) -> str:
    if result.status == "ok":
        return OK.format(cell=turn)
    if result.status == "error":
        return ERROR.format(cell=turn, name=clean(result.error.name) if result.error else "an error")
    limit = f" of {timeout_s:g} s" if timeout_s is not None else ""
    reason = clean(result.reason) or "no reason is known"
    return STOPPED[result.status].format(cell=turn, limit=limit, reason=reason)


def _sections(result: CellResult) -> list[_Section]:
    error = result.error.traceback or f"{result.error.name}: {result.error.message}" if result.error else ""
    value = result.value or ""
    if result.value_truncated:
        value += " … [cut]"
    found = {"stdout": result.stdout, "value": value, "error": error, "stderr": result.stderr}
    texts = {kind: clean(text).strip("\n") for kind, text in found.items()}
    return [_Section(kind, text) for kind, text in texts.items() if text.strip()]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
