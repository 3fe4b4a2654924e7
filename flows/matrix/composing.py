"""A row's prompt: prompt file, context files and variables put together; every file is read once."""

from __future__ import annotations

import re
import sys
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from blocks.errors import UserError
from flows.matrix.paths import PathTemplate
from flows.matrix.templates import Template

DOCUMENT = "\n\n## Document: {name}\n\n{text}\n\n---\n\n"
MOST_BYTES = 64 * 2**20
"""Of one file, and of all that are kept in memory."""
_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.+)", re.DOTALL)


class Composed(NamedTuple):
    """What is sent for a row."""

    text: str
    missing: tuple[str, ...]
    """Variables that no column has."""


class Files:
    """Texts of files, each read once as long as all of them fit into memory."""

    def __init__(self) -> None:
        self._texts: OrderedDict[Path, str] = OrderedDict()
        self._bytes = 0

    def text(self, path: Path) -> str:
        """A file's text.

        Raises:
            UserError: It cannot be read.
        """
        if path not in self._texts:
            text = _read(path)
            self._texts[path] = text
            self._bytes += len(text)
            while self._bytes > MOST_BYTES and len(self._texts) > 1:
                _, dropped = self._texts.popitem(last=False)
                self._bytes -= len(dropped)
        self._texts.move_to_end(path)
        return self._texts[path]


class Context(NamedTuple):
    """A context file the user named."""

    slot: str
    """Where it goes in the prompt, `{{slot}}`; empty: behind it."""
    path: PathTemplate


class Composer:
    """Makes the prompts of an experiment.

    Args:
        prompt: Path of the prompt, `-` for standard input.
        contexts: Paths of context files, or `slot=path`.

    Raises:
        UserError: A file without variables in its path cannot be read.
    """

    def __init__(self, prompt: str, contexts: Sequence[str] = ()) -> None:
        self.files = Files()
        self._stdin = _decoded(sys.stdin.buffer.read(), "standard input") if prompt == "-" else None
        self.prompt = PathTemplate(prompt)
        self.contexts = [_context(text) for text in contexts]
        self._made: OrderedDict[tuple[Path, ...], Template] = OrderedDict()
        slots = [context.slot for context in self.contexts if context.slot]
        if len(slots) != len(set(slots)):
            raise UserError("Two context files have the same name in the prompt.", "Name each differently.")
        self.slots = frozenset(slots)
        for path in (self.prompt, *(context.path for context in self.contexts)):
            if not path.names and not (path is self.prompt and self._stdin is not None):
                self.files.text(Path(path.text))

    @property
    def path_names(self) -> tuple[str, ...]:
        """Variables in paths."""
        found = [name for path in (self.prompt, *(each.path for each in self.contexts)) for name in path.names]
        return tuple(dict.fromkeys(found))

    @property
    def shown(self) -> str:
        """The prompt as it was given, for people."""
        if self._stdin is not None:
            return self._stdin
        return self.prompt.text if self.prompt.names else self.files.text(Path(self.prompt.text))

    def compose(self, values: Mapping[str, str]) -> Composed:
        """The prompt of a row.

        Raises:
            UserError: A file cannot be read, or a path needs a value the row does not have.
        """
        paths = [context.path.fill(values) for context in self.contexts]
        prompt = Path("-") if self._stdin is not None else self.prompt.fill(values)
        filled = self._template((prompt, *paths)).fill(values)
        return Composed(filled.text, filled.missing)

    def _template(self, paths: tuple[Path, ...]) -> Template:
        if paths not in self._made:
            self._made[paths] = Template(self._assembled(paths))
            if len(self._made) > 64:
                self._made.popitem(last=False)
        self._made.move_to_end(paths)
        return self._made[paths]

    def _assembled(self, paths: tuple[Path, ...]) -> str:
        text = self._stdin if self._stdin is not None else self.files.text(paths[0])
        texts = {
            context.slot: self.files.text(path)
            for context, path in zip(self.contexts, paths[1:], strict=True)
            if context.slot
        }
        placed = Template(text)
        behind = [
            path for context, path in zip(self.contexts, paths[1:], strict=True) if context.slot not in placed.names
        ]
        documents = (DOCUMENT.format(name=name, text=self.files.text(path)) for name, path in _named(behind))
        return placed.fill(texts).text + "".join(documents)


def _named(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Each file with its name; of those called alike as much of the path as tells them apart."""
    names = {path: path.name for path in paths}
    depth = 1
    while len(set(names.values())) < len(names) and depth < 20:
        depth += 1
        often = Counter(names.values())
        names = {path: "/".join(path.parts[-depth:]) if often[name] > 1 else name for path, name in names.items()}
    return [(names[path], path) for path in paths]


def _context(text: str) -> Context:
    named = _NAMED.fullmatch(text)
    if named and not Path(text).exists():
        return Context(named[1], PathTemplate(named[2]))
    return Context("", PathTemplate(text))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    if len(data) > MOST_BYTES:
        raise UserError(f"{path} is larger than {MOST_BYTES // 2**20} MiB.")
    return _decoded(data, str(path))


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is no UTF-8 text.", "Save it as UTF-8.") from error
