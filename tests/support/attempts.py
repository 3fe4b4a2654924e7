"""Stand-ins for an attempt's surroundings: a model that says what it is told to, and a session without a sandbox."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import json
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from blocks.chat.models import ChatReply, ChatRequest, Message, ToolCall, Usage
from blocks.sandboxes.models import CellError, CellResult, CellStatus, Note, Submission
from flows.questions.records import AnswerSpec, Question, content_key
from flows.tables.column_facts import table_facts
from flows.tables.dataset import Dataset
from flows.tables.profiling import DatasetProfile
from flows.verification.prompts import Task

Say = str | Message | ChatReply | Exception | Callable[[ChatRequest], str]

FRAME = pd.DataFrame({"city": ["Ulm", "Bonn", "Kiel", "Bonn"], "size": [3, 1, 2, 5], "rain": [1.5, 2.25, None, 4.0]})


def request_key(request: ChatRequest) -> str:
    """A journal key: everything that was sent."""
    return content_key(request.model_dump(mode="json"))


class ScriptedModel:
    """A chat client that gives the script's replies in order and keeps every request."""

    def __init__(self, *script: Say, finish_reason: str = "stop") -> None:
        self.script = list(script)
        self.requests: list[ChatRequest] = []
        self._finish_reason = finish_reason

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.requests.append(request)
        await asyncio.sleep(0)
        if not self.script:
            raise AssertionError("the script is over and the model is asked again")
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        if callable(said):
            said = said(request)
        if isinstance(said, ChatReply):
            return said
        message = said if isinstance(said, Message) else Message(role="assistant", content=said)
        return reply_of(message, request_key(request), self._finish_reason)


def reply_of(message: Message, key: str = "k", finish_reason: str = "stop") -> ChatReply:
    """A reply around a message, with some usage."""
    usage = Usage(prompt_tokens=100, completion_tokens=10, cost_usd=0.25)
    return ChatReply(
        key=key, message=message, finish_reason=finish_reason, usage=usage, model="scripted-1", latency_s=0.5
    )


def block(code: str, prose: str = "Next step.") -> str:
    """A reply with one code block."""
    return f"{prose}\n\n```python\n{code}\n```"


def call(code: str, call_id: str = "call_1", name: str = "run_python") -> Message:
    """A reply that is one native tool call."""
    return calls(ToolCall(id=call_id, name=name, arguments=json.dumps({"code": code})))


def calls(*tool_calls: ToolCall, content: str = "") -> Message:
    """A reply with native tool calls."""
    return Message(role="assistant", content=content, tool_calls=tool_calls)


def cell(status: CellStatus = "ok", **facts: Any) -> CellResult:
    """A cell's result with the facts given."""
    base: dict[str, Any] = {"cell": 1, "namespace_kept": True, "wall_s": 0.1, "cpu_s": 0.1, "peak_bytes": 1000}
    return CellResult(status=status, **(base | facts))


class LocalSession:
    """Runs cells in this process, with no wall at all: for code the tests themselves wrote."""

    def __init__(
        self, frame: pd.DataFrame = FRAME, *, override: Callable[[int], CellResult | Exception | None] | None = None
    ) -> None:
        self.ran: list[str] = []
        self.resets = 0
        self._frame = frame
        self._override = override or (lambda number: None)
        self._names: dict[str, Any] = {}

    async def reset(self) -> None:
        self.resets += 1
        self._names = {"df": self._frame.copy(), "pd": pd, "__name__": "__main__"}

    async def run(self, code: str, *, timeout_s: float | None = None) -> CellResult:
        self.ran.append(code)
        await asyncio.sleep(0)
        instead = self._override(len(self.ran))
        if isinstance(instead, Exception):
            raise instead
        if instead is not None:
            return instead
        return self._exec(code, len(self.ran))

    def _exec(self, code: str, number: int) -> CellResult:
        out = io.StringIO()
        submitted: list[Any] = []
        notes: list[Note] = []

        def note(name: str, value: Any, code_line: str = "", depends_on: Sequence[str] = ()) -> None:
            notes.append(Note(name=name, value=tagged(value), code_line=code_line, depends_on=tuple(depends_on)))

        self._names |= {"submit": submitted.append, "note": note}
        error: CellError | None = None
        value: str | None = None
        with contextlib.redirect_stdout(out):
            try:
                value = self._evaluate(code)
            except Exception as raised:
                lines = traceback.format_exception_only(raised)
                error = CellError(name=type(raised).__name__, message=str(raised), traceback="".join(lines))
        return cell(
            "error" if error else "ok",
            cell=number,
            stdout=out.getvalue(),
            value=value,
            error=error,
            notes=tuple(notes),
            submission=Submission(value=tagged(submitted[-1])) if submitted else None,
        )

    def _evaluate(self, code: str) -> str | None:
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), self._names)
        if last is None:
            return None
        assert isinstance(last, ast.Expr)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), self._names)
        return None if value is None else repr(value)


def tagged(value: Any) -> dict[str, Any]:
    """A plain value as a session would send it."""
    value = value.item() if hasattr(value, "item") else value
    kinds: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "str"}
    if value is None:
        return {"t": "none"}
    if isinstance(value, list):
        return {"t": "list", "v": [tagged(item) for item in value]}
    return {"t": kinds[type(value)], "v": value}


def task_on(
    frame: pd.DataFrame = FRAME, text: str = "How many rows are there?", answer: AnswerSpec | None = None
) -> Task:
    """A question about a frame."""
    profile = DatasetProfile.model_validate(table_facts(frame))
    dataset = Dataset(slug="cities", key="ab" * 32, path=Path("cities.csv"), bytes=60, title="Cities")
    return Task(Question(id="q1", text=text, answer=answer or AnswerSpec(type="int")), dataset, profile)
