"""A scripted model that looks at a table, proposes questions and words them: behaviours for the model server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.support.model_answers import Answer, Ask

EXPLORES = "You write questions that test"
WORDS = "You put questions about a table into the words"


def proposal(question: str, program: str, **changes: Any) -> dict[str, Any]:
    """A proposal as a model writes it; one that is fine unless told otherwise."""
    fine: dict[str, Any] = {
        "question": question,
        "hint": "Filter, then aggregate.",
        "program": program,
        "answer": {"type": "float", "decimals": 2, "unit": None},
        "difficulty": "medium",
        "steps": 3,
        "tags": ["aggregate"],
    }
    return {**fine, **changes}


def json_block(data: Any, prose: str = "") -> str:
    """A reply with one JSON block."""
    return f"{prose}\n```json\n{json.dumps(data)}\n```"


def code_block(code: str) -> str:
    """A reply with one block of code."""
    return f"I look at it.\n```python\n{code}\n```"


def turn_of(ask: Ask) -> int:
    """Which reply of its conversation is asked for, from 1."""
    return 1 + len([message for message in ask.messages if message["role"] == "assistant"])


def system_of(ask: Ask) -> str:
    """The system message."""
    return str(ask.messages[0]["content"])


def explorer(replies: Sequence[str | Answer]) -> Callable[[Ask], Answer]:
    """Replies of an exploration in order; the last one again and again."""

    def behave(ask: Ask) -> Answer:
        reply = replies[min(turn_of(ask), len(replies)) - 1]
        return reply if isinstance(reply, Answer) else Answer(content=reply)

    return behave


def by_part(parts: Mapping[str, Callable[[Ask], Answer]], solve: Callable[[Ask], Answer]) -> Callable[[Ask], Answer]:
    """One behaviour for each kind of conversation, told apart by how its system message begins."""

    def behave(ask: Ask) -> Answer:
        for start, part in parts.items():
            if system_of(ask).startswith(start):
                return part(ask)
        return solve(ask)

    return behave
