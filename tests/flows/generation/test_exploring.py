"""A model looks at a table and proposes questions: what is accepted, what it is told, and what is kept of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blocks.chat.errors import ChatError, ContextOverflow, RequestTooLarge, WrongKey
from flows.generation.exploring import FRUITLESS
from flows.generation.generating import generate
from flows.generation.recipes import Asking, Batch, Recipe, Workplace
from flows.questions.contamination import Benchmarks
from flows.questions.proving import Bars
from flows.questions.records import Question
from tests.flows.generation.conftest import Bench
from tests.support.model_answers import Answer, Ask, error
from tests.support.proposing import code_block, explorer, json_block, proposal, turn_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKS = [code_block("print(df.describe())"), code_block("print(df['species'].value_counts())")]
MEAN_TALL = proposal(
    "Among the trees taller than 12 metres, what is the mean trunk diameter in centimetres, rounded to 2 decimals?",
    "tall = df[df['height_m'] > 12]\nsubmit(round(float(tall['dbh_cm'].mean()), 2))",
    answer={"type": "float", "decimals": 2, "unit": "cm"},
)
MISSING = proposal(
    "How many trees have no height on record?", "submit(int(df['height_m'].isna().sum()))", answer={"type": "int"},
    difficulty="easy", steps=1, tags=["missing"],
)  # fmt: skip
SPREAD = proposal(
    "Which species has the largest range of trunk diameters?",
    "g = df.groupby('species')['dbh_cm']\nsubmit((g.max() - g.min()).idxmax())",
    answer={"type": "string"},
)


def recipe(asking: Asking, most: int = 2) -> Recipe:
    return Recipe(source="llm", most=most, bars=Bars(min_rows=1), asking=asking)


async def explored(place: Workplace, asking: Asking, most: int = 2, **options: Any) -> Batch:
    return await generate(recipe(asking, most), place, "k", **options)


def reasons(batch: Batch) -> list[str]:
    return [refusal.reason for refusal in batch.refused]


async def test_accepted_questions_are_triangulated_and_remember_their_proposer(bench: Bench, asking: Asking) -> None:
    place, server = await bench(explorer([*LOOKS, json_block({"questions": [MEAN_TALL, MISSING]})]))
    batch = await explored(place, asking)
    assert [each.text for each in batch.questions] == [MEAN_TALL["question"], MISSING["question"]]
    mean, missing = batch.questions
    assert (mean.source, mean.hint, mean.dataset_key) == ("llm", MEAN_TALL["hint"], place.dataset.key)
    assert not mean.has_ground_truth
    assert (missing.difficulty, missing.n_steps, missing.provenance["answer"]) == ("easy", 1, 6)
    assert mean.provenance["program"] == MEAN_TALL["program"]
    assert mean.provenance["model"] == asking.trace.model
    assert batch.refused == ()
    (exploration,) = batch.explorations
    assert exploration.ended_by == "enough"
    assert [turn.code is not None for turn in exploration.turns] == [True, True, False]
    assert [turn.cell.status for turn in exploration.turns if turn.cell] == ["ok", "ok"]
    assert [each.accepted for each in exploration.turns[2].decisions] == [True, True]
    assert exploration.usage.calls == server.tally.asked.total() == 3


async def test_what_does_not_stand_up_is_told_to_the_model_and_can_be_mended(bench: Bench, asking: Asking) -> None:
    vague = {**MEAN_TALL, "question": "What is the mean trunk diameter in centimetres of trees over 12 metres?"}
    broken = proposal("How many trees are oaks and taller than 12 metres in all?", "submit(df['size'].sum())",
                      answer={"type": "int"})  # fmt: skip
    first = {"questions": [vague, broken, "no question", {"question": "?"}]}
    place, server = await bench(explorer([*LOOKS, json_block(first), json_block({"questions": [MEAN_TALL, MISSING]})]))
    batch = await explored(place, asking)
    assert len(batch.questions) == 2
    assert sorted(reasons(batch)) == ["failed", "unreadable", "unreadable", "wording"]
    told = server.asks[-1].last
    assert "1. not accepted: it does not say how the answer is rounded" in told
    assert "2. not accepted: the program ended with KeyError" in told
    assert "0 of 2 questions accepted" in told
    assert "Propose 2 more" in told


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (proposal("What is the trunk diameter in the first row, rounded to 2 decimals?",
                  "submit(round(float(df['dbh_cm'].iloc[0]), 2))"), "row_order"),
        (proposal("What is a mean of some random heights, rounded to 2 decimals?",
                  "submit(round(float(np.random.default_rng().uniform(0, 1e9)), 2))"), "not_reproduced"),
        (proposal("What is the mean height in metres of yews, rounded to 2 decimals?",
                  "submit(df[df['species'] == 'yew']['height_m'].mean())"), "no_answer"),
        (proposal("What is the mean of height_m over all trees, rounded to 2 decimals?",
                  "submit(round(float(df['height_m'].mean()), 2))"), "wording"),
        (proposal("How many trees have a height on record in all?", "submit(int(df['height_m'].count()))",
                  answer={"type": "int"}, hint="Count them; it should come to 114."), "leak"),
        (proposal("How many trees of all species are there in the benchmark of ours, counted by hand?",
                  "submit(len(df))", answer={"type": "int"}), "contaminated"),
    ],
)  # fmt: skip
async def test_each_check_refuses_by_its_own_name(
    bench: Bench, asking: Asking, made: dict[str, Any], reason: str
) -> None:
    benchmarks = Benchmarks(6)
    benchmarks.add("How many trees of all species are there in the benchmark?", "bench.txt, question 1")
    place, _ = await bench(explorer([*LOOKS, json_block({"questions": [made]}), json_block({"questions": []})]))
    batch = await explored(place, asking, benchmarks=benchmarks)
    assert reasons(batch) == [reason]
    assert batch.explorations[0].ended_by == "nothing_more"


async def test_a_mean_of_an_identifier_is_refused(bench: Bench, asking: Asking) -> None:
    """The same program passes while its column is one that measures."""
    place, _ = await bench(explorer([*LOOKS, json_block({"questions": [MEAN_TALL]}), json_block({"questions": []})]))
    assert reasons(await explored(place, asking)) == []
    facts = tuple(
        each.model_copy(update={"id_like": True}) if each.name == "dbh_cm" else each for each in place.profile.facts
    )
    coded = place._replace(profile=place.profile.model_copy(update={"facts": facts}))
    batch = await explored(coded, asking)
    assert reasons(batch) == ["facts"]
    assert "dbh_cm" in batch.refused[0].detail


async def test_no_question_is_asked_twice_in_other_words(bench: Bench, asking: Asking) -> None:
    again = {
        **MEAN_TALL,
        "question": "What is the mean trunk diameter in centimetres among those trees taller than 12 metres (rounded "
        "to 2 decimals)?",
        "program": "submit(round(float(df.loc[df.height_m.gt(12), 'dbh_cm'].mean()), 2))",
    }
    other = Question(id="template-1", source="template", text=str(MISSING["question"]))
    place, _ = await bench(
        explorer([*LOOKS, json_block({"questions": [MEAN_TALL, again, MISSING]}), json_block({"questions": []})])
    )
    batch = await explored(place, asking, most=3, others=[other])
    assert [each.text for each in batch.questions] == [MEAN_TALL["question"]]
    assert reasons(batch) == ["duplicate", "duplicate"]
    assert "template-1" in batch.refused[1].detail


async def test_proposals_before_looking_are_sent_back(bench: Bench, asking: Asking) -> None:
    replies = [json_block({"questions": [MISSING]}), *LOOKS, json_block({"questions": [MISSING]})]
    place, server = await bench(explorer(replies))
    batch = await explored(place, asking, most=1)
    assert "run code that looks at the table" in server.asks[1].last
    assert len(batch.questions) == 1
    assert batch.proposed == 1


async def test_a_reply_cut_off_loses_only_what_was_not_whole(bench: Bench, asking: Asking) -> None:
    whole = json.dumps({"questions": [MEAN_TALL, MISSING, SPREAD]})
    cut = Answer(content="```json\n" + whole[: whole.index("Which species") + 20], finish_reason="length")
    place, server = await bench(explorer([*LOOKS, cut, json_block({"questions": [SPREAD]})]))
    batch = await explored(place, asking, most=3)
    assert len(batch.questions) == 3
    assert "what came after question 2 is lost" in server.asks[-1].last


async def test_a_model_that_only_talks_is_left_after_a_while(bench: Bench, asking: Asking) -> None:
    place, server = await bench(explorer(["Let me think about it."]))
    batch = await explored(place, asking)
    assert batch.questions == ()
    assert batch.explorations[0].ended_by == "rejection_limit"
    assert server.tally.asked.total() == asking.trace.max_rejected + 1


async def test_a_model_that_repeats_itself_is_left_after_a_while(bench: Bench, asking: Asking) -> None:
    place, _ = await bench(explorer([*LOOKS, json_block({"questions": [MISSING]})]))
    batch = await explored(place, asking)
    (exploration,) = batch.explorations
    assert len(batch.questions) == 1
    assert reasons(batch) == ["duplicate"] * FRUITLESS
    assert exploration.ended_by == "nothing_more"
    assert len(exploration.turns) < asking.turns


async def test_native_calls_act_and_propose(bench: Bench, asking: Asking) -> None:
    def behave(ask: Ask) -> Answer:
        turn = turn_of(ask)
        if turn <= 2:
            return Answer(content="", tool_calls=(("run_python", json.dumps({"code": "print(len(df))"})),))
        return Answer(content="", tool_calls=(("propose_questions", json.dumps({"questions": [MISSING]})),))

    by_tool = asking.model_copy(update={"trace": asking.trace.model_copy(update={"act": "tool"})})
    place, server = await bench(behave)
    batch = await explored(place, by_tool, most=1)
    assert len(batch.questions) == 1
    assert {tool["function"]["name"] for tool in server.asks[0].body["tools"]} == {"run_python", "propose_questions"}


async def test_many_questions_take_several_explorations_and_each_is_kept_once(bench: Bench, asking: Asking) -> None:
    place, server = await bench(explorer([*LOOKS, json_block({"questions": [MEAN_TALL, MISSING]})]))
    batch = await explored(place, asking.model_copy(update={"at_once": 2}), most=4)
    assert len(batch.explorations) == 2
    assert [each.text for each in batch.questions] == [MEAN_TALL["question"], MISSING["question"]]
    assert reasons(batch) == ["duplicate", "duplicate"]
    first = {ask.messages[1]["content"] for ask in server.asks if turn_of(ask) == 1}
    assert len(first) == 2, "each has another focus"


async def test_run_again_the_journal_answers_everything(bench: Bench, asking: Asking) -> None:
    place, server = await bench(explorer([*LOOKS, json_block({"questions": [MEAN_TALL, MISSING]})]))
    once = await explored(place, asking)
    asked = server.tally.asked.total()
    again = await explored(place, asking)
    assert server.tally.asked.total() == asked
    assert again.questions == once.questions
    assert again.explorations[0].usage.replayed == 3


async def test_a_wrong_key_is_raised_as_it_is(bench: Bench, asking: Asking) -> None:
    place, _ = await bench(lambda _: error(401))
    with pytest.raises(WrongKey):
        await explored(place, asking)


NGINX = error(413, "<html><h1>413 Request Entity Too Large</h1></html>")
OVERFLOW = error(400, {"error": {"message": "prompt is too long: 213462 tokens > 200000 maximum"}})


@pytest.mark.parametrize("refusal", [NGINX, OVERFLOW])
async def test_a_conversation_that_is_too_long_goes_on_with_its_latest_turns(
    bench: Bench, asking: Asking, refusal: Answer
) -> None:
    def behave(ask: Ask) -> Answer:
        if len(ask.messages) > 5:
            return refusal
        ran = [number for number in (1, 2) if f"look {number}" in str(ask.messages[2:])]
        if 2 in ran:
            return Answer(content=json_block({"questions": [MEAN_TALL, MISSING]}))
        return Answer(content=code_block(f"print('look {len(ran) + 1}')"))

    place, server = await bench(behave)
    batch = await explored(place, asking)
    assert len(batch.questions) == 2
    assert [len(ask.messages) for ask in server.asks] == [2, 4, 6, 4]


@pytest.mark.parametrize(("refusal", "kind"), [(NGINX, RequestTooLarge), (OVERFLOW, ContextOverflow)])
@pytest.mark.parametrize("turns", [0, 2])
async def test_what_a_server_refuses_makes_no_batch(
    bench: Bench, asking: Asking, refusal: Answer, kind: type[ChatError], turns: int
) -> None:
    """A batch without questions would be kept as all that the model had to say."""
    looked: set[str] = set()

    def behave(ask: Ask) -> Answer:
        if len(looked) < turns:
            looked.add(ask.key)
            return Answer(content=LOOKS[0])
        return refusal

    place, _ = await bench(behave)
    with pytest.raises(kind, match=r"413 Request Entity Too Large|213462 tokens"):
        await explored(place, asking)
