"""The work on a dataset in a night: what is started, with how much, and what is left alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks.chat.outages import Outage
from blocks.specs import Outcome
from flows.generation.options import QuestionOptions
from flows.nights.allowance import Allowance
from flows.nights.options import NightlyOptions
from flows.nights.report import NightReport, NightRow
from flows.nights.shift import Shift
from flows.questions.files import read_questions
from flows.runs.options import ModelOptions
from flows.sharing.share import HomeShare
from flows.tables.dataset import read_dataset
from flows.verification.options import EpisodeOptions
from tests.support.dataset_files import file_of
from tests.support.waiting import SECONDS, until

BUILD = "a build"


class Flows:
    """Stand-ins of the two flows: they leave the files that the real ones leave."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.started: list[tuple[str, str, int | None]] = []
        self.outcomes: dict[str, Outcome] = {}
        self.crashes_left = self.before_crash = 0

    async def __call__(self, flow: str, slug: str, path: str, options: QuestionOptions | EpisodeOptions, /) -> Outcome:
        most = options.most_questions if isinstance(options, EpisodeOptions) else None
        self.started.append((flow, slug, most))
        await asyncio.sleep(0.01)
        outcome = self.outcomes.get(f"{flow} {slug}") or Outcome("completed", f"{flow} done")
        if outcome.state == "completed":
            self._write_questions(slug) if flow == "question" else self._answer(slug, path, most or 0)
        if outcome.state == "crashed" and flow == "episode":
            self._answer(slug, path, self.before_crash)
        if self.crashes_left:
            self.crashes_left -= 1
            if not self.crashes_left:
                self.outcomes.clear()
        return outcome

    def _write_questions(self, slug: str) -> None:
        (self.home / "questions").mkdir(exist_ok=True)
        lines = [json.dumps({"id": f"q{n}", "text": f"How many of {n}?"}) + "\n" for n in range(3)]
        file_of(self.home / "questions", slug).write_text("".join(lines))

    def _answer(self, slug: str, path: str, most: int) -> None:
        (self.home / "episodes").mkdir(exist_ok=True)
        key = read_dataset(Path(path)).key
        file = file_of(self.home / "episodes", slug)
        before = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        answered = {line["question_key"] for line in before}
        asked = read_questions(file_of(self.home / "questions", slug)).questions
        fresh = [q for q in asked if q.key(key) not in answered][:most]
        lines = [
            {
                "episode_id": f"e-{q.key(key)}", "question": {"id": q.id}, "question_key": q.key(key),
                "dataset": {"key": key},
                "verdict": {"verdict": "verified" if n % 2 == 0 else "mismatch"},
            }
            for n, q in enumerate(fresh)
        ]  # fmt: skip
        with file.open("a") as handle:
            handle.writelines(json.dumps(line) + "\n" for line in lines)


def put(home: Path, *slugs: str) -> None:
    for slug in slugs:
        folder = home / "datasets" / slug
        folder.mkdir(parents=True)
        (folder / "data.csv").write_text(f"a,b\n1,{slug}\n")


class Model:
    """A model that is out of order while `down`, and what was said of it."""

    def __init__(self) -> None:
        self.down, self.told = False, list[str]()
        self.wait_s = 0.1

    def clock(self) -> float:
        """The window is over once it was said that the model is waited for."""
        return 2.0 if self.told else 0.0

    async def outage(self, asking: ModelOptions) -> Outage | None:
        """As the store would tell."""
        if not self.down or asking.model is None:
            return None
        since = datetime(2026, 1, 31, tzinfo=UTC)
        return Outage(
            endpoint="compatible",
            model="m",
            state="open",
            since=since,
            trips=1,
            reason="20 of 20 failed",
            wait_s=self.wait_s,
        )


async def night(
    flows: Flows, *slugs: str, build: str = BUILD, seconds: float = 60, model: str = "m",
    state: Model | None = None, question: QuestionOptions | None = None,
    clock: Callable[[], float] = time.monotonic, **options: int,
) -> dict[str, NightRow]:  # fmt: skip
    chosen = NightlyOptions.model_validate(options)
    allowance = Allowance(chosen.most_questions, seconds, clock=clock)
    episode = EpisodeOptions(model=model)
    share, state = HomeShare(None, flows.home), state or Model()
    shift = Shift(
        flows, state.outage, state.told.append, allowance, chosen, question or QuestionOptions(), episode,
        home=flows.home, build=build, share=share, logs=flows.home / "logs" / "r",
    )  # fmt: skip
    return {row.dataset: row for row in await asyncio.gather(*map(shift.work_on, slugs))}


async def test_a_note_of_a_newer_version_is_told_and_left_and_the_work_goes_on(tmp_path: Path) -> None:
    put(tmp_path, "alpha", "beta")
    note = tmp_path / "nights" / f"{read_dataset(tmp_path / 'datasets' / 'alpha').stem}.json"
    note.parent.mkdir()
    note.write_text('{"schema_version": 2, "questions": ["in another form"]}')
    before = note.read_bytes()
    rows = await night(Flows(tmp_path), "alpha", "beta")
    assert [rows[name].state for name in ("alpha", "beta")] == ["worked on", "worked on"]
    assert note.read_bytes() == before
    (problem,) = rows["alpha"].problems
    assert f"{note} was written by a newer Trigpoint (schema version 2)" in problem
    assert rows["beta"].problems == ()
    assert NightReport(run="r", rows=tuple(rows.values())).exit_code == 1


async def test_an_error_that_nobody_foresaw_costs_one_dataset_and_is_traced_in_its_log(tmp_path: Path) -> None:
    put(tmp_path, "alpha", "beta")
    flows = Flows(tmp_path)
    (tmp_path / "questions" / "alpha.jsonl" / "odd").mkdir(parents=True)
    rows = await night(flows, "alpha", "beta")
    assert (rows["alpha"].state, rows["beta"].state) == ("failed", "worked on")
    assert "alpha: IsADirectoryError" in rows["alpha"].detail
    assert "Traceback" in (tmp_path / "logs" / "r" / "alpha.log").read_text()


async def test_a_dataset_gets_questions_and_then_episodes(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    row = (await night(flows := Flows(tmp_path), "alpha"))["alpha"]
    assert flows.started == [("question", "alpha", None), ("episode", "alpha", 4)]
    assert (row.state, row.questions, row.asked, row.verified) == ("worked on", 3, 3, 2)
    assert row.detail == "episode done"


async def test_what_is_done_is_not_begun_again_until_something_changes(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    flows = Flows(tmp_path)
    await night(flows, "alpha")
    flows.started.clear()
    assert (await night(flows, "alpha"))["alpha"].state == "done before"
    assert flows.started == []
    await night(flows, "alpha", model="another")
    assert [flow for flow, *_ in flows.started] == ["episode"]
    flows.started.clear()
    await night(flows, "alpha", build="a later build")
    assert [flow for flow, *_ in flows.started] == ["question", "episode"]


async def test_where_the_code_is_not_known_the_flows_look_for_themselves(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    flows = Flows(tmp_path)
    await night(flows, "alpha", build="")
    row = (await night(flows, "alpha", build=""))["alpha"]
    assert (row.state, row.asked) == ("worked on", 0)
    assert len(flows.started) == 4


async def test_all_datasets_together_ask_no_more_than_the_night_may(tmp_path: Path) -> None:
    put(tmp_path, "alpha", "beta", "gamma", "delta")
    rows = await night(Flows(tmp_path), "alpha", "beta", "gamma", "delta", most_questions=7)
    assert sum(row.asked for row in rows.values()) == 7
    assert [row.detail for row in rows.values() if row.state == "not begun"] == ["the night's questions were used up"]
    again = await night(Flows(tmp_path), "alpha", "beta", "gamma", "delta")
    assert sum(row.asked for row in again.values()) == 5, "the next night asks the rest"


async def test_one_dataset_asks_no_more_than_its_share(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    flows = Flows(tmp_path)
    assert (await night(flows, "alpha", most_per_dataset=2))["alpha"].asked == 2
    assert (await night(flows, "alpha", most_per_dataset=2))["alpha"].asked == 1


async def test_after_the_window_nothing_is_begun(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    row = (await night(flows := Flows(tmp_path), "alpha", seconds=0))["alpha"]
    assert (row.state, row.detail, flows.started) == ("not begun", "the window had closed", [])


@pytest.mark.parametrize("flow", ["question", "episode"])
async def test_what_fails_is_told_and_costs_no_other(tmp_path: Path, flow: str) -> None:
    put(tmp_path, "alpha", "beta")
    flows = Flows(tmp_path)
    flows.outcomes[f"{flow} alpha"] = Outcome("failed", "the sandbox broke")
    rows = await night(flows, "alpha", "beta", "missing", most_questions=4)
    assert (rows["alpha"].state, rows["alpha"].detail) == ("failed", "the sandbox broke")
    assert (rows["beta"].state, rows["beta"].asked) == ("worked on", 3), "what the other was granted came back"
    assert rows["missing"].state == "failed"
    assert "does not exist" in rows["missing"].detail
    flows.outcomes.clear()
    assert (await night(flows, "alpha"))["alpha"].state == "worked on", "what failed is not done"


@pytest.mark.parametrize(("before", "left"), [(0, 4), (2, 2)])
async def test_a_flow_that_was_lost_is_started_again_with_what_is_left(tmp_path: Path, before: int, left: int) -> None:
    put(tmp_path, "alpha")
    flows = Flows(tmp_path)
    flows.outcomes = {f"{flow} alpha": Outcome("crashed", "its host is gone") for flow in ("question", "episode")}
    flows.crashes_left, flows.before_crash = 1, before
    row = (await night(flows, "alpha"))["alpha"]
    assert row.state == "worked on", "questions were lost once, and made then"
    flows.started.clear()

    put(tmp_path, "beta")
    flows.outcomes = {"episode beta": Outcome("crashed", "its host is gone")}
    flows.crashes_left = 1 + 1
    row = (await night(flows, "beta"))["beta"]
    assert flows.started == [("question", "beta", None), ("episode", "beta", 4), ("episode", "beta", left)]
    assert (row.state, row.asked) == ("worked on", 3)


async def test_a_flow_that_is_lost_each_time_is_given_up(tmp_path: Path) -> None:
    put(tmp_path, "alpha", "beta")
    flows = Flows(tmp_path)
    flows.outcomes["question alpha"] = Outcome("crashed", "its host is gone")
    row = (await night(flows, "alpha", crash_retries=2))["alpha"]
    assert (row.state, row.detail) == ("failed", "its host is gone")
    assert len(flows.started) == 3
    flows.started.clear()
    flows.outcomes["episode beta"] = Outcome("crashed", "its host is gone")
    flows.before_crash = 9
    row = (await night(flows, "beta"))["beta"]
    assert (row.state, row.asked, len(flows.started)) == ("failed", 3, 3)


async def test_while_the_model_is_out_of_order_the_others_are_prepared(tmp_path: Path) -> None:
    """One place only: it is given up by who waits, and nothing is asked before the model is back."""
    put(tmp_path, "alpha", "beta", "gamma")
    flows, state = Flows(tmp_path), Model()
    state.down = True
    running = asyncio.create_task(night(flows, "alpha", "beta", "gamma", state=state, parallel_datasets=1))
    await until(lambda: len(state.told) == 3)
    assert [flow for flow, *_ in flows.started] == ["question"] * 3
    assert state.told[0] == ("alpha waits: m at compatible is not asked for now: 20 of 20 failed; the next call tries.")
    state.down = False
    rows = await running
    assert sorted((flow, slug) for flow, slug, _ in flows.started[3:]) == [
        ("episode", slug) for slug in ("alpha", "beta", "gamma")
    ]
    assert {row.state for row in rows.values()} == {"worked on"}


async def test_what_an_outage_cut_off_is_taken_up_again_in_the_same_night(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    flows, state = Flows(tmp_path), Model()
    whole = flows._answer

    def cut_off(slug: str, path: str, most: int) -> None:
        first = not state.told and not (tmp_path / "episodes").exists()
        whole(slug, path, 1 if first else most)
        state.down = first

    flows._answer = cut_off  # type: ignore[method-assign]
    running = asyncio.create_task(night(flows, "alpha", state=state))
    await until(lambda: bool(state.told))
    state.down = False
    row = (await running)["alpha"]
    assert [most for flow, _, most in flows.started if flow == "episode"] == [4, 4]
    assert (row.state, row.asked, row.verified) == ("worked on", 3, 2), "of both times together"


async def test_a_model_that_does_not_come_back_leaves_the_rest_to_the_next_night(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    flows, state = Flows(tmp_path), Model()
    state.down = True
    row = (await night(flows, "alpha", state=state, seconds=1, clock=state.clock))["alpha"]
    assert (row.state, row.asked) == ("not begun", 0)
    assert "m at compatible is not asked for now" in row.detail
    assert [flow for flow, *_ in flows.started] == ["question"]


async def test_a_model_that_comes_back_after_the_window_is_not_waited_for(tmp_path: Path) -> None:
    """Its server has asked for ten hours, and the night has four: questions are made, and the night ends."""
    put(tmp_path, "alpha")
    flows, state = Flows(tmp_path), Model()
    state.down, state.wait_s = True, 36_000.0
    rows = await asyncio.wait_for(night(flows, "alpha", state=state, seconds=14_400), SECONDS)
    assert rows["alpha"].state == "not begun"
    assert "the next try is in 36000 s" in rows["alpha"].detail
    assert [told.startswith("alpha is left to the next night: m at compatible") for told in state.told] == [True]
    assert [flow for flow, *_ in flows.started] == ["question"]


async def test_questions_that_need_the_model_wait_for_it_too(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    flows, state = Flows(tmp_path), Model()
    state.down = True
    asking = QuestionOptions(source=("llm",), model="m")
    row = (await night(flows, "alpha", state=state, question=asking, seconds=1, clock=state.clock))["alpha"]
    assert (row.state, flows.started) == ("not begun", [])


async def test_a_run_that_nobody_took_up_is_not_a_failure(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    flows = Flows(tmp_path)
    flows.outcomes["question alpha"] = Outcome("not started", "no worker took it up before the window closed")
    row = (await night(flows, "alpha"))["alpha"]
    assert (row.state, row.detail) == ("not begun", "no worker took it up before the window closed")
    assert flows.started == [("question", "alpha", None)]
