"""Programs that tests and sources keep as text: what they import of ours is there.

mypy reads no text, so a name that only such a program uses could be removed unseen.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("blocks", "flows", "sandbox_image", "tests", ".ci")
OURS = r"(?:blocks|flows|sandbox_image|tests)(?:\.\w+)*"
IMPORT = re.compile(rf"^[ \t]*((?:from {OURS} import (?:\([^)]*\)|[^\n;]+))|(?:import {OURS}[^\n;]*))", re.MULTILINE)
STARTED = re.compile(rf"(?:^|\s)-m (?P<named>{OURS})(?=\s|$)")


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Every text in a source, parts of f-strings included, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def names(text: str) -> Iterator[tuple[str, str | None]]:
    """Modules of ours that a text imports, each with a name that it takes from there."""
    for statement in IMPORT.findall(text):
        try:
            (read,) = ast.parse(statement.strip()).body
        except SyntaxError:  # Prose that begins so.
            continue
        if isinstance(read, ast.ImportFrom):
            yield from ((read.module or "", each.name) for each in read.names)
        elif isinstance(read, ast.Import):
            yield from ((each.name, None) for each in read.names)


def modules(source: str) -> Iterator[str]:
    """Modules of ours that a command starts: the word after "-m" in a list, or in a text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.List | ast.Tuple | ast.Call):
            words = node.args if isinstance(node, ast.Call) else node.elts
            said = [each.value if isinstance(each, ast.Constant) else None for each in words]
            for word, following in pairwise(said):
                if word == "-m" and isinstance(following, str) and re.fullmatch(OURS, following):
                    yield following
    for _, text in texts(source):
        yield from (found["named"] for found in STARTED.finditer(text))


def is_there(module: str, name: str | None) -> bool:
    """Whether a module can be imported and has the name, as its own or as a module below it."""
    try:
        if name is None or hasattr(importlib.import_module(module), name):
            return find_spec(module) is not None
        return find_spec(f"{module}.{name}") is not None
    except ModuleNotFoundError:
        return False


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path != Path(__file__))


def missing(source: str) -> list[str]:
    """What the programs in a source's texts want of us that is not there."""
    wanted = [(line, module, name) for line, text in texts(source) for module, name in names(text)]
    found = [
        f"line {line}: {module} has no {name}" if name else f"line {line}: there is no {module}"
        for line, module, name in wanted
        if not is_there(module, name)
    ]
    return found + [f"there is no {module} to start" for module in modules(source) if find_spec(module) is None]


def test_what_programs_kept_as_text_import_of_ours_is_there() -> None:
    told = {str(path.relative_to(ROOT)): missing(path.read_text(encoding="utf-8")) for path in sources()}
    assert {path: lines for path, lines in told.items() if lines} == {}


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("from tests.support.model_answers import at_most", "line 1: tests.support.model_answers has no at_most"),
        ("import os\\nfrom blocks.nowhere import thing", "line 1: blocks.nowhere has no thing"),
        (
            "def f():\\n    from blocks.errors import (\\n        UserError, Nobody,\\n    )",
            "blocks.errors has no Nobody",
        ),
        ("import blocks.gone", "line 1: there is no blocks.gone"),
        ("exec python -m blocks.gone --all", "there is no blocks.gone to start"),
    ],
)
def test_a_name_that_is_gone_is_found(program: str, found: str) -> None:
    (told,) = missing(f'PROGRAM = """{program}"""')
    assert found in told


def test_what_is_there_is_not_complained_of() -> None:
    assert missing('A = f"from blocks.errors import UserError\\nimport {name}"\nB = ["-m", "blocks.host_check"]') == []
    assert missing('"""Runs that come from blocks import nothing of note."""\nC = "from blocks import errors"') == []
    assert missing('D = run("-m", "blocks.gone")') == ["there is no blocks.gone to start"]
