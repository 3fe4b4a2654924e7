"""What part of a conversation is sent: system prompt, task and the latest turns, within a budget of characters.

The record stays whole. Which turns are left out depends on the conversation alone, so a repeated run sends the same.
Turns go out whole, so a call and its result are never parted. When the budget is passed, the window moves on by more
than it must: moving it at every turn would spoil the provider's prompt cache every time. Where a server finds what is
sent too long all the same, it moves on further.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence

from blocks.chat.errors import MissingFromJournal, TooLong
from blocks.chat.models import ChatReply, Message, ToolCall
from flows.verification import prompts
from flows.verification.attempts import RecordedMessage
from flows.verification.replies import TOOL_NAME, call_code, split_thinking

_TARGET_SHARE = 0.7


def next_window(messages: Sequence[RecordedMessage], first: int, budget: int) -> int:
    """The earliest turn to send now.

    Args:
        messages: The whole conversation so far.
        first: The earliest turn sent last time; the window never moves back.
        budget: Characters to send at most; the system prompt, the task and the latest turn are sent whatever they take.
    """
    sizes: dict[int, int] = {}
    for message in messages:
        sizes[message.turn] = sizes.get(message.turn, 0) + _size(as_sent(message))
    latest = max(sizes)
    total = sum(size for turn, size in sizes.items() if turn == 0 or turn >= first)
    if total <= budget:
        return first
    while total > budget * _TARGET_SHARE and first < latest:
        total -= sizes.get(first, 0)
        first += 1
    return first


async def as_long_as_taken(send: Callable[[int, int], Awaitable[ChatReply]], first: int, before: int) -> ChatReply:
    """The reply to a conversation; where the server finds it too long, to half as many turns, and so on to the last.

    Args:
        send: Sends what a window beginning at its first argument leaves, for the reply that opens its second.
        first: The earliest turn to send.
        before: The turn whose reply is asked for.

    Raises:
        TooLong: Nothing more can be left out.
        ChatError: As of `send`.
    """
    missing: MissingFromJournal | None = None
    while True:
        turns = before - first
        try:
            return await send(first, before)
        except MissingFromJournal as error:
            # What a server found too long was never answered: a recording has only what was sent in its place.
            missing = missing or error
            if turns < 2:
                raise missing from None
        except TooLong:
            if turns < 2:
                raise
        first = before - turns // 2


def sent_messages(
    messages: Sequence[RecordedMessage], first: int, before: int, lost_at: int | None = None
) -> tuple[Message, ...]:
    """The messages of the call that opens turn `before`, when the window begins at turn `first`.

    Args:
        messages: The conversation, which may reach further than that turn.
        first: The earliest turn sent.
        before: The turn whose reply is asked for.
        lost_at: The last turn before the window that lost the session's variables.
    """
    sent = [as_sent(message) for message in messages if message.turn == 0 or first <= message.turn < before]
    if first > 1:
        # Put onto the task: some chat templates refuse two user messages in a row.
        task = max(at for at, message in enumerate(messages) if message.turn == 0)
        mark = prompts.omission(1, first - 1, lost_at)
        sent[task] = sent[task].model_copy(update={"content": sent[task].content + mark})
    return tuple(sent)


def as_sent(message: RecordedMessage) -> Message:
    """A recorded message the way it goes out: without thinking, never empty, with arguments every server can read."""
    if message.role != "assistant":
        return Message(role=message.role, content=message.content, tool_call_id=message.tool_call_id)
    text = _encodable(split_thinking(message.content).text)
    calls = tuple(_readable(call) for call in message.tool_calls)
    return Message(role="assistant", content=text if text.strip() or calls else prompts.NO_TEXT, tool_calls=calls)


def _readable(call: ToolCall) -> ToolCall:
    code = call_code(call.arguments)
    if _strict(call.arguments) and (code is not None or call.name != TOOL_NAME):
        return call
    # Chat templates parse past arguments and fail on what is no JSON.
    return call.model_copy(update={"arguments": json.dumps({"code": call.arguments if code is None else code})})


def _encodable(text: str) -> str:
    """Text without lone surrogates, which no request body can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _strict(arguments: str) -> bool:
    try:
        json.loads(arguments)
    except ValueError:
        return False
    return True


def _size(message: Message) -> int:
    return len(message.content) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
