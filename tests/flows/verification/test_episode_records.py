"""The episode record: its key, that it is lossless, and that it converts to a step list and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blocks.chat.models import Sampling, ToolCall
from blocks.sandboxes.models import CellResult, SandboxLimits, Submission
from flows.questions.records import AnswerSpec
from flows.verification.attempts import CellRecord, RecordedMessage, Trace
from flows.verification.records import Episode, EpisodePlan, make_episode, to_json
from flows.verification.trace_loop import run_program
from flows.verification.triangulation import TriangulationRule
from tests.support.attempts import LocalSession, block, call, calls, cell, task_on
from tests.support.episodes import CONFIG, RULE, SANDBOX, WORK, attempts, episode_on, equal_episode, plan_for


async def test_an_episode_is_one_line_and_reads_back_equal() -> None:
    episode = await episode_on()
    line = episode.to_line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert Episode.from_line(line) == episode
    assert episode.verdict.verified
    assert episode.final
    assert episode.answer == {"t": "int", "v": 4}
    assert [(trace.role, trace.index) for trace in episode.attempts] == [
        ("gold", 0),
        ("independent", 1),
        ("independent", 2),
        ("independent", 3),
    ]
    assert episode.usage.calls == 4 + 3


async def test_an_episode_that_is_not_verified_has_no_answer_but_keeps_what_was_submitted() -> None:
    episode = await episode_on(answer=5)
    assert episode.verdict.verdict == "hint_misleading"
    assert episode.answer is None
    assert [trace.answer for trace in episode.attempts] == [{"t": "int", "v": v} for v in (4, 5, 5, 5)]


async def test_the_answer_of_equal_traces_is_that_of_those_that_agree() -> None:
    episode = await equal_episode(5, 4, 4, 4)
    assert episode.verdict.verified
    assert episode.answer == {"t": "int", "v": 4}
    assert episode.gold is None
    assert [(trace.role, trace.index) for trace in episode.attempts] == [
        ("independent", index) for index in range(1, 5)
    ]
    assert Episode.from_line(episode.to_line()) == episode
    assert "hint_misleading" not in episode.to_line().decode()


async def test_a_record_from_before_there_were_equal_traces_still_reads_under_its_key() -> None:
    """Also one of a question without a hint, whose first trace was the gold one then."""
    for hint in ("Count them.", None):
        now = await episode_on()
        old = json.loads(now.to_line())
        del old["provenance"]["plan"]["equal"]
        old["question"]["hint"] = hint
        read = Episode.from_line(json.dumps(old).encode())
        assert read.provenance.plan.key == read.episode_id
        assert read.gold is not None
    assert now.provenance.plan.key == now.episode_id


def test_a_vote_among_equal_traces_has_another_key_than_one_with_a_gold_trace() -> None:
    """Four equal traces now are another vote than a gold one and four others then, though as many are planned."""
    task = task_on()
    plan = plan_for(task.question, task.dataset)
    assert (plan.planned, plan.equal) == (4, True)
    assert plan.model_copy(update={"equal": False}).key != plan.key
    hinted = plan_for(task.question.model_copy(update={"hint": "Count."}), task.dataset)
    assert (hinted.planned, hinted.equal) == (3, False)
    known = plan_for(task.question.model_copy(update={"ground_truth": 4}), task.dataset)
    assert (known.planned, known.equal) == (1, False)


async def test_unusual_text_from_model_and_cell_survives_the_file() -> None:
    odd = "lone \ud83d surrogate, \u2028 separator, \x00 null, \x1b[31m escape"
    session = LocalSession(
        override=lambda _: cell(
            stdout=odd,
            submission=Submission(value={"t": "list", "v": [{"t": "str", "v": odd}, {"t": "float", "v": 0.1}]}),
        )
    )
    trace = await run_program(session, f"print({odd!r})")
    episode = (await episode_on()).model_copy(update={"attempts": (trace,)})
    line = episode.to_line()
    assert line.count(b"\n") == 1
    line.decode("utf-8")
    assert Episode.from_line(line) == episode


def test_numbers_json_cannot_hold_become_their_words_and_cost_nothing_else() -> None:
    data = {"a": float("nan"), "b": [float("-inf"), 1.5, float("inf")], "c": "\ud800"}
    assert json.loads(to_json(data)) == {"a": "nan", "b": ["-inf", 1.5, "inf"], "c": "\ud800"}


def test_figures_are_kept_by_their_hash() -> None:
    result: CellResult = cell(figures=(b"png one", b"png two"))
    record = CellRecord.of(result)
    assert [figure.bytes for figure in record.figures] == [7, 7]
    assert record.figures[0].sha256 != record.figures[1].sha256
    kept = set(CellRecord.model_fields)
    assert set(CellResult.model_fields) - kept == {"schema_version"}


CHANGES: dict[str, Any] = {
    "model": {"model": "vendor/m-2"},
    "temperature": {"sampling": Sampling(temperature=0.1)},
    "prompt style": {"style": "compact"},
    "way to act": {"act": "tool"},
    "turns": {"max_turns": 5},
    "feedback": {"feedback_chars": 900},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_configuration_changes_the_key(change: str) -> None:
    task = task_on()
    base = plan_for(task.question, task.dataset)
    other = base.model_copy(update={"config": CONFIG.model_copy(update=CHANGES[change])})
    assert other.key != base.key


def test_the_key_follows_what_changes_the_answer_and_nothing_else() -> None:
    task = task_on()
    base = plan_for(task.question, task.dataset)
    assert plan_for(task.question.model_copy(update={"id": "other", "tags": ("x",)}), task.dataset).key == base.key
    assert plan_for(task.question, task.dataset.model_copy(update={"slug": "elsewhere"})).key == base.key
    different = [
        plan_for(task.question.model_copy(update={"text": "How many rows are there"}), task.dataset),
        plan_for(task.question.model_copy(update={"hint": "Count."}), task.dataset),
        plan_for(task.question.model_copy(update={"answer": AnswerSpec(type="float")}), task.dataset),
        plan_for(task.question.model_copy(update={"difficulty": "hard"}), task.dataset),
        plan_for(task.question, task.dataset.model_copy(update={"key": "cd" * 32})),
        base.model_copy(update={"endpoint": "http://elsewhere/v1"}),
        base.model_copy(update={"image_digest": "sha256:1"}),
        base.model_copy(update={"comparator_version": "x"}),
        base.model_copy(update={"accept": "exact"}),
    ]
    keys = [plan.key for plan in different]
    assert base.key not in keys
    assert len(set(keys)) == len(keys)


def test_launching_in_waves_or_at_once_is_the_same_episode() -> None:
    task = task_on()
    plans = [
        EpisodePlan.of(task, CONFIG, rule, endpoint="e", image_digest="d", limits=SandboxLimits())
        for rule in (RULE, TriangulationRule(waves=False))
    ]
    assert plans[0].key == plans[1].key


async def test_attempts_are_put_in_order() -> None:
    task = task_on()
    traces = await attempts(WORK, (block("submit(4)"),), (block("submit(4)"),))
    program = await run_program(LocalSession(), "submit(4)")
    whole = await episode_on()
    made = make_episode(
        plan_for(task.question, task.dataset), task.question, whole.dataset, [traces[2], traces[0], program, traces[1]],
        whole.verdict, sandbox=SANDBOX,
    )  # fmt: skip
    assert [(trace.role, trace.index) for trace in made.attempts] == [
        ("reference", 0),
        ("gold", 0),
        ("independent", 1),
        ("independent", 2),
    ]


def steps_of(trace: Trace) -> list[dict[str, Any]]:
    """The attempt as ATIF steps: agent steps hold the call and the observation that answers it."""
    steps: list[dict[str, Any]] = []
    for message in trace.messages:
        if message.role == "assistant":
            turn = next(turn for turn in trace.turns if turn.index == message.turn)
            made = {c.id: {"code": c.arguments} for c in message.tool_calls}
            if turn.code is not None and not made and turn.call_id is not None:
                made = {turn.call_id: {"code": turn.code}}
            steps.append(
                {
                    "step_id": len(steps) + 1,
                    "source": "agent",
                    "message": message.content,
                    "reasoning_content": message.reasoning,
                    "tool_calls": [
                        {"tool_call_id": i, "function_name": "run_python", "arguments": a} for i, a in made.items()
                    ],
                    "observation": {"results": []},
                    "extra": {"native": bool(message.tool_calls)},
                }
            )
        elif message.answers is not None:
            result = {"source_call_id": message.answers, "content": message.content}
            steps[-1]["observation"]["results"].append(result)
        else:
            source = "system" if message.role == "system" else "user"
            steps.append({"step_id": len(steps) + 1, "source": source, "message": message.content})
    return steps


def messages_of(steps: list[dict[str, Any]]) -> list[tuple[str, str, tuple[tuple[str, str], ...], str | None]]:
    """The conversation back out of the steps: role, content, native calls, answered call."""
    found: list[tuple[str, str, tuple[tuple[str, str], ...], str | None]] = []
    for step in steps:
        if step["source"] != "agent":
            found.append((step["source"], step["message"], (), None))
            continue
        native = step["extra"]["native"]
        made = tuple((c["tool_call_id"], c["arguments"]["code"]) for c in step["tool_calls"]) if native else ()
        found.append(("assistant", step["message"], made, None))
        for result in step["observation"]["results"]:
            role = "tool" if native else "user"
            found.append((role, result["content"], (), result["source_call_id"]))
    return found


def bare(message: RecordedMessage) -> tuple[str, str, tuple[tuple[str, str], ...], str | None]:
    return (message.role, message.content, tuple((c.id, c.arguments) for c in message.tool_calls), message.answers)


async def test_every_attempt_converts_to_a_step_list_and_back_without_loss() -> None:
    two = calls(*(ToolCall(id=f"c{i}", name="run_python", arguments=f'{{"code": "x{i}={i}"}}') for i in (1, 2)))
    scripts = [
        WORK,
        (call("n = 1", "a"), two, calls(ToolCall(id="z", name="other", arguments="{")), block("submit(x2)")),
    ]
    for trace in await attempts(*scripts):
        steps = steps_of(trace)
        assert [step["step_id"] for step in steps] == list(range(1, len(steps) + 1))
        assert messages_of(steps) == [bare(message) for message in trace.messages]
        made = [c["tool_call_id"] for step in steps for c in step.get("tool_calls", ())]
        answered = [r["source_call_id"] for s in steps if "observation" in s for r in s["observation"]["results"]]
        assert made == answered
