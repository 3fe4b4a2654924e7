"""A flow's signature as a command line: every parameter reachable, every mistake one sentence."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from blocks.arguments import declared, parse_call
from blocks.command_line import parse
from flows.episode import episode
from flows.verification.options import EpisodeOptions


def test_datasets_are_positional_and_options_are_flat() -> None:
    parameters = parse(episode, ["a.csv", "b.csv", "--ask", "One?", "--ask", "Two?", "--traces", "4", "--model", "m"])
    assert parameters["datasets"] == ["a.csv", "b.csv"]
    assert parameters["ask"] == ["One?", "Two?"]
    assert (parameters["options"].traces, parameters["options"].model) == (4, "m")


def test_nothing_given_leaves_the_flows_own_defaults() -> None:
    assert parse(episode, []) == {}


def test_every_parameter_of_the_flow_has_a_help_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(episode, ["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    fields = _flat(EpisodeOptions)
    assert {"traces", "delimiter"} <= set(fields), "of the options and of the models in them"
    for name, field in fields.items():
        assert "--" + name.replace("_", "-") in said
        assert field.description
    assert "--reading" not in said


def _flat(options: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by name, those of the models in it in place of the field that holds them."""
    found: dict[str, FieldInfo] = {}
    for name, field in options.model_fields.items():
        kind = field.annotation
        found |= _flat(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else {name: field}
    return found


def test_the_form_of_the_ui_knows_the_same_bounds() -> None:
    schema = episode.parameters.model_dump()
    options = schema["definitions"]["EpisodeOptions"]["properties"]
    assert options["max_turns"]["maximum"] == 100
    assert options["runtime"]["enum"] == ["auto", "docker", "process"]
    assert schema["properties"]["datasets"]["description"].startswith("CSV files")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--traces", "99"], "--traces: Input should be less than or equal to 16 (got '99')."),
        (["--runtime", "podman"], "--runtime: Input should be 'auto', 'docker' or 'process' (got 'podman')."),
        (["--modle", "m"], "--modle"),
        (["--questions"], "--questions requires an argument"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(episode, arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.strip().splitlines()) == 1


FLOWS = sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "flows").glob("[!_]*.py"))


@pytest.mark.parametrize("name", FLOWS)
def test_help_of_a_flow_is_that_of_its_own_signature(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    flow = getattr(importlib.import_module(f"flows.{name}"), name)
    said = []
    for function in (flow.fn, declared(Path(__file__).resolve().parents[2] / "flows" / f"{name}.py", name)):
        with pytest.raises(SystemExit) as ended:
            parse_call(function, name, ["--help"])
        assert ended.value.code == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "--help" in said[0]


@pytest.mark.parametrize("name", FLOWS)
def test_help_loads_no_prefect(name: str) -> None:
    """It is what takes the seconds; nor is anything printed but the help."""
    done = subprocess.run(
        [sys.executable, f"flows/{name}.py", "-h"], cwd=Path(__file__).resolve().parents[2], capture_output=True,
        text=True, check=True, env={"PYTHONPROFILEIMPORTTIME": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "cyclopts" in loaded
    assert "prefect" not in loaded
    assert done.stdout.startswith("Usage: python flows/")
