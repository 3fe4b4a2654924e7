"""Which candidates become questions: programs run in real sessions on a small table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from blocks.sandboxes import ProcessRuntime, Sandbox, SandboxLimits, Session
from flows.answers.answers import parse_reference
from flows.answers.comparator import compare
from flows.questions.candidates import Candidate
from flows.questions.proving import Bars, OpenRuns, Refusal, prove
from flows.questions.records import AnswerSpec, Question

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "0" * 64
BARS = Bars(min_rows=3, min_group=2)
FLOAT = AnswerSpec(type="float", decimals=2)


def candidate(program: str, answer: AnswerSpec = FLOAT, **facts: Any) -> Candidate:
    base: dict[str, Any] = {
        "name": "a(x)", "source": "program", "text": "How much?", "difficulty": "easy", "n_steps": 1,
    }  # fmt: skip
    return Candidate(program=program, answer=answer, **{**base, **facts})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    path.write_text("g,x\n" + "".join(f"{'ab'[n % 2]},{n}\n" for n in range(40)))
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_session(table: Path) -> AsyncIterator[OpenRuns]:
    async with await Sandbox.open(ProcessRuntime(), table, limits=SandboxLimits(preload="tables")) as sandbox:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Session]:
            async with await sandbox.session() as session:
                yield session

        yield opened


async def refusal(open_session: OpenRuns, made: Candidate, bars: Bars = BARS) -> str:
    outcome = await prove(made, open_session, KEY, bars)
    assert isinstance(outcome, Refusal), outcome
    assert (outcome.name, outcome.source) == (made.name, made.source)
    return f"{outcome.reason}: {outcome.detail}"


async def test_a_proven_candidate_is_a_question_with_its_truth(open_session: OpenRuns) -> None:
    made = candidate(
        "mean = df['x'].mean()\nsubmit(round(mean, 2))",
        probe="submit({'rows': len(df), 'margin': 0.5, 'p_value': 0.01, 'smallest_group': 20})",
        alternatives=("submit(round(df['x'].mean(), 2) + 1)", "submit(round(df['x'].mean(), 2))"),
        interest=2.5,
        tags=("mean",),
        provenance={"operators": ["mean"]},
    )
    outcome = await prove(made, open_session, KEY, BARS)
    assert isinstance(outcome, Question)
    assert (outcome.ground_truth, outcome.alternatives) == (19.5, (20.5,))
    assert outcome.dataset_key == KEY
    assert outcome.provenance["operators"] == ["mean"]
    assert outcome.provenance["facts"] == {"rows": 40, "margin": 0.5, "p_value": 0.01, "smallest_group": 20}
    again = await prove(made, open_session, KEY, BARS)
    assert again == outcome, "the same candidate is the same question"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("submit(df['nope'].mean())", "failed: the program ended with KeyError"),
        ("x = 1", "no_answer: the program submitted nothing"),
        ("submit(float('nan'))", "no_answer: "),
        ("submit('text')", "no_answer: "),
        ("import time; submit(time.time())", "not_reproduced: "),
        ("submit(float(df['x'].iloc[1]))", "row_order: "),
        ("submit(0.0)", "facts: its answer is 0"),
        ("submit(1e-17)", "facts: its answer is "),
    ],
)
async def test_what_cannot_be_trusted_is_refused(open_session: OpenRuns, program: str, said: str) -> None:
    assert (await refusal(open_session, candidate(program))).startswith(said)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ("{'rows': 2}", "rests on 2 rows"),
        ("{'smallest_group': 1}", "smallest group has 1"),
        ("{'margin': 0.001}", "differ by 0.001"),
        ("{'p_value': 0.2}", "p-value is 0.2"),
        ("{'trivial': True}", "says nothing"),
        ("{'margin': float('nan')}", "facts: on this table it has no margin"),
        ("{'margin': -1.0}", "failed: the probe's margin"),
        ("{'colour': 1}", "the probe's colour"),
        ("1", "no mapping"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
async def test_the_probe_decides(open_session: OpenRuns, facts: str, said: str) -> None:
    assert said in await refusal(open_session, candidate("submit(1.0)", probe=f"submit({facts})"))


async def test_a_guard_comes_before_the_program(open_session: OpenRuns) -> None:
    """What has no answer on this table is no failure."""
    made = candidate(
        "submit(float(df[df['x'] > 99]['x'].idxmax()))", guards=("submit({'rows': len(df[df['x'] > 99])})",)
    )
    assert await refusal(open_session, made) == "facts: it rests on 0 rows, fewer than 3"
    fine = candidate("submit(round(df['x'].mean(), 2))", guards=("submit({'rows': len(df)})",))
    assert isinstance(await prove(fine, open_session, KEY, BARS), Question)


async def test_an_endless_program_costs_its_time_and_no_more(open_session: OpenRuns) -> None:
    bars = BARS.model_copy(update={"timeout_s": 0.5})
    assert "failed" in await refusal(open_session, candidate("while True: pass"), bars)
    assert isinstance(await prove(candidate("submit(1.0)"), open_session, KEY, BARS), Question)


@pytest.mark.parametrize("value", ["[]", "list(range(61))"])
async def test_an_answer_is_neither_empty_nor_endless(open_session: OpenRuns, value: str) -> None:
    made = candidate(f"submit({value})", AnswerSpec(type="list", items="int"))
    assert (await refusal(open_session, made)).split(":")[0] in ("no_answer", "facts")


@pytest.mark.parametrize(
    ("value", "places", "words"),
    [
        ("19.5", 2, "2 decimal places"),
        ("0.0123456", 4, "4 decimal places"),
        ("0.000123456", 6, "6 decimal places"),
        ("-0.06", 4, "4 decimal places"),
        ("0.5", 3, "3 decimal places"),
    ],
)
async def test_decimals_are_those_that_the_answer_needs(
    open_session: OpenRuns, value: str, places: int, words: str
) -> None:
    made = candidate(f"submit({value})", text="How much? Round to 2 decimal places.")
    outcome = await prove(made, open_session, KEY, BARS)
    assert isinstance(outcome, Question)
    assert outcome.answer.decimals == places
    assert outcome.text == f"How much? Round to {words}."
    assert outcome.ground_truth == float(value), "written down unrounded"


async def test_either_rounding_of_a_tie_is_right(open_session: OpenRuns) -> None:
    outcome = await prove(candidate("submit(0.125 * 5)"), open_session, KEY, BARS)
    assert isinstance(outcome, Question)
    truth = parse_reference(outcome.ground_truth, FLOAT)
    for given, right in ((0.62, True), (0.63, True), (0.625, True), (0.61, False), (0.64, False)):
        assert compare(truth, parse_reference(given, FLOAT), FLOAT).equal is right


async def test_order_may_matter_where_the_question_says_so(open_session: OpenRuns) -> None:
    made = candidate("submit(float(df['x'].iloc[1]))", row_order_matters=True)
    outcome = await prove(made, open_session, KEY, BARS)
    assert isinstance(outcome, Question)
    assert outcome.ground_truth == 1.0


async def test_a_program_that_changes_df_never_changes_anothers_answer(open_session: OpenRuns) -> None:
    vandals = [
        "df['x'] = 0\nsubmit(float(df['x'].sum()))",
        "df.drop(df.index, inplace=True)\nsubmit(float(len(df)))",
        "df = df[df['x'] > 20]\ndf.loc[:, 'g'] = 'z'\nsubmit(float(len(df)))",
        "pd.DataFrame.mean = None\npd.Series.mean = lambda self: -1.0\nsubmit(df['x'].mean())",
    ]
    honest = candidate("submit(round(df['x'].mean(), 2))")
    alone = await prove(honest, open_session, KEY, BARS)
    assert isinstance(alone, Question)
    for code in vandals:
        await prove(candidate(code), open_session, KEY, BARS)
        assert await prove(honest, open_session, KEY, BARS) == alone
