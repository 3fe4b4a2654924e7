"""Reading a model's reply: thinking, prose, and the code it wants run, or why there is none.

The rules
- A reply acts by fenced code blocks or by native `run_python` tool calls. Where it has both, the calls count.
- Blocks tagged python (py, python3, ipython) count. Only where there is none, untagged blocks that are valid Python do.
  Blocks with any other tag are never run.
- Several blocks, or several calls, are joined in order into one cell.
- A last block left open counts when the model stopped by itself. When the token limit cut it off it is dropped, and the
  reply is rejected if no whole block is left: half a program is never run.
- Thinking (`<think>`) at the head of a reply is set apart before code is looked for.
"""

from __future__ import annotations

import ast
import json
import re
from typing import NamedTuple

from blocks.chat.models import Message, ToolCall
from flows.verification.attempts import RejectionReason, Via

TOOL_NAME = "run_python"
_PYTHON_TAGS = frozenset({"python", "py", "python3", "py3", "ipython", "ipython3"})
_OPENING = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*([^`\s]*)[^`]*$")
_THINK_OPEN = re.compile(r"\s*<(think|thinking)>", re.I)
_THINK_CLOSE = re.compile(r"</(think|thinking)>", re.I)


class Split(NamedTuple):
    """A reply's text in two parts."""

    thinking: str
    text: str


class Block(NamedTuple):
    """One fenced block."""

    tag: str
    code: str
    closed: bool


class Parsed(NamedTuple):
    """What a reply says and wants run. Either `code` or `rejected` is set."""

    thinking: str
    reasoning: str
    via: Via
    code: str | None
    rejected: RejectionReason | None
    blocks: int
    """How many blocks or calls make up the code."""
    call_ids: tuple[str, ...]
    """Ids of the native calls, every one of which needs a result."""


def read_reply(message: Message, finish_reason: str) -> Parsed:
    """Read an assistant message.

    Args:
        message: The reply as received.
        finish_reason: Why the model stopped; "length" means the token limit cut it off.
    """
    split = split_thinking(message.content)
    thinking = "\n\n".join(part for part in (message.reasoning or "", split.thinking) if part)
    cut_off = finish_reason == "length"
    if message.tool_calls:
        return _read_calls(message.tool_calls, thinking, split.text.strip(), cut_off)
    return _read_blocks(split.text, thinking, cut_off)


def split_thinking(content: str) -> Split:
    """Set thinking at the head of a reply apart; an opening tag some chat templates swallow may be missing."""
    thoughts: list[str] = []
    rest = content
    while opening := _THINK_OPEN.match(rest):
        closing = _THINK_CLOSE.search(rest, opening.end())
        if closing is None:
            return Split("\n\n".join([*thoughts, rest[opening.end() :].strip()]), "")
        thoughts.append(rest[opening.end() : closing.start()].strip())
        rest = rest[closing.end() :]
    if not thoughts and (closing := _lone_close(rest)) is not None:
        thoughts.append(rest[: closing.start()].strip())
        rest = rest[closing.end() :]
    return Split("\n\n".join(thoughts), rest.lstrip() if thoughts else rest)


def _lone_close(text: str) -> re.Match[str] | None:
    closing = _THINK_CLOSE.search(text)
    opened = re.search(r"<(think|thinking)>", text, re.I)
    # Inside a line of code the tag is somebody's data.
    at_line_end = closing is not None and text[closing.end() :].split("\n", 1)[0].strip() == ""
    return closing if closing is not None and opened is None and at_line_end else None


def fenced_blocks(text: str) -> tuple[list[Block], str]:
    """The fenced blocks of a Markdown text in order, and the prose around them."""
    blocks: list[Block] = []
    prose: list[str] = []
    # Only line feeds end a line: str.splitlines would also break at form feeds and U+2028 inside strings.
    lines = text.replace("\r\n", "\n").split("\n")
    at = 0
    while at < len(lines):
        opening = _OPENING.match(lines[at])
        if opening is None:
            prose.append(lines[at])
            at += 1
            continue
        indent, fence, tag = opening.groups()
        end = next((i for i in range(at + 1, len(lines)) if _closes(lines[i], fence)), len(lines))
        body = [_outdent(line, indent) for line in lines[at + 1 : end]]
        blocks.append(Block(tag.strip("{}.").lower(), "\n".join(body), end < len(lines)))
        at = end + 1
    return blocks, "\n".join(prose).strip()


def _closes(line: str, fence: str) -> bool:
    stripped = line.strip()
    return len(stripped) >= len(fence) and set(stripped) == {fence[0]}


def _outdent(line: str, indent: str) -> str:
    return line[len(indent) :] if indent and line.startswith(indent) else line


def _read_blocks(text: str, thinking: str, cut_off: bool) -> Parsed:
    blocks, prose = fenced_blocks(text)
    python = [block for block in blocks if block.tag in _PYTHON_TAGS]
    if not python:
        python = [block for block in blocks if block.tag == "" and _compiles(block.code)]
    whole = [block for block in python if block.closed or not cut_off]
    parts = [block.code.strip("\n") for block in whole if _does_something(block.code)]
    rejected: RejectionReason | None = None
    if not parts:
        lost = cut_off and (not text.strip() or any(not block.closed for block in blocks))
        rejected = "cut_off" if lost else "empty_code" if whole else "no_code"
    code = "\n\n".join(parts) if parts else None
    return Parsed(thinking, prose, "block", code, rejected, len(parts), ())


def _compiles(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _does_something(code: str) -> bool:
    """Whether there is more than blank lines and comments; code that does not parse is left to the sandbox to judge."""
    return any(line.strip() and not line.strip().startswith("#") for line in code.splitlines())


def _read_calls(calls: tuple[ToolCall, ...], thinking: str, prose: str, cut_off: bool) -> Parsed:
    ids = tuple(call.id for call in calls)
    parts: list[str] = []
    rejected: RejectionReason | None = None
    for call in calls:
        code = call_code(call.arguments)
        if call.name != TOOL_NAME:
            rejected = "unknown_tool"
        elif code is None:
            rejected = "cut_off" if cut_off else "bad_call"
        elif _does_something(code):
            parts.append(code.strip("\n"))
    if rejected is None and not parts:
        rejected = "empty_code"
    # One bad call rejects them all: running some of what was meant to run together would mislead.
    code = "\n\n".join(parts) if rejected is None else None
    return Parsed(thinking, prose, "tool", code, rejected, len(parts) if code else 0, ids)


def call_code(arguments: str) -> str | None:
    """The `code` in a call's raw arguments; None when they are not a JSON object with a text under that name."""
    try:
        # strict=False: models put bare line breaks into JSON strings.
        data = json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return None
    code = data.get("code") if isinstance(data, dict) else None
    return code if isinstance(code, str) else None
