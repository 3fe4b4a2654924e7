"""Questions in a model's words: kept only when nothing is lost and the words alone lead to the program's answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.chat.errors import WrongKey
from flows.generation.recipes import Asking, Batch, Workplace
from flows.generation.rewording import lost, reword, rewording_key
from flows.questions.contamination import Benchmarks
from flows.questions.records import AnswerSpec, Question
from flows.verification.prompts import Task
from flows.verification.solving import SolveConfig, Solver
from tests.flows.generation.conftest import Bench
from tests.support.model_answers import Answer, Ask, error
from tests.support.proposing import WORDS, by_part, code_block, json_block

pytestmark = pytest.mark.filterwarnings("ignore:The test .* is marked with '@pytest.mark.asyncio'")

PLAIN = 'Among the rows with "height_m" above 12, what is the mean of "dbh_cm"? Round to 2 decimals.'
GOOD = "How thick, on average, are the trees taller than 12 metres, rounded to 2 decimals?"
CODE = "submit(round(float(df[df['height_m'] > 12]['dbh_cm'].mean()), 2))"
OTHER_CODE = "submit(round(float(df['dbh_cm'].mean()), 2))"
COLUMNS = ("species", "height_m", "dbh_cm")


def question(truth: Any, text: str = PLAIN, **changes: Any) -> Question:
    base: dict[str, Any] = {
        "id": "template-1", "source": "template", "reference_program": CODE, "ground_truth": truth,
        "answer": AnswerSpec(type="float", decimals=2),
    }  # fmt: skip
    return Question(text=text, **{**base, **changes})


def batch(*questions: Question) -> Batch:
    return Batch(key="k", source="template", proposed=len(questions), questions=questions, refused=())


async def truth_of(place: Workplace, code: str = CODE) -> Any:
    async with place.open_session() as session:
        result = await session.run(code)
    assert result.submission is not None
    return result.submission.value["v"]


def wording(*texts: str, solve: str = CODE) -> Any:
    return by_part(
        {WORDS: lambda _: Answer(content=json_block({"wordings": texts}))}, lambda _: Answer(content=code_block(solve))
    )


async def run(place: Workplace, asking: Asking, *questions: Question, benchmarks: Benchmarks | None = None) -> Batch:
    made = batch(*questions)
    return await reword(made, asking, benchmarks, place, rewording_key(made.key, asking, "told"))


@pytest.mark.asyncio(loop_scope="module")
async def test_words_that_lead_to_the_answer_are_taken(bench: Bench, asking: Asking) -> None:
    place, server = await bench(wording(GOOD))
    plain = question(await truth_of(place))
    done = await run(place, asking, plain)
    (made,) = done.questions
    assert made.text == GOOD
    assert made.provenance["wording"]["plain"] == PLAIN
    assert (made.id, made.reference_program, made.ground_truth) == (plain.id, CODE, plain.ground_truth)
    asked = [ask.messages for ask in server.asks if WORDS not in ask.messages[0]["content"]]
    assert all(PLAIN not in json.dumps(messages) for messages in asked), "the round trip sees the words alone"
    (rewording,) = done.rewordings
    assert rewording.usage.calls == server.tally.asked.total() == 2
    assert rewording.tried[0].trace is not None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("known", [True, False])
async def test_no_call_that_chose_a_wording_verifies_it(bench: Bench, asking: Asking, known: bool) -> None:
    """Each purpose has its own reply of the model, though the words and the sampling are the same."""
    place, server = await bench(wording(GOOD))
    (made,) = (await run(place, asking, question(await truth_of(place)))).questions
    assert place.client is not None
    before = {ask.key for ask in server.asks}
    changes = {} if known else {"reference_program": None, "ground_truth": None, "hint": None}
    task = Task(made.model_copy(update=changes), place.dataset, place.profile)
    solver = Solver(place.client, place.open_session, task, SolveConfig(trace=asking.trace), lambda *_: None)
    solution = await solver.solve()
    assert solution.verdict.verified
    calls = [message.call for trace in solution.traces for message in trace.messages if message.call is not None]
    assert not any(call.replayed for call in calls)
    fresh = [ask for ask in server.asks if ask.key not in before]
    assert len(fresh) == len(calls) == (1 if known else 3)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("texts", "solve", "reasons"),
    [
        ([GOOD], OTHER_CODE, ["another_answer"]),
        ([GOOD], "print(1)", ["no_answer"]),
        (["How thick are trees taller than 13 metres, rounded to 2 decimals?"], CODE, ["loses"]),
        (["How thick are the trees taller than 12 metres on average?"], CODE, ["loses"]),
        (["What is the mean dbh_cm above 12 metres, rounded to 2 decimals?"], CODE, ["wording"]),
        (["Group by nothing: mean thickness above 12, rounded to 2 decimals?"], CODE, ["wording"]),
        ([], CODE, []),
    ],
)
async def test_where_no_words_do_the_question_keeps_its_own(
    bench: Bench, asking: Asking, texts: list[str], solve: str, reasons: list[str]
) -> None:
    place, _ = await bench(wording(*texts, solve=solve))
    plain = question(await truth_of(place))
    done = await run(place, asking, plain)
    found = [each.reason for each in done.rewordings[0].tried]
    assert found == reasons
    assert done.questions == (plain,)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_first_wording_that_passes_is_taken(bench: Bench, asking: Asking) -> None:
    place, _ = await bench(
        wording("How thick are trees over 13 metres, rounded to 2 decimals?", GOOD, GOOD + " Say it.")
    )
    done = await run(place, asking, question(await truth_of(place)))
    assert [each.reason for each in done.rewordings[0].tried] == ["loses", "kept"]
    assert done.questions[0].text == GOOD


@pytest.mark.asyncio(loop_scope="module")
async def test_another_right_answer_counts(bench: Bench, asking: Asking) -> None:
    place, _ = await bench(wording(GOOD, solve=OTHER_CODE))
    either = question(await truth_of(place), alternatives=(await truth_of(place, OTHER_CODE),))
    assert (await run(place, asking, either)).questions[0].text == GOOD


@pytest.mark.asyncio(loop_scope="module")
async def test_a_wording_that_repeats_a_benchmark_is_not_taken(bench: Bench, asking: Asking) -> None:
    benchmarks = Benchmarks(5)
    benchmarks.add("on average are the trees taller than you", "b.txt, question 1")
    place, _ = await bench(wording(GOOD))
    done = await run(place, asking, question(await truth_of(place)), benchmarks=benchmarks)
    assert [each.reason for each in done.rewordings[0].tried] == ["contaminated"]


@pytest.mark.asyncio(loop_scope="module")
async def test_two_questions_never_end_in_the_same_words(bench: Bench, asking: Asking) -> None:
    place, _ = await bench(wording(GOOD))
    truth = await truth_of(place)
    twin = question(truth, PLAIN.replace("Among the rows", "Of all rows"), id="template-2")
    done = await run(place, asking, question(truth), twin)
    assert [each.text for each in done.questions] == [GOOD, twin.text]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_model_that_cannot_be_asked_is_said(bench: Bench, asking: Asking) -> None:
    place, _ = await bench(lambda _: error(401))
    with pytest.raises(WrongKey):
        await run(place, asking, question(1.0))

    def fails_later(ask: Ask) -> Answer:
        return Answer(content=json_block({"wordings": [GOOD]})) if WORDS in ask.messages[0]["content"] else error(401)

    place, _ = await bench(fails_later)
    with pytest.raises(Exception, match="key") as caught:
        await run(place, asking, question(2.0, PLAIN + " "))
    assert type(caught.value).__name__ == "WordingCutOff"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("words", ["prompt is too long: 213462 tokens > 200000 maximum", "the image is too large"])
async def test_a_refusal_of_the_server_leaves_no_wording_out_for_good(bench: Bench, asking: Asking, words: str) -> None:
    """Kept as a wording that led to no answer, it would never be tried again."""
    refused = error(400, {"error": {"message": words}})
    place, _ = await bench(
        by_part({WORDS: lambda _: Answer(content=json_block({"wordings": [GOOD]}))}, lambda _: refused)
    )
    with pytest.raises(Exception, match=words) as caught:
        await run(place, asking, question(2.0, PLAIN + " "))
    assert type(caught.value).__name__ == "WordingCutOff"


@pytest.mark.parametrize(
    ("plain", "words", "missing"),
    [
        (PLAIN, GOOD, ""),
        (PLAIN, "Average thickness above twelve metres, to 2 decimal places?", ""),
        (PLAIN, "Average thickness above 12.0 metres, rounded to two decimals?", ""),
        (PLAIN, "Average thickness above 120 metres, rounded to 2 decimals?", "12 is not in it"),
        (PLAIN, "Average thickness above 12 metres, rounded to 1 decimal?", "it rounds otherwise"),
        ('How many rows have "species" equal to "oak"?', "How many oaks are there?", ""),
        ('How many rows have "species" equal to "oak"?', "How many ash trees are there?", '"oak" is not in it'),
        ("Which 3 species come first?", "Which three species come first?", ""),
        ("Which 3 species come first?", "Which species come first?", "3 is not in it"),
        ("How many exceed 1,500?", "How many exceed 1500?", ""),
        ('How many have "pm2.5" above 7?', "How many days had fine dust above 7?", ""),
    ],
)
def test_what_a_wording_loses(plain: str, words: str, missing: str) -> None:
    assert lost(plain, words, (*COLUMNS, "pm2.5")) == missing


@given(st.integers(13, 10**6), st.integers(13, 10**6))
def test_a_changed_number_is_a_loss(one: int, other: int) -> None:
    assert bool(lost(f"How many are above {one}?", f"How many exceed {other}?", ())) == (one != other)


def test_the_key_holds_batch_and_model(asking: Asking) -> None:
    other = asking.model_copy(update={"wordings": 5})
    keys = [("a", asking, "t"), ("b", asking, "t"), ("a", other, "t"), ("a", asking, "u")]
    assert len({rewording_key(*each) for each in keys}) == 4
