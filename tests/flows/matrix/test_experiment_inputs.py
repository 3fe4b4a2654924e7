"""What a user hands in: templates, context files, paths, standard input, tables with flaws; what is refused at once."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.errors import UserError
from flows.matrix.paths import PathTemplate, safe_name
from flows.matrix.sheet import Sheet
from flows.matrix.templates import Template
from tests.support.experiments import Bench
from tests.support.model_answers import Answer
from tests.support.model_server import ModelServer


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(lambda ask: Answer(content="fine")) as server:
        yield server


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_a_template_is_filled_in_one_pass() -> None:
    filled = Template("{{a}} and {{b}}, {{ c }}, {{a-b}}, {{gone}}").fill({"a": "{{b}}", "b": "", "unused": "x"})
    assert filled.text == "{{b}} and , {{ c }}, {{a-b}}, {{gone}}"
    assert filled.missing == ("gone",)


async def test_provider_and_model_are_variables_and_an_empty_cell_is_a_value(bench: Bench, server: ModelServer) -> None:
    bench.prompt("{{provider}}/{{model}} [{{tone}}] {{typo}}")
    bench.experiments("provider,model,tone", "compatible,m,", "compatible,m,calm")
    report = await bench.run(base_url=server.base_url)
    assert {ask.last for ask in server.asks} == {"compatible/m [] {{typo}}", "compatible/m [calm] {{typo}}"}
    assert report.warning == 2, "left as it is, and said"
    assert "typo" in bench.rows()[0]["error_message"]
    assert any("typo" in note for note in bench.notes), "said before anything is asked, too"
    with pytest.raises(UserError, match=r"\{\{typo\}\}"):
        await bench.run(base_url=server.base_url, strict=True)


async def test_contexts_stand_behind_the_prompt_or_where_they_are_named(bench: Bench, server: ModelServer) -> None:
    bench.prompt("Facts: {{facts}} Task: {{topic}}")
    bench.file("a/notes.txt", "first, {{topic}}")
    bench.file("b/notes.txt", "second")
    bench.file("facts.txt", "named")
    bench.experiments("provider,model,topic", "compatible,m,rivers")
    inputs = bench.inputs(context=["a/notes.txt", "facts=facts.txt", "b/notes.txt"])
    await bench.run(inputs=inputs, base_url=server.base_url)
    assert server.asks[0].last == (
        "Facts: named Task: rivers"
        "\n\n## Document: a/notes.txt\n\nfirst, rivers\n\n---\n\n"
        "\n\n## Document: b/notes.txt\n\nsecond\n\n---\n\n"
    ), "equal names are told apart, variables of contexts filled"
    bench.experiments("provider,model,facts", "compatible,m,x")
    with pytest.raises(UserError, match="both a context file and a column"):
        await bench.run(inputs=inputs, base_url=server.base_url)


async def test_paths_may_hold_variables_and_every_file_is_read_once(
    bench: Bench, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.file("prompts/short_1.txt", "Be short: {{topic}}")
    bench.file("prompts/long.txt", "Be long: {{topic}}")
    bench.experiments(
        "provider,model,style,topic", *(f"compatible,m,short/1,t{n}" for n in range(5)),
        "compatible,m,long,u", "compatible,m,gone,v", "compatible,m,../long,w", "compatible,m,,x",
    )  # fmt: skip
    reads: list[Path] = []
    real = Path.open

    def counting(self: Path, mode: str = "r", **rest: object) -> object:
        reads.append(self)
        return real(self, mode, **rest)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", counting)
    inputs = bench.inputs(prompt="prompts/{{style}}.txt", output="out/{{provider}}/{{model}}-{{style}}.csv")
    report = await bench.run(inputs=inputs, base_url=server.base_url)
    monkeypatch.undo()
    assert reads.count(bench.folder / "prompts/short_1.txt") == 1
    assert sorted(ask.last for ask in server.asks)[:2] == ["Be long: u", "Be short: t0"]
    assert (report.ok, report.error) == (6, 3)
    out = bench.folder / "out"
    assert {str(path.relative_to(out)) for path in out.rglob("*.csv")} == {
        "compatible/m-short_1.csv", "compatible/m-long.csv", "compatible/m-gone.csv", "compatible/m-__long.csv",
        "provider-model-style.csv",
    }, "rows without a value for a path are not dropped: they have a table of their own"  # fmt: skip
    assert len(bench.rows("out/compatible/m-short_1.csv")) == 5
    assert "cannot be read" in bench.rows("out/compatible/m-gone.csv")[0]["error_message"]
    assert "needs a value for style" in bench.rows("out/provider-model-style.csv")[0]["error_message"]


async def test_a_path_that_names_no_column_is_refused_before_anything_is_asked(bench: Bench) -> None:
    bench.experiments("provider,model,topic", "mock,mock,x")
    with pytest.raises(UserError, match="no column place"):
        await bench.run(inputs=bench.inputs(output="{{place}}.csv"))
    assert bench.lines() == []


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("anthropic/claude-3:beta", "anthropic_claude-3_beta"), ("../../etc/passwd", "__.._etc_passwd"), ("..", "_"),
        (".hidden", "_hidden"), ("CON", "_CON"), ("nul.txt", "_nul.txt"), ("a\x00b\nc", "a_b_c"), (" x. ", "x"),
        ("C:\\x", "C__x"), ("", "_"), ("größe", "größe"),
    ],
)  # fmt: skip
def test_a_value_is_one_part_of_a_name(value: str, name: str) -> None:
    assert safe_name(value) == name


def test_no_value_leads_out_of_its_folder(tmp_path: Path) -> None:
    template = PathTemplate(str(tmp_path / "{{a}}" / "{{b}}.csv"))
    for evil in ("..", ".", "../..", "/etc", "~", "a/../../b", "..\\..", ". .", "x" * 300, "é" * 200, "\u202e"):
        path = template.fill({"a": evil, "b": evil})
        assert len(path.relative_to(tmp_path).parts) == 2
        assert path.resolve().is_relative_to(tmp_path.resolve())
        assert all(len(part.encode()) <= 255 for part in path.parts)
        assert path.suffix == ".csv"


async def test_standard_input_is_read_once(bench: Bench, server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.experiments("provider,model,topic", *(f"compatible,m,t{n}" for n in range(3)))
    bench.file("c-t0.txt", "zero")
    bench.file("c-t1.txt", "one")
    bench.file("c-t2.txt", "two")
    stdin(monkeypatch, "From stdin: {{topic}}")
    await bench.run(inputs=bench.inputs(prompt="-", context=["c-{{topic}}.txt"]), base_url=server.base_url)
    assert all(ask.last.startswith("From stdin: t") for ask in server.asks), "not only the first row"
    stdin(monkeypatch, "provider,model,topic\ncompatible,m,from stdin\n")
    await bench.run(inputs=bench.inputs(experiments="-", output="other.csv"), base_url=server.base_url)
    assert server.asks[-1].last == "Say something about from stdin."
    with pytest.raises(UserError, match="cannot both"):
        await bench.run(inputs=bench.inputs(experiments="-", prompt="-"))


async def test_results_go_to_standard_output(bench: Bench, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    bench.experiments("provider,model,topic", "mock,mock,größe")
    report = await bench.run(inputs=bench.inputs(output="-"))
    header, row = capsysbinary.readouterr().out.decode().splitlines()
    assert header.startswith("provider,model,topic,status")
    assert row.startswith("mock,mock,größe,ok")
    assert report.outputs == ()
    again = await bench.run(inputs=bench.inputs(output="-"))
    assert again.earlier == 1


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("model,topic\nm,x\n", "no column provider"),
        ("a,b\n1,2\n", "no column provider and no column model"),
        ("provider,model,x,x\nmock,mock,1,2\n", "more than one column x"),
        ("provider,model\n", "holds no experiments"),
        ("", "no column"),
        ("provider,model,x\nmock,mock,a,b\n", "Line 2 of .* has 4 cells and the header 3"),
        ('provider,model,x\nmock,mock,"a\n', "is no CSV"),
    ],
)
def test_a_table_with_a_flaw_is_refused_whole(tmp_path: Path, table: str, said: str) -> None:
    path = tmp_path / "experiments.csv"
    path.write_text(table)
    with pytest.raises(UserError, match=said):
        Sheet(str(path))


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "experiments.csv"
    path.write_bytes("provider,model,x\nmock,mock,größe\n".encode("latin-1"))
    with pytest.raises(UserError, match="no UTF-8"):
        Sheet(str(path))
    with pytest.raises(UserError, match="cannot be read"):
        Sheet(str(tmp_path / "gone.csv"))


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "experiments.csv"
    path.write_bytes('\ufeffprovider,model,text,\r\nmock, m ,"a,\r\nb",\r\n\r\nmock,m\r\n'.encode())
    with Sheet(str(path)) as sheet:
        path.unlink()
        first, second = sheet.rows()
        assert [row.number for row in sheet.rows()] == [1, 2], "walked through again, though the file is gone"
    assert (first.model, first.variables) == ("m", {"text": "a,\r\nb"})
    assert second.variables == {"text": ""}


async def test_the_context_is_checked_before_sending(bench: Bench) -> None:
    """The mock model `small` has a window of 256 tokens."""
    bench.prompt("{{text}}")
    bench.experiments("provider,model,text", *(f"mock,small,{'x' * size}" for size in (100, 4 * 215, 4 * 240)))
    report = await bench.run()
    rows = bench.rows()
    assert [row["status"] for row in rows] == ["ok", "warning", "error"]
    assert [row["input_tokens"] for row in rows] == ["25", "215", "240"]
    assert {row["context_window"] for row in rows} == {"256"}
    assert "about 215 tokens (an estimate) of the model's 256" in rows[1]["error_message"]
    assert "not sent" in rows[2]["error_message"]
    assert rows[2]["attempts"] == "0"
    assert report.exit_code == 1


async def test_an_unknown_window_is_no_warning(bench: Bench, server: ModelServer) -> None:
    bench.experiments("provider,model,topic", *(f"compatible,m,t{n}" for n in range(3)))
    report = await bench.run(base_url=server.base_url)
    assert (report.ok, report.warning) == (3, 0)
    assert {row["context_window"] for row in bench.rows()} == {""}
    assert len(bench.warnings) == 1, "said once, not in each row"


async def test_windows_come_from_the_providers_list(
    bench: Bench, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.ollama_url)
    server.pages["/v1/models"] = lambda body: {"data": [{"id": "m", "max_model_len": 100}]}
    server.pages["/api/show"] = lambda body: {"model_info": {"llama.context_length": 50}}
    bench.prompt("{{text}}")
    bench.experiments("provider,model,text", f"compatible,m,{'x' * 388}", f"ollama,l,{'x' * 188}", "ollama,l,x")
    await bench.run(base_url=server.base_url)
    assert [(row["status"], row["context_window"]) for row in bench.rows()] == [
        ("error", "100"), ("error", "50"), ("ok", "50")
    ]  # fmt: skip
    assert len(server.asks) == 1
    report = await bench.run(base_url=server.base_url, check_context=False)
    assert report.ok == 3


async def test_validating_asks_no_model_and_finds_what_would_fail(bench: Bench, server: ModelServer) -> None:
    server.pages["/v1/models"] = lambda body: {"data": [{"id": "there", "context_length": 20}]}
    bench.prompt("{{topic}} {{typo}}")
    bench.experiments(
        "provider,model,topic", "compatible,there,x", "compatible,gone,x", "compatible,gone,y", "openrouter,a/b,x",
        f"compatible,there,{'x' * 100}",
    )  # fmt: skip
    report = await bench.run(base_url=server.base_url, validate_only=True)
    found = {finding.message: (finding.status, finding.first, finding.rows) for finding in report.findings}
    assert found["compatible lists no model gone."] == ("error", 2, 2)
    assert any("OPENROUTER_API_KEY" in message for message in found)
    assert any("not sent" in message for message in found)
    assert found["No column is called typo: left in the prompt as it is."] == ("warning", 1, 1)
    assert (report.rows, report.bad, report.good, report.exit_code) == (5, 4, 0, 1)
    assert server.asks == []
    assert not bench.output.exists()
    assert bench.lines() == []


async def test_a_finish_for_length_is_a_warning(bench: Bench) -> None:
    bench.experiments("provider,model,topic,max_tokens", "mock,mock,x,3", "mock,mock,x,")
    await bench.run()
    assert [row["status"] for row in bench.rows()] == ["warning", "ok"]
    assert "cut off" in bench.rows()[0]["error_message"]
