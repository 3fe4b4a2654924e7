"""Reading replies: which code runs, and why a reply is turned away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.chat.models import Message, ToolCall
from flows.verification.replies import Parsed, fenced_blocks, read_reply, split_thinking


def read(content: str, finish_reason: str = "stop") -> Parsed:
    return read_reply(Message(role="assistant", content=content), finish_reason)


RUN = [
    ("one block", "Look.\n```python\nx = 1\n```\nDone.", "x = 1"),
    ("short tag", "```py\nx = 1\n```", "x = 1"),
    ("capital tag and attributes", "```Python title=a\nx = 1\n```", "x = 1"),
    ("braces", "```{python}\nx = 1\n```", "x = 1"),
    ("tildes", "~~~python\nx = 1\n~~~", "x = 1"),
    ("two blocks are joined", "```python\nx = 1\n```\nand\n```python\ny = 2\n```", "x = 1\n\ny = 2"),
    ("other tags are never run", "```bash\nrm -rf /\n```\n```python\nx = 1\n```\n```text\n5\n```", "x = 1"),
    ("untagged beside tagged is not run", "```python\nx = 1\n```\nOutput:\n```\n42\n```", "x = 1"),
    ("untagged alone", "```\nx = 1\n```", "x = 1"),
    ("untagged that is no Python is passed over", "```\nspecies  mean\n```\n```\nx = 1\n```", "x = 1"),
    ("block in a list", "1. First\n   ```python\n   for i in a:\n       print(i)\n   ```", "for i in a:\n    print(i)"),
    ("longer fence around backticks", '````python\ns = """\n```\n"""\n````', 's = """\n```\n"""'),
    ("left open by a model that stopped", "```python\nx = 1\nprint(x)", "x = 1\nprint(x)"),
    ("code that does not parse is for the sandbox to judge", "```python\nx = = 1\n```", "x = = 1"),
    ("empty block beside a full one", "```python\n# later\n```\n```python\nx = 1\n```", "x = 1"),
    ("line endings", "```python\r\nx = 1\r\n```\r\n", "x = 1"),
]


@pytest.mark.parametrize(("content", "code"), [case[1:] for case in RUN], ids=[case[0] for case in RUN])
def test_code_that_is_run(content: str, code: str) -> None:
    parsed = read(content)
    assert parsed.code == code
    assert parsed.rejected is None


REJECT = [
    ("prose", "The mean is 4.", "stop", "no_code"),
    ("inline code", "Use `df.mean()` or ```df.mean()```.", "stop", "no_code"),
    ("another language", "```r\nmean(x)\n```", "stop", "no_code"),
    ("untagged table", "```\nspecies  mean\nAdelie  38.8\n```", "stop", "no_code"),
    ("nothing", "", "stop", "no_code"),
    ("only comments", "```python\n# think\n\n```", "stop", "empty_code"),
    ("cut off in the block", "```python\nx = 1\ny = df.gro", "length", "cut_off"),
    ("cut off in thinking", "<think>Well, the", "length", "cut_off"),
    ("cut off in prose", "I would first", "length", "no_code"),
]


@pytest.mark.parametrize(
    ("content", "finish", "reason"), [case[1:] for case in REJECT], ids=[case[0] for case in REJECT]
)
def test_replies_that_are_turned_away(content: str, finish: str, reason: str) -> None:
    parsed = read(content, finish)
    assert parsed.code is None
    assert parsed.rejected == reason


def test_a_whole_block_runs_even_when_a_later_one_was_cut_off() -> None:
    parsed = read("```python\nx = 1\n```\nThen\n```python\ny = ", "length")
    assert (parsed.code, parsed.blocks) == ("x = 1", 1)


def test_prose_and_thinking_are_told_apart() -> None:
    parsed = read_reply(
        Message(
            role="assistant",
            content="<think>Maybe\n```python\nwrong()\n```\n</think>\nI count.\n```python\nx\n```",
            reasoning="deep",
        ),
        "stop",
    )
    assert parsed.code == "x"
    assert parsed.reasoning == "I count."
    assert parsed.thinking.startswith("deep")
    assert "wrong()" in parsed.thinking


@pytest.mark.parametrize(
    ("content", "thinking", "text"),
    [
        ("<think>a</think>b", "a", "b"),
        ("<think>a</think>\n<think>c</think>\nb", "a\n\nc", "b"),
        ("a\n</think>\nb", "a", "b"),
        ("<thinking>a</thinking>b", "a", "b"),
        ("<think>never closed", "never closed", ""),
        ("b", "", "b"),
        ("```python\nprint('</think>')\n```", "", "```python\nprint('</think>')\n```"),
        ("text <think>a</think>", "", "text <think>a</think>"),
    ],
)
def test_thinking_at_the_head_is_split_off(content: str, thinking: str, text: str) -> None:
    assert split_thinking(content) == (thinking, text)


def tool(arguments: str, name: str = "run_python", call_id: str = "c") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


CALLS = [
    ([tool('{"code": "x = 1"}')], "x = 1", None),
    ([tool('{"code": "x = 1\ny = 2"}')], "x = 1\ny = 2", None),
    ([tool('{"code": "x = 1"}'), tool('{"code": "y = 2"}')], "x = 1\n\ny = 2", None),
    ([tool("x = 1")], None, "bad_call"),
    ([tool('["x"]')], None, "bad_call"),
    ([tool('{"code": 5}')], None, "bad_call"),
    ([tool('{"code": ""}')], None, "empty_code"),
    ([tool("{}", name="python")], None, "unknown_tool"),
    ([tool('{"code": "x"}'), tool("{", name="run_python")], None, "bad_call"),
    ([tool("[" * 100_000)], None, "bad_call"),
]


@pytest.mark.parametrize(("calls", "code", "rejected"), CALLS)
def test_native_calls(calls: list[ToolCall], code: str | None, rejected: str | None) -> None:
    message = Message(role="assistant", content="```python\nignored()\n```", tool_calls=tuple(calls))
    parsed = read_reply(message, "stop")
    assert (parsed.code, parsed.rejected, parsed.via) == (code, rejected, "tool")
    assert len(parsed.call_ids) == len(calls)


def test_a_call_cut_off_at_the_token_limit_says_so() -> None:
    message = Message(role="assistant", tool_calls=(tool('{"code": "x = '),))
    assert read_reply(message, "length").rejected == "cut_off"


@given(st.text(max_size=300), st.sampled_from(["stop", "length"]))
def test_any_text_is_either_run_or_turned_away(content: str, finish: str) -> None:
    parsed = read(content, finish)
    assert (parsed.code is None) == (parsed.rejected is not None)


code_lines = st.lists(st.text(st.characters(exclude_characters="`~\r\n"), max_size=30), max_size=6)


@given(code_lines, st.sampled_from(["```", "````", "~~~"]))
def test_what_stands_in_a_fence_comes_out_unchanged(lines: list[str], fence: str) -> None:
    body = "\n".join(lines)
    blocks, prose = fenced_blocks(f"before\n{fence}python\n{body}\n{fence}\nafter")
    assert [(block.tag, block.code, block.closed) for block in blocks] == [("python", body, True)]
    assert prose == "before\nafter"
