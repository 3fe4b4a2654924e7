"""Rows of an experiment: asked at the right place, in the right number, kept as they end, completed by the next run."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from blocks.chat.adaptive import FIRST
from blocks.errors import UserError
from flows.matrix import refreshing
from flows.matrix.records import Result
from flows.matrix.store import RowStore
from tests.support.experiments import Bench
from tests.support.model_answers import Answer, Ask, error, in_turn
from tests.support.model_server import ModelServer
from tests.support.waiting import until


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(lambda ask: Answer(content=f"about {ask.last}")) as server:
        yield server


def on(server: ModelServer, **options: object) -> dict[str, Any]:
    return {"base_url": server.base_url, **options}


async def test_columns_are_the_references_first_then_ours(bench: Bench) -> None:
    bench.experiments("provider,model,topic,tone", "mock,mock,rivers,calm")
    report = await bench.run()
    assert bench.output.read_text().splitlines()[0] == (
        "provider,model,topic,tone,status,input_tokens,context_window,output_tokens,output,error_message,latency_s,"
        "finish_reason,prompt_tokens,completion_tokens,cost_usd,attempts,started_at,row,call_key"
    )
    (row,) = bench.rows()
    assert (row["status"], row["row"], row["finish_reason"], row["context_window"]) == ("ok", "1", "stop", "32768")
    assert len(row["call_key"]) == 64
    assert row["started_at"].endswith("+00:00")
    assert (report.exit_code, report.sentence()) == (0, "1 row: 1 ok")


async def test_the_same_call_has_the_same_answer_and_another_one_another(bench: Bench, tmp_path: Path) -> None:
    bench.experiments("provider,model,topic", "mock,mock,rivers", "mock,mock,hills")
    await bench.run()
    first = bench.output.read_bytes()
    await bench.run(inputs=bench.inputs(output="again.csv"))
    assert (tmp_path / "again.csv").read_bytes() == first, "all of it, times included, comes from the journal"
    assert len({row["output"] for row in bench.rows()}) == 2


async def test_a_row_is_on_disk_as_soon_as_it_ends(bench: Bench) -> None:
    """One row answers at once, the other not before the first is seen in the file."""
    gone_on = threading.Event()

    async def behave(ask: Ask) -> Answer:
        if "slow" in ask.last:
            await until(gone_on.is_set)
        return Answer(content="done")

    bench.experiments("provider,model,topic", "compatible,m,slow", "compatible,m,quick")
    with ModelServer(behave) as server:
        running = asyncio.create_task(bench.run(**on(server)))
        await until(lambda: running.done() or bool(bench.lines()))
        lines = bench.lines()
        gone_on.set()
        await running
    assert [(line["row"], line["output"]) for line in lines] == [(2, "done")]
    assert [row["row"] for row in bench.rows()] == ["1", "2"], "the table is in the order of the experiments"
    await bench.run(**on(server), order="finished")
    assert sorted(row["row"] for row in bench.rows()) == ["1", "2"]


async def test_an_interrupted_run_has_written_what_it_had(bench: Bench) -> None:
    bench.experiments("provider,model,topic", "compatible,m,stall", "compatible,m,quick")
    with ModelServer(lambda ask: Answer(stall="stall" in ask.last)) as server:
        running = asyncio.create_task(bench.run(**on(server)))
        await until(lambda: bool(bench.lines()))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [(row["row"], row["status"]) for row in bench.rows()] == [("2", "ok")]


class Held:
    """A behaviour that answers at once, but for the calls that say `held`: those wait."""

    def __init__(self) -> None:
        self.released = False

    async def __call__(self, ask: Ask) -> Answer:
        if "held" in ask.last:
            await until(lambda: self.released)
        return Answer(content=json.dumps({"about": ask.last}))


async def test_the_table_grows_while_rows_are_asked(bench: Bench) -> None:
    bench.experiments("provider,model,topic", *(f"compatible,m,{topic}" for topic in ("a", "held", "b")))
    held = Held()
    with ModelServer(held) as server:
        running = asyncio.create_task(bench.run(**on(server, flatten=True)))
        await until(lambda: bench.output.exists() and len(bench.rows()) == 2)
        assert not running.done()
        assert [(row["row"], row["about"][-2:]) for row in bench.rows()] == [("1", "a."), ("3", "b.")]
        held.released = True
        await running
    assert [row["row"] for row in bench.rows()] == ["1", "2", "3"]


async def test_the_table_of_an_earlier_run_stays_until_there_is_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = ["a", "b", "c"]
    bench.experiments("provider,model,topic", *(f"compatible,m,{topic}" for topic in topics))
    held = Held()
    with ModelServer(held) as server:
        await bench.run(**on(server))
        monkeypatch.setattr(refreshing, "PAUSE_S", 0.001)
        earlier = bench.output.read_bytes()
        bench.experiments("provider,model,topic", *(f"compatible,m,{topic}" for topic in ["a", "held", *topics[1:]]))
        running = asyncio.create_task(bench.run(**on(server, sequential=True)))
        await until(lambda: len(server.asks) == 4)
        await asyncio.sleep(0.3)
        assert bench.output.read_bytes() == earlier, "one row is known by now, and the table has three"
        held.released = True
        await running
    assert len(bench.rows()) == 4


async def test_a_table_that_cannot_be_written_on_the_way_is_told_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "PAUSE_S", 0.001)
    bench.experiments("provider,model,topic", *(f"compatible,m,{topic}" for topic in ("a", "held", "b", "c")))
    bench.output.with_name("results.csv.rows.jsonl").touch()
    bench.output.mkdir()
    held = Held()
    with ModelServer(held) as server:
        running = asyncio.create_task(bench.run(**on(server)))
        # There may be other warnings: a busy server's list of models comes too late.
        await until(lambda: any("results.csv" in each for each in bench.warnings) and len(bench.lines()) == 3)
        bench.output.rmdir()
        held.released = True
        report = await running
    (warning,) = [each for each in bench.warnings if "results.csv" in each]
    assert "results.csv cannot be written: Is a directory." in warning
    assert report.ok == len(bench.rows()) == 4


async def test_a_row_that_reaches_the_disk_while_the_run_is_cancelled_is_in_the_table(tmp_path: Path) -> None:
    rows = [Result(row=number, provider="p", model="m", variables={}, status="ok") for number in (1, 2)]
    with RowStore(tmp_path / "rows.jsonl") as store:
        store.prepare(len(rows))
        adding = [asyncio.create_task(store.add(row)) for row in rows]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while not store.path.stat().st_size:
            time.sleep(0.001)  # noqa: ASYNC251 (the thread writes, and the event loop does not see it yet)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await store.settle()
        assert [store.result(row) for row in store.ended()] == rows
        assert [task.cancelled() for task in adding] == [True, True]


async def test_a_row_of_a_newer_version_is_told_and_left_and_the_others_go_on(
    bench: Bench, server: ModelServer
) -> None:
    bench.experiments("provider,model,topic", *(f"compatible,m,t{n}" for n in range(3)))
    await bench.run(**on(server))
    path = bench.folder / "results.csv.rows.jsonl"
    first, *rest = path.read_bytes().splitlines(keepends=True)
    odd = {**json.loads(rest[0]), "variables": ["in another form"]}
    newer = {**json.loads(first), "schema_version": 2, "moods": ["calm"]}
    path.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in (newer, odd)) + b"".join(rest[1:]))
    before = path.read_bytes()
    report = await bench.run(**on(server))
    assert (report.ok, report.left_out, report.exit_code) == (3, 1, 1)
    assert path.read_bytes().startswith(before)
    assert any("newer Trigpoint (schema version 2)" in note for note in bench.notes)
    assert len(bench.rows()) == 3


async def test_a_rerun_asks_only_what_is_missing_or_failed(bench: Bench, server: ModelServer) -> None:
    bench.experiments("provider,model,topic", *(f"compatible,m,t{n}" for n in range(6)))
    server.behave = lambda ask: error(400) if "t2" in ask.last else Answer(content=ask.last)
    report = await bench.run(**on(server))
    assert (report.ok, report.error, report.exit_code) == (5, 1, 1)
    server.behave = lambda ask: Answer(content="second try")
    bench.experiments("provider,model,topic", "compatible,m,new", *(f"compatible,m,t{n}" for n in range(6)))
    before = len(server.asks)
    report = await bench.run(**on(server))
    assert len(server.asks) - before == 2, "the row that failed and the new one"
    assert (report.ok, report.earlier, report.exit_code) == (7, 5, 0)
    assert [row["output"] for row in bench.rows()] == [
        "second try", *(f"Say something about t{n}." if n != 2 else "second try" for n in range(6))
    ]  # fmt: skip
    assert [row["row"] for row in bench.rows()] == [str(n) for n in range(1, 8)], "numbers are those of the table now"


async def test_a_torn_last_line_is_cut_off(bench: Bench) -> None:
    bench.experiments("provider,model,topic", "mock,mock,a", "mock,mock,b")
    await bench.run()
    table, path = bench.output.read_bytes(), bench.folder / "results.csv.rows.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    report = await bench.run()
    assert (report.earlier, bench.output.read_bytes()) == (1, table)
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


async def test_repeated_rows_are_independent_samples(bench: Bench, server: ModelServer) -> None:
    bench.experiments("provider,model,topic", *["compatible,m,same"] * 3, "compatible,m,other")
    await bench.run(**on(server))
    assert len(server.asks) == 4
    assert len({row["call_key"] for row in bench.rows()}) == 4
    await bench.run(**on(server))
    assert len(server.asks) == 4, "each is known again"
    await bench.run(**on(server), sample=3)
    assert len(server.asks) == 8, "another sample is asked"


async def test_rows_that_differ_only_in_what_is_not_sent_are_samples_too(bench: Bench, server: ModelServer) -> None:
    bench.experiments("provider,model,topic,run", *(f"compatible,m,same,{n}" for n in range(3)))
    await bench.run(**on(server))
    assert len(server.asks) == 3
    bench.experiments("provider,model,topic,run", *(f"compatible,m,same,again {n}" for n in range(3)))
    report = await bench.run(**on(server))
    assert (len(server.asks), report.earlier) == (3, 3), "the same calls"
    assert [row["run"] for row in bench.rows()] == [f"again {n}" for n in range(3)], "under the rows' own variables"


async def test_one_failure_never_stops_another(bench: Bench, server: ModelServer) -> None:
    """Unknown provider, no model, a bad number, a refusal: a sentence each, and the others are asked."""
    server.behave = lambda ask: error(400, "no such thing") if "bad" in ask.last else Answer(content="fine")
    bench.experiments(
        "provider,model,topic,temperature",
        "nope,m,x,", ",m,x,", "compatible,,x,", "compatible,m,x,hot", "compatible,m,x,7", "compatible,m,bad,",
        "compatible,m,good,0.5",
    )  # fmt: skip
    report = await bench.run(**on(server))
    said = [row["error_message"] for row in bench.rows()]
    assert "Unknown provider: 'nope' is no provider" in said[0]
    assert "names no provider" in said[1]
    assert "names no model" in said[2]
    assert "temperature cannot be 'hot'" in said[3]
    assert "temperature cannot be 7.0" in said[4]
    assert "no such thing" in said[5]
    assert [row["status"] for row in bench.rows()] == ["error"] * 6 + ["ok"]
    assert (report.exit_code, report.error) == (1, 6)
    assert all("NoneType" not in each for each in said)


async def test_rate_limits_and_failures_that_pass_lose_no_row(bench: Bench, server: ModelServer) -> None:
    limited = error(429, {"error": {"message": "slow down"}}, headers={"Retry-After": "0"})
    server.behave = in_turn(limited, Answer(content="late"))
    bench.experiments("provider,model,topic", *(f"compatible,m,t{n}" for n in range(4)))
    report = await bench.run(**on(server))
    assert (report.ok, report.error) == (4, 0)
    assert {row["attempts"] for row in bench.rows()} == {"2"}


async def test_a_model_that_cannot_be_asked_is_asked_once(bench: Bench, server: ModelServer) -> None:
    """A wrong key fails every row of its model, and costs one request, not one for each row."""
    server.behave = lambda ask: error(401) if ask.body["model"] == "locked" else Answer(content="fine")
    bench.experiments(
        "provider,model,topic", *(f"compatible,locked,t{n}" for n in range(20)), "compatible,open,t"
    )  # fmt: skip
    report = await bench.run(**on(server), compatible_concurrency=1)
    assert Counter(ask.body["model"] for ask in server.asks) == {"locked": 1, "open": 1}
    assert (report.error, report.ok) == (20, 1)
    assert "Not sent, as an earlier row" in bench.rows()[19]["error_message"]


async def test_all_rows_share_connections(bench: Bench, server: ModelServer) -> None:
    bench.experiments("provider,model,topic", *(f"compatible,m{n % 3},t{n}" for n in range(60)))
    await bench.run(**on(server), compatible_concurrency=4)
    assert len(server.asks) == 60
    assert server.connections <= 8, "a pool of the process, not a session for each request"


async def test_sampling_columns_reach_the_api_and_nothing_else_does(bench: Bench, server: ModelServer) -> None:
    bench.prompt("{{topic}} {{temperature}}")
    bench.experiments(
        "provider,model,topic,temperature,max_tokens,seed,top_p,stop,top_k,reasoning_effort",
        'compatible,m,x,0.25,77,5,0.9,"[""END"",""STOP""]",40,low',
        "compatible,m,y,,,,,,,",
    )
    await bench.run(**on(server), max_tokens=55)
    full, empty = sorted((ask.body for ask in server.asks), key=len, reverse=True)
    assert full["messages"] == [{"role": "user", "content": "x 0.25"}], "they are variables as well"
    given = {name: value for name, value in full.items() if name not in {"model", "messages"}}
    assert given == {
        "temperature": 0.25, "max_tokens": 77, "seed": 5, "top_p": 0.9, "stop": ["END", "STOP"], "top_k": 40,
        "reasoning_effort": "low",
    }  # fmt: skip
    assert {name: empty[name] for name in empty if name not in {"model", "messages"}} == {"max_tokens": 55}


async def test_a_column_may_be_a_variable_only(bench: Bench, server: ModelServer) -> None:
    bench.prompt("{{seed}}")
    bench.experiments("provider,model,seed", "compatible,m,of doubt")
    report = await bench.run(**on(server))
    assert "--plain seed" in report.messages[0][0]
    await bench.run(**on(server), plain=("seed",))
    assert server.asks[-1].last == "of doubt"
    assert "seed" not in server.asks[-1].body


async def test_the_openai_base_url_is_heeded(
    bench: Bench, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OLLAMA_HOST", server.ollama_url)
    bench.experiments("provider,model,topic", "openai,gpt,a", "ollama,llama,b")
    report = await bench.run()
    assert report.ok == 2
    assert {ask.dialect for ask in server.asks} == {"openai", "ollama"}


async def test_a_missing_key_is_said_in_each_row(bench: Bench) -> None:
    bench.experiments("provider,model,topic", "openrouter,a/b,x", "openai,gpt,y", "compatible,m,z")
    report = await bench.run()
    said = [row["error_message"] for row in bench.rows()]
    assert "OPENROUTER_API_KEY is not set" in said[0]
    assert "OPENAI_API_KEY is not set" in said[1]
    assert "--base-url" in said[2]
    assert report.exit_code == 2


class Gauge:
    """A behaviour that counts, by model, how many calls are under way at once.

    Args:
        most: How many there should be; they stay until that many have come, whatever the machine takes for it. The
            first stay until there are as many as a client dares to send before it has any answer.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.calls = 0
        self.now: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()

    async def __call__(self, ask: Ask) -> Answer:
        names = (str(ask.body["model"]), "all")
        self.now.update(names)
        self.calls += 1
        dared = 1 + FIRST  # One of the model that is asked one by one.
        awaited = min(self.most, dared) if self.calls <= dared else self.most
        for name in names:
            self.peak[name] = max(self.peak[name], self.now[name])
        try:
            await until(lambda: self.peak["all"] >= min(awaited, self.most), 60)
        except TimeoutError:
            self.most = 0  # What is asserted tells; the other calls need not wait as well.
        await asyncio.sleep(0.02)
        self.now.subtract(names)
        return Answer(content="ok")


async def test_limits_hold_for_each_provider_and_for_all(
    bench: Bench, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.ollama_url)
    rows = [f"ollama,one,t{n}" for n in range(4)] + [f"compatible,two,t{n}" for n in range(30)]
    bench.experiments("provider,model,topic", *rows)
    server.behave = gauge = Gauge(6)
    report = await bench.run(**on(server), compatible_concurrency=5)
    assert report.ok == 34
    assert gauge.peak == {"one": 1, "two": 5, "all": 6}, "each as many as it may, side by side"
    server.behave = gauge = Gauge(3)
    await bench.run(**on(server), compatible_concurrency=5, max_concurrent=3, sample=1)
    assert gauge.peak["all"] == 3
    server.behave = gauge = Gauge(1)
    await bench.run(**on(server), sequential=True, sample=2)
    assert gauge.peak["all"] == 1
    assert [ask.last[-3:] for ask in server.asks[-34:]] == [f"{row[-2:]}." for row in rows], "in their order"


async def test_a_slow_provider_keeps_no_other_waiting(
    bench: Bench, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows of the slow one come first, and it answers none before the others are done."""
    monkeypatch.setenv("OLLAMA_HOST", server.ollama_url)
    quick = 0

    async def behave(ask: Ask) -> Answer:
        nonlocal quick
        quick += ask.dialect == "openai"
        if ask.dialect == "ollama":
            await until(lambda: quick == 20)
        return Answer(content="ok")

    server.behave = behave
    rows = [f"ollama,slow,t{n}" for n in range(5)] + [f"compatible,quick,t{n}" for n in range(20)]
    bench.experiments("provider,model,topic", *rows)
    report = await asyncio.wait_for(bench.run(**on(server), max_concurrent=4), 60)
    assert report.ok == 25


async def test_a_table_that_is_not_ours_is_never_overwritten(bench: Bench) -> None:
    bench.experiments("provider,model,topic", "mock,mock,x")
    bench.file("results.csv", "precious\n")
    with pytest.raises(UserError, match="--fresh, which sets it aside"):
        await bench.run()
    assert bench.output.read_text() == "precious\n"
    await bench.run(fresh=True)
    (kept,) = bench.folder.glob("results.csv.replaced-*")
    assert kept.read_text() == "precious\n"
    assert any(str(kept.name) in note for note in bench.notes), "it is said what went where"
    await bench.run(fresh=True)
    assert len(list(bench.folder.glob("results.csv.rows.jsonl.replaced-*"))) == 1


async def test_two_runs_at_once_do_not_write_one_file(bench: Bench) -> None:
    bench.experiments("provider,model,topic", "compatible,m,x")
    asked: list[Ask] = []

    def behave(ask: Ask) -> Answer:
        asked.append(ask)
        return Answer(stall=len(asked) == 1)

    with ModelServer(behave) as server:
        first = asyncio.create_task(bench.run(**on(server)))
        await until(lambda: bool(server.asks))
        second = asyncio.create_task(bench.run(**on(server)))
        await until(lambda: any("wait" in each.lower() for each in bench.warnings))
        assert len(server.asks) == 1
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await second).exit_code == 0
        assert len(server.asks) == 2


async def test_what_a_run_holds_does_not_grow_with_its_rows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A little of what the benchmark `test_experiment` does with as many rows as one likes."""
    monkeypatch.setattr(refreshing, "PAUSE_S", 3600)  # A table that is being written holds a file now and then.
    rows, apart = 1200, 60
    bench.experiments("provider,model,topic", *(f"mock,m{n % 3},topic {n}" for n in range(rows)))
    seen: list[tuple[int, int, int]] = []
    ended = 0

    def look(result: Result | None) -> None:
        nonlocal ended
        ended += 1
        if ended % apart == 0:
            gc.collect()
            seen.append((sys.getallocatedblocks(), process.num_fds(), len(asyncio.all_tasks())))

    process = psutil.Process()
    report = await bench.run(look, mock_concurrency=20)
    assert report.ok == rows
    blocks = [each[0] for each in seen]
    third = len(blocks) // 3
    # One look finds a thousand more or less, by where the calls under way stand; their medians do not.
    grown = statistics.median(blocks[-third:]) - statistics.median(blocks[:third])
    assert grown < (len(blocks) - third) * apart * 3, "a result alone, kept for each row, would be dozens of objects"
    assert len({each[1] for each in seen}) == 1
    assert max(each[2] for each in seen) <= 20 + 6, "workers and a few of the run itself"


async def test_a_budget_ends_the_asking_and_the_next_run_goes_on(bench: Bench, server: ModelServer) -> None:
    bench.experiments("provider,model,topic", *(f"compatible,m,topic {n}" for n in range(9)))
    report = await bench.run(**on(server, budget_requests=4, sequential=True))
    assert Counter(row["status"] for row in bench.rows()) == {"ok": 4, "error": 5}
    assert sum(server.tally.asked.values()) == 4, "to the request"
    assert report.exit_code == 1
    assert "The budget of this run is spent" in bench.rows()[4]["error_message"]

    await bench.run(**on(server, budget_requests=100))
    assert {row["status"] for row in bench.rows()} == {"ok"}
    assert sum(server.tally.asked.values()) == 9, "what was answered was not asked again"
