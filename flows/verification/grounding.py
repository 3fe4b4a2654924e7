"""Checkpoint notes against the code that ran: a note is grounded when its code line is in code that ended well.

Code is compared as syntax, so spacing, quotes and comments make no difference and a different number does. What is not
grounded is marked with the reason and kept as it is; nothing is forced and no note is dropped.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from blocks.sandboxes.models import Note
from flows.verification.attempts import CellRecord, GroundedNote, Turn


def ground_notes(turns: Sequence[Turn], code: str, cell: CellRecord) -> tuple[GroundedNote, ...]:
    """The notes of a cell, each checked against the code that ran well up to and with this cell.

    Args:
        turns: The attempt's earlier turns.
        code: The code of the cell.
        cell: The cell's record.
    """
    if not cell.notes:
        return ()
    programs = [
        turn.code for turn in turns if turn.code is not None and turn.cell is not None and turn.cell.status == "ok"
    ]
    if cell.status == "ok":
        programs.append(code)
    ran = {form for program in programs for form in _forms(program)}
    known = {note.name for turn in turns for note in turn.notes}
    grounded: list[GroundedNote] = []
    for note in cell.notes:
        grounded.append(_check(note, ran, known, failed=cell.status != "ok"))
        known.add(note.name)
    return tuple(grounded)


def _check(note: Note, ran: set[str], known: set[str], *, failed: bool) -> GroundedNote:
    reason = ""
    wanted = _wanted(note.code_line)
    if not wanted:
        reason = "no code line is given"
    elif not wanted <= ran:
        reason = "its cell failed" if failed else "the code line is in no code that ran"
    unknown = tuple(name for name in note.depends_on if name not in known)
    return GroundedNote(
        name=note.name,
        value=note.value,
        code_line=note.code_line,
        depends_on=note.depends_on,
        grounded=not reason,
        reason=reason,
        unknown_dependencies=unknown,
    )


def _wanted(code_line: str) -> set[str]:
    """The forms a note's code line must be found by: one for each of its statements, or for each line as text."""
    tree = _parse(code_line)
    if tree is not None and tree.body:
        return {_form(statement) for statement in tree.body if not _bare_value(statement)}
    return {_collapsed(line) for line in _code_lines(code_line)}


def _forms(program: str) -> Iterator[str]:
    """All forms a program's code can be quoted by: every statement and assigned value, and every line as text."""
    tree = _parse(program)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.stmt):
            yield _form(node)
        # `x = f(df)` may be quoted as `f(df)`.
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return) and node.value is not None:
            yield _form(ast.Expr(node.value))
        if isinstance(node, ast.Call):
            yield from (_form(ast.Expr(argument)) for argument in node.args)
    yield from (_collapsed(line) for line in _code_lines(program))


def _form(node: ast.stmt) -> str:
    return ast.dump(node)


def _bare_value(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _parse(code: str) -> ast.Module | None:
    try:
        return ast.parse(code.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _code_lines(code: str) -> Iterable[str]:
    return (line for line in code.splitlines() if line.strip() and not line.strip().startswith("#"))


def _collapsed(line: str) -> str:
    return " ".join(line.split())
