"""Self-correction: what a model changed after its code failed, kept with the turn that changed it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from flows.verification.attempts import CellRecord, Correction, Turn


def correction(turns: Sequence[Turn], code: str, cell: CellRecord) -> Correction | None:
    """The correction a new run of code makes; None when the code before it ran well or there was none.

    Args:
        turns: The attempt's earlier turns; those without a cell (rejected replies) are passed over.
        code: The new code.
        cell: Its result.
    """
    ran = [turn for turn in turns if turn.cell is not None]
    failed = 0
    while failed < len(ran) and _failed(ran[-1 - failed]):
        failed += 1
    if failed == 0:
        return None
    last = ran[-1]
    return Correction(
        corrects_turn=last.index,
        error_kind=error_kind(last.cell) if last.cell is not None else "",
        message=_message(last.cell) if last.cell is not None else "",
        attempts_since_error=failed,
        diff=unified(last.code or "", code, f"turn {last.index}", f"turn {turns[-1].index + 1}"),
        resolved=cell.status == "ok",
    )


def error_kind(cell: CellRecord) -> str:
    """The exception's name, or the status where no exception ended the cell."""
    return cell.error.name if cell.error is not None else cell.status


def unified(before: str, after: str, before_name: str, after_name: str) -> str:
    """A unified diff of two programs that `patch` can apply; empty when they are equal."""
    pieces: list[str] = []
    lines = difflib.unified_diff(_lines(before), _lines(after), before_name, after_name)
    for line in lines:
        pieces.append(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n")
    return "".join(pieces)


def _lines(text: str) -> list[str]:
    # Only line feeds end a line here; str.splitlines would also break at form feeds inside strings.
    pieces = text.split("\n")
    return [piece + "\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _failed(turn: Turn) -> bool:
    return turn.cell is not None and turn.cell.status != "ok"


def _message(cell: CellRecord) -> str:
    return cell.error.message if cell.error is not None else cell.reason
