"""What comes out: JSON in columns, CSV, JSON lines and Parquet, the comparison and its page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from blocks.errors import UserError
from flows.matrix.flattening import answer_fields
from flows.matrix.records import Result
from flows.matrix.report import MOST_SAMPLED, Comparison
from flows.matrix.samples import write_samples
from flows.matrix.side_by_side import MOST_CHARS
from tests.support.experiments import Bench
from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"
JSON = [
    '```json\n{"score": 1, "status": "mine", "topic": "theirs"}\n```',
    'Sure! Here it is: {"score": 2.5, "tags": ["a", "b"], "deep": {"er": {"x": null}}} Anything else?',
    '["only", "a list"]',
    "no JSON at all",
    '{"late": true, "score": "high"}',
]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    def behave(ask: Ask) -> Answer:
        number = int(ask.last.rpartition(" ")[2].rstrip("."))
        return Answer(content=JSON[number])

    with ModelServer(behave) as server:
        yield server


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        ('{"a": {"b": "c"}, "x": [1, 2]}', {"a_b": "c", "x_0": 1, "x_1": 2}),
        ('text ```\n{"a": 1}\n``` and {"b": 2}', {"a": 1}),
        ('```python\nprint({})\n```\nso: {"b": 2}', {"b": 2}),
        ('{broken {"a": 1}', {"a": 1}),
        ('{"a-b c": 1, "1st": 2, "": 3, "é!": 4}', {"a_b_c": 1, "_1st": 2, "field": 3, "é": 4}),
        ('{"x": [1,2,3,4,5,6,7,8,9,10,11,12]}', {f"x_{at}": at + 1 for at in range(10)}),
        ('{"a":{"b":{"c":{"d":{"e":{"f":{"g":1}}}}}}}', {"a_b_c_d_e_f": '{"g": 1}'}),
        ('{"e": [], "o": {}, "n": null}', {"e": "[]", "o": "{}", "n": None}),
        ("[1, 2]", {"items_0": 1, "items_1": 2}),
        ("see [1] and [2]", {"items_0": 1}),
        ("{" * 100_000, {}), ("[" * 100_000, {}), ("42", {}), ("", {}),
    ],
)  # fmt: skip
def test_json_is_found_and_flattened(answer: str, fields: dict[str, object]) -> None:
    assert answer_fields(answer) == fields


async def test_fields_of_later_rows_have_columns_too(bench: Bench, server: ModelServer) -> None:
    bench.experiments("provider,model,topic", *(f"compatible,m,{n}" for n in range(len(JSON))))
    await bench.run(base_url=server.base_url, flatten=True)
    first, second, third, fourth, fifth = bench.rows()
    names = list(first)
    assert names[:3] == ["provider", "model", "topic"]
    assert names[3:12] == [
        "score", "json_status", "json_topic", "tags_0", "tags_1", "deep_er_x", "items_0", "items_1", "late"
    ]  # fmt: skip
    assert names[12] == "status"
    assert (first["json_status"], first["json_topic"], first["topic"], first["status"]) == ("mine", "theirs", "0", "ok")
    assert (second["tags_1"], third["items_0"], fourth["score"], fifth["late"]) == ("b", "only", "", "True")
    before = len(server.asks)
    await bench.run(base_url=server.base_url)
    assert "late" not in bench.rows()[0], "the same answers, not looked into"
    assert len(server.asks) == before


async def test_a_variable_named_like_a_result_keeps_its_value(bench: Bench) -> None:
    bench.experiments("provider,model,output,row", "mock,mock,wanted,third")
    await bench.run()
    (row,) = bench.rows()
    assert (row["var_output"], row["var_row"], row["row"]) == ("wanted", "third", "1")
    assert row["output"].startswith("Mock answer")


async def test_csv_has_a_line_for_each_row_and_json_lines_keep_line_ends(bench: Bench) -> None:
    bench.prompt("first\nsecond ünï\r\nthird")
    bench.experiments("provider,model,topic", "mock,echo,x")
    await bench.run()
    assert len(bench.output.read_bytes().splitlines()) == 2
    assert bench.rows()[0]["output"] == "first second ünï third"
    await bench.run(inputs=bench.inputs(output="results.jsonl"))
    (line,) = (bench.folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["output"] == "first\nsecond ünï\r\nthird"
    assert list(json.loads(line)) == list(bench.rows()[0])


async def test_parquet_has_the_same_rows_with_types(bench: Bench, server: ModelServer) -> None:
    bench.experiments('provider,model,topic,"odd ""name"""', *(f"compatible,m,{n},it's" for n in range(len(JSON))))
    await bench.run(inputs=bench.inputs(output="results.parquet"), base_url=server.base_url, flatten=True)
    table: Any = duckdb.sql(f"SELECT * FROM '{bench.folder / 'results.parquet'}'")
    types = dict(zip(table.columns, map(str, table.types), strict=True))
    assert types["latency_s"] == "DOUBLE"
    assert types["row"] == types["prompt_tokens"] == "BIGINT"
    assert types["late"] == "BOOLEAN"
    assert types["score"] == types["output"] == "VARCHAR", "numbers in one row and words in another are words"
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["output"] for row in rows] == JSON
    assert rows[4]["late"] is True
    assert rows[0]['odd "name"'] == "it's"
    assert rows[0]["cost_usd"] is None
    assert [path.name for path in bench.folder.glob(".*")] == []


async def test_an_output_of_another_kind_is_refused_at_once(bench: Bench) -> None:
    bench.experiments("provider,model,topic", "mock,mock,x")
    with pytest.raises(UserError, match=r"ends in \.xlsx"):
        await bench.run(inputs=bench.inputs(output="results.xlsx"))


def page_of(report: Any) -> str:
    return Path(report.page).read_text(encoding="utf-8")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_the_page_compares_and_nothing_on_it_is_run_or_fetched(bench: Bench, server: ModelServer) -> None:
    server.behave = lambda ask: Answer(content=f"{EVIL} {'x' * MOST_CHARS} </svg></style>", model=EVIL)
    bench.prompt(f"{EVIL} {{{{topic}}}}")
    bench.experiments(
        f"provider,model,topic,{EVIL.replace(',', '')}", f"compatible,{EVIL} $x^2$,a,{EVIL}", "compatible,plain,a,b",
        f"{EVIL},m,a,b",
    )  # fmt: skip
    report = await bench.run(base_url=server.base_url, report=True)
    text = page_of(report)
    found = _Tags()
    found.feed(text)
    assert found.tags.isdisjoint({"script", "img", "iframe", "link", "object"})
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert not [value for name, value in found.attributes if name in {"src", "href"} and not str(value).startswith("#")]
    assert EVIL in found.text, "what was said is there to be read"
    assert "characters more in the output" in found.text
    assert "$x^2$" in text, "and not taken for a formula"
    assert {"svg", "table", "article"} <= found.tags
    assert "default-src 'none'" in text


async def test_the_page_and_the_table_are_steady(bench: Bench) -> None:
    bench.experiments("provider,model,topic", *(f"mock,mock,t{n}" for n in range(8)))
    report = await bench.run(report=True, side_by_side=3)
    text = page_of(report)
    assert text.count("<article") == 3
    assert "The first 3 prompts" in text
    (model,) = report.models
    assert (model.rows, model.ok, model.counted, model.cost_usd, model.attempts) == (8, 8, 8, 0.0, 8)
    assert model.latency_p50_s is not None
    assert report.table()[0]["model"] == "mock/mock"


def test_the_comparison_does_not_grow_with_the_rows() -> None:
    comparison = Comparison()
    for row in range(3 * MOST_SAMPLED):
        comparison.add(
            Result(row=row, provider="p", model="m", variables={}, status="ok", latency_s=row / (3 * MOST_SAMPLED))
        )
    (model,) = comparison.report("r", rows=3 * MOST_SAMPLED, earlier=0, outputs=[], rows_file="").models
    assert model.rows == 3 * MOST_SAMPLED
    assert model.latency_p50_s == pytest.approx(0.5, abs=0.03), "of a random choice"
    assert model.cost_usd is None
    assert model.unpriced == model.rows, "unknown is said, not guessed"


async def test_the_samples_run_as_they_are_and_replace_nothing(bench: Bench) -> None:
    report = write_samples(bench.folder / "new")
    inputs = bench.inputs(
        experiments="new/experiments.csv", prompt="new/prompt.txt", context=["new/context.txt"], output="new/out.csv"
    )
    outcome = await bench.run(inputs=inputs, flatten=True)
    assert (outcome.exit_code, outcome.warning, bench.notes) == (0, 0, [])
    assert "label" in bench.rows("new/out.csv")[0]
    bench.file("new/prompt.txt", "mine")
    with pytest.raises(UserError, match="nothing was written"):
        write_samples(bench.folder / "new")
    assert (bench.folder / "new/prompt.txt").read_text() == "mine"
    assert len(report.files) == 3
