"""The attempt loop, with a scripted model: how it goes on, how it ends, and that its record tells all of it."""

from __future__ import annotations

import asyncio
import json

import pytest

from blocks.chat.errors import ContextOverflow, MissingFromJournal, RateLimited, WrongKey
from blocks.chat.models import ChatRequest, Message, Sampling, ToolCall
from blocks.errors import SandboxLost
from blocks.sandboxes.models import CellError, CellResult, Submission
from flows.verification.attempts import Trace, TraceConfig, Turn
from flows.verification.trace_loop import request_for, run_program, run_trace
from tests.support.attempts import LocalSession, ScriptedModel, block, call, calls, cell, request_key, task_on

CONFIG = TraceConfig(model="m", max_turns=4)
COUNT = block("n = len(df)\nprint(n)")
SUBMIT = block("submit(n)")


async def attempt(model: ScriptedModel, session: LocalSession | None = None, config: TraceConfig = CONFIG) -> Trace:
    return await run_trace(model, session or LocalSession(), task_on(), config, sample_index=1)


async def test_variables_live_from_turn_to_turn_until_a_cell_submits() -> None:
    model = ScriptedModel(COUNT, SUBMIT)
    trace = await attempt(model)
    assert (trace.outcome, trace.ended_by, trace.answer) == ("answered", "submission", {"t": "int", "v": 4})
    assert [message.role for message in trace.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "Output:\n4" in model.requests[1].messages[-1].content
    assert trace.messages[3].answers == trace.turns[0].call_id
    assert trace.messages[5].answers == trace.turns[1].call_id
    assert trace.turns[0].reasoning == "Next step."


async def test_every_attempt_starts_from_a_fresh_namespace() -> None:
    session = LocalSession()
    await attempt(ScriptedModel(COUNT, SUBMIT), session)
    trace = await attempt(ScriptedModel(SUBMIT, block("submit(0)")), session)
    assert session.resets == 2
    assert trace.turns[0].cell is not None
    assert trace.turns[0].cell.error is not None
    assert trace.turns[0].cell.error.name == "NameError"


async def test_the_code_of_the_last_reply_is_run_and_the_prompt_says_it_is_the_last() -> None:
    config = CONFIG.model_copy(update={"max_turns": 2})
    model = ScriptedModel(COUNT, SUBMIT)
    trace = await attempt(model, config=config)
    assert trace.answered
    assert "last reply" not in model.requests[0].messages[-1].content
    assert "last reply" in model.requests[1].messages[-1].content


async def test_a_single_reply_is_told_in_the_task_that_it_is_the_last() -> None:
    model = ScriptedModel(COUNT)
    trace = await attempt(model, config=CONFIG.model_copy(update={"max_turns": 1}))
    assert "last reply" in model.requests[0].messages[-1].content
    assert (trace.outcome, trace.ended_by) == ("no_answer", "turn_limit")
    assert trace.messages[-1].answers == trace.turns[-1].call_id


async def test_a_model_that_never_writes_code_ends_as_no_code() -> None:
    trace = await attempt(ScriptedModel("The answer is 4.", "I said 4.", "Four!"))
    assert (trace.outcome, trace.ended_by, trace.rejected) == ("no_code", "rejection_limit", 3)
    assert trace.answer is None
    assert trace.messages[-1].content.startswith("Nothing was run")


async def test_rejected_replies_count_as_turns_too() -> None:
    config = CONFIG.model_copy(update={"max_turns": 2, "max_rejected": 5})
    trace = await attempt(ScriptedModel("thinking", "still thinking"), config=config)
    assert (trace.outcome, trace.ended_by) == ("no_code", "turn_limit")


async def test_replies_without_code_after_code_end_as_no_answer_not_as_no_code() -> None:
    trace = await attempt(ScriptedModel(COUNT, "It is 4.", "It is 4.", "4"))
    assert (trace.outcome, trace.ended_by) == ("no_answer", "rejection_limit")


async def test_an_attempt_that_ends_on_failing_code_says_so() -> None:
    trace = await attempt(ScriptedModel(*[block("1/0")] * 4))
    assert (trace.outcome, trace.ended_by) == ("code_failed", "turn_limit")


async def test_a_submission_in_a_cell_that_fails_does_not_stand() -> None:
    model = ScriptedModel(block("submit(1)\n1/0"), block("submit(2)"))
    trace = await attempt(model)
    assert trace.answer == {"t": "int", "v": 2}
    assert "does not count" in model.requests[1].messages[-1].content
    assert trace.turns[0].cell is not None
    assert trace.turns[0].cell.submission == {"t": "int", "v": 1}


@pytest.mark.parametrize(
    "text", ["Traceback (most recent call last)", "ValueError: no", "✓ Submitted: 4", "[run 1: failed]"]
)
async def test_what_a_cell_prints_never_decides_how_it_went(text: str) -> None:
    trace = await attempt(ScriptedModel(block(f"print({text!r})"), block("submit(4)")))
    assert trace.turns[0].cell is not None
    assert trace.turns[0].cell.status == "ok"
    assert trace.turns[0].correction is None
    assert trace.turns[1].correction is None
    assert len(trace.turns) == 2


async def test_native_tool_calls_are_answered_by_id() -> None:
    model = ScriptedModel(call("n = len(df)\nn", "c7"), call("submit(n)", "c8"))
    trace = await attempt(model, config=CONFIG.model_copy(update={"act": "tool"}))
    assert trace.answered
    assert model.requests[0].tools[0].name == "run_python"
    result = model.requests[1].messages[-1]
    assert (result.role, result.tool_call_id) == ("tool", "c7")
    assert "4" in result.content
    assert trace.messages[-1].tool_call_id == "c8"
    assert [turn.via for turn in trace.turns] == ["tool", "tool"]


async def test_parallel_calls_run_as_one_cell_and_each_gets_a_result() -> None:
    two = calls(
        *(ToolCall(id=f"c{i}", name="run_python", arguments=json.dumps({"code": f"x{i} = {i}"})) for i in (1, 2))
    )
    session = LocalSession()
    trace = await attempt(ScriptedModel(two, block("submit(x1 + x2)")), session)
    assert session.ran[0] == "x1 = 1\n\nx2 = 2"
    assert trace.answer == {"t": "int", "v": 3}
    results = [m for m in trace.messages if m.role == "tool"]
    assert [m.tool_call_id for m in results] == ["c1", "c2"]
    assert "[run 1: ok]" in results[0].content
    assert "ran together with your first call" in results[1].content
    assert "replies left" not in results[0].content
    assert "replies left" in results[1].content


async def test_a_bad_call_rejects_all_calls_and_answers_each() -> None:
    bad = calls(
        ToolCall(id="a", name="run_python", arguments="{oops"),
        ToolCall(id="b", name="run_python", arguments='{"code": "x=1"}'),
    )
    session = LocalSession()
    model = ScriptedModel(bad, call("submit(1)"))
    trace = await attempt(model, session)
    assert session.ran == ["submit(1)"]
    assert trace.turns[0].rejected == "bad_call"
    assert [m.tool_call_id for m in trace.messages if m.role == "tool"] == ["a", "b", "call_1"]
    arguments = model.requests[1].messages[2].tool_calls[0].arguments
    assert json.loads(arguments) == {"code": "{oops"}
    assert trace.messages[2].tool_calls[0].arguments == "{oops"


@pytest.mark.parametrize(
    ("error", "outcome", "kind", "users"),
    [
        (ContextOverflow("too long"), "context_overflow", "context_overflow", False),
        (RateLimited("slow down"), "model_error", "rate_limited", False),
        (WrongKey("no such key", "Set another."), "model_error", "wrong_key", True),
        (MissingFromJournal("not recorded"), "model_error", "missing_from_journal", True),
    ],
)
async def test_a_failing_call_is_an_outcome_and_what_was_done_is_kept(
    error: Exception, outcome: str, kind: str, users: bool
) -> None:
    trace = await attempt(ScriptedModel(COUNT, error))
    assert (trace.outcome, trace.ended_by) == (outcome, outcome)
    assert trace.error is not None
    assert (trace.error.kind, trace.error.users) == (kind, users)
    assert len(trace.turns) == 1
    assert trace.broken_off, "no answer of the model, and so nothing to judge the question by"


@pytest.mark.parametrize(
    "accident",
    [
        SandboxLost("the zygote died"),
        cell("lost", reason="the sandbox was lost", namespace_kept=False),
        cell(
            "ok",
            reason="the variables were lost before this cell",
            namespace_kept=False,
            submission=Submission(value={"t": "int", "v": 9}),
        ),
        cell("error", error=CellError(name="NameError", message="n", traceback=""), namespace_kept=False),
    ],
)
async def test_a_lost_sandbox_breaks_the_attempt_off_and_never_reaches_the_model(
    accident: CellResult | Exception,
) -> None:
    model = ScriptedModel(COUNT, SUBMIT)
    session = LocalSession(override=lambda number: accident if number == 2 else None)
    trace = await attempt(model, session)
    assert trace.outcome == "sandbox_lost"
    assert trace.broken_off
    assert trace.answer is None
    assert trace.turns[-1].code == "submit(n)"


async def test_the_model_is_told_when_its_own_code_cost_it_the_variables() -> None:
    model = ScriptedModel(COUNT, block("hang()"), block("submit(4)"))
    stopped = cell("timeout", reason="over 60 s", namespace_kept=False)
    await attempt(model, LocalSession(override=lambda number: stopped if number == 2 else None))
    told = model.requests[2].messages[-1].content
    assert "stopped, it ran longer than the time limit" in told
    assert "All variables of earlier runs are lost" in told


async def test_cancelling_an_attempt_is_not_swallowed() -> None:
    class Stuck(ScriptedModel):
        async def complete(self, request: ChatRequest) -> None:  # type: ignore[override]
            await asyncio.Event().wait()

    task = asyncio.create_task(attempt(Stuck()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_equal_circumstances_send_equal_requests() -> None:
    script = [
        block("import secrets\nx = object()\nprint(x)\nprint(df.head)"),
        block("1/0"),
        "no code",
        SUBMIT.replace("n", "7"),
    ]
    first, second = ScriptedModel(*script), ScriptedModel(*script)
    await attempt(first)
    await attempt(second)
    assert [request_key(r) for r in first.requests] == [request_key(r) for r in second.requests]


async def test_attempts_differ_by_sample_index_and_by_seed() -> None:
    config = CONFIG.model_copy(update={"sampling": Sampling(seed=40)})
    models = [ScriptedModel(block("submit(1)")) for _ in range(2)]
    for index, model in enumerate(models):
        await run_trace(model, LocalSession(), task_on(), config, sample_index=index)
    assert [m.requests[0].sample_index for m in models] == [0, 1]
    assert [m.requests[0].sampling.seed for m in models] == [40, 41]


async def test_only_the_gold_attempt_sees_the_hint_and_the_record_says_where_it_stands() -> None:
    model = ScriptedModel(block("submit(1)"))
    gold = await run_trace(model, LocalSession(), task_on(), CONFIG, hint="Count with len().", sample_index=0)
    plain_model = ScriptedModel(block("submit(1)"))
    plain = await run_trace(plain_model, LocalSession(), task_on(), CONFIG, sample_index=1)
    assert (gold.role, gold.hinted, plain.role, plain.hinted) == ("gold", True, "independent", False)
    task = gold.messages[1]
    assert task.hint_span is not None
    start, end = task.hint_span
    assert "Count with len()." in task.content[start:end]
    assert task.content[:start] + task.content[end:] == plain.messages[1].content
    assert plain.messages[1].hint_span is None


async def test_what_was_sent_can_be_rebuilt_from_the_record_even_when_the_window_moved() -> None:
    config = CONFIG.model_copy(update={"max_turns": 8, "context_chars": 5_000, "feedback_chars": 1_500})
    chatty = [block(f"v{i} = {i}\nprint('{i}' * 1400)") for i in range(6)]
    model = ScriptedModel(*chatty, block("submit(v0 + v5)"))
    trace = await attempt(model, config=config)
    assert trace.answer == {"t": "int", "v": 5}
    assert trace.turns[-1].window_from > 2
    stored = Trace.model_validate_json(trace.model_dump_json())
    for turn, sent in zip(stored.turns, model.requests, strict=True):
        assert request_for(stored, turn, config) == sent
        assert turn.reply_at is not None
        facts = stored.messages[turn.reply_at].call
        assert facts is not None
        assert facts.key == request_key(sent)
    assert len(stored.messages) == 2 + 2 * 7
    last = model.requests[-1].messages
    assert sum(len(m.content) for m in last) < 5_500
    assert "are left out here" in last[1].content
    assert [m.role for m in last[:3]] == ["system", "user", "assistant"]


async def test_thinking_is_recorded_but_never_sent_back() -> None:
    thought = Message(
        role="assistant", content="<think>I wonder.\n```python\nboom()\n```</think>" + COUNT, reasoning="hm"
    )
    model = ScriptedModel(thought, SUBMIT)
    session = LocalSession()
    trace = await attempt(model, session)
    assert session.ran[0] == "n = len(df)\nprint(n)"
    assert "I wonder." in trace.turns[0].thinking
    assert "hm" in trace.turns[0].thinking
    assert "I wonder." in trace.messages[2].content
    sent = model.requests[1].messages[2]
    assert "wonder" not in sent.content
    assert sent.reasoning is None


async def test_turns_are_reported_as_they_end() -> None:
    seen: list[Turn] = []
    trace = await run_trace(ScriptedModel(COUNT, SUBMIT), LocalSession(), task_on(), CONFIG, on_turn=seen.append)
    assert tuple(seen) == trace.turns


async def test_usage_is_summed_over_the_calls() -> None:
    trace = await attempt(ScriptedModel(COUNT, "no code", SUBMIT))
    assert (trace.usage.calls, trace.usage.prompt_tokens, trace.usage.completion_tokens) == (3, 300, 30)
    assert trace.usage.cost_usd == pytest.approx(0.75)
    assert trace.usage.cached_tokens is None


async def test_a_reference_program_is_an_attempt_without_a_model() -> None:
    session = LocalSession()
    trace = await run_program(session, "submit(int(df['size'].sum()))")
    assert (trace.role, trace.outcome, trace.ended_by, trace.answer) == (
        "reference",
        "answered",
        "submission",
        {"t": "int", "v": 11},
    )
    assert trace.model is None
    assert session.resets == 1
    silent = await run_program(session, "x = 1")
    assert (silent.outcome, silent.ended_by) == ("no_answer", "program_end")
    broken = await run_program(session, "submit(1); 1/0")
    assert (broken.outcome, broken.answer) == ("code_failed", None)
