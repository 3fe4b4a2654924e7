"""The window: what is sent stays under the budget, whole turns at a time, and says what is missing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from blocks.chat.models import ToolCall
from flows.verification.attempts import RecordedMessage
from flows.verification.window import as_sent, next_window, sent_messages

OPENING = [RecordedMessage(role="system", content="S" * 100), RecordedMessage(role="user", content="Q" * 100)]


def conversation(sizes: Sequence[int]) -> list[RecordedMessage]:
    messages = list(OPENING)
    for turn, size in enumerate(sizes, start=1):
        calls = (ToolCall(id=f"c{turn}", name="run_python", arguments='{"code": "x"}'),)
        messages.append(RecordedMessage(role="assistant", content="a" * size, tool_calls=calls, turn=turn))
        messages.append(RecordedMessage(role="tool", content="r" * size, tool_call_id=f"c{turn}", turn=turn))
    return messages


def test_everything_is_sent_while_it_fits() -> None:
    messages = conversation([10, 10, 10])
    assert next_window(messages, 1, 10_000) == 1
    assert sent_messages(messages, 1, 4) == tuple(as_sent(message) for message in messages)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12), st.integers(1_000, 3_000))
def test_the_window_only_moves_on_keeps_the_latest_turn_and_never_parts_a_call_from_its_result(
    sizes: list[int], budget: int
) -> None:
    first = 1
    for done in range(1, len(sizes) + 1):
        messages = conversation(sizes[:done])
        moved = next_window(messages, first, budget)
        assert first <= moved <= done
        first = moved
        sent = sent_messages(messages, first, done + 1)
        assert [message.role for message in sent[:2]] == ["system", "user"]
        assert sent[1].content.startswith("Q" * 100)
        calls = [call.id for message in sent for call in message.tool_calls]
        assert calls == [message.tool_call_id for message in sent if message.role == "tool"]
        assert calls == [f"c{turn}" for turn in range(first, done + 1)]
        assert ("left out here" in sent[1].content) == (first > 1)
        body = sum(len(m.content) + sum(len(c.name) + len(c.arguments) for c in m.tool_calls) for m in sent)
        assert body <= budget + 200 or first == done


def test_when_the_window_moves_it_makes_room_for_several_turns() -> None:
    sizes = [200] * 12
    firsts = []
    first = 1
    for done in range(1, len(sizes) + 1):
        first = next_window(conversation(sizes[:done]), first, 3_000)
        firsts.append(first)
    moves = [b for a, b in itertools.pairwise(firsts) if b != a]
    assert moves
    assert len(moves) < sum(b > 1 for b in firsts)


def test_the_mark_tells_the_truth_about_variables() -> None:
    messages = conversation([10, 10, 10])
    kept = sent_messages(messages, 3, 4)[1].content
    lost = sent_messages(messages, 3, 4, lost_at=2)[1].content
    assert "Turns 1 to 2 are left out" in kept
    assert "still defined" in kept
    assert "All variables made up to turn 2 were lost" in lost


def test_nothing_goes_out_that_a_server_cannot_read() -> None:
    empty = as_sent(RecordedMessage(role="assistant", content="  ", turn=1))
    assert empty.content == "(no text)"
    odd = as_sent(RecordedMessage(role="assistant", content="a\ud800b", turn=1))
    odd.content.encode("utf-8")
    only_call = as_sent(conversation([0])[2])
    assert only_call.content == ""
