"""The rules of the house, read from the sources: floors, rooms, names, sizes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"sandbox_image": 0, "blocks": 1, "flows": 2}
ENGINE_LIBRARIES = {"prefect", "prefect_docker", "httpx", "docker", "aiohttp", "requests"}
MAX_FLOW_LINES = 200
MAX_MODULE_LINES = 450


def python_files(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts
    )


SOURCES = python_files(*FLOORS)
EVERYTHING = [*SOURCES, *python_files("tests")]
FLOW_FILES = [path for path in SOURCES if path.parent == ROOT / "flows" and path.name != "__init__.py"]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def imported_names(path: Path, *, deferred: bool) -> Iterator[str]:
    """Every module a file imports at run time, never what only types need.

    Args:
        path: The source file.
        deferred: Whether to count what is imported inside functions, hence only once somebody calls them.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in runtime_nodes(tree, deferred=deferred):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def runtime_nodes(tree: ast.AST, *, deferred: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not deferred:
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield other
                yield from runtime_nodes(other, deferred=deferred)
        else:
            yield from runtime_nodes(node, deferred=deferred)


@cache
def own_imports(module: str, *, deferred: bool = True) -> frozenset[str]:
    """The project's modules that a module imports: what it names, and the packages those lie in."""
    found: set[str] = set()
    for name in imported_names(MODULES[module], deferred=deferred):
        pieces = name.split(".")
        found.update(".".join(pieces[:end]) for end in range(1, len(pieces) + 1))
    return frozenset((found & MODULES.keys()) - {module})


@cache
def foreign_imports(module: str, *, deferred: bool = True) -> frozenset[str]:
    """The top-level names of what a module imports from outside the project."""
    names = imported_names(MODULES[module], deferred=deferred)
    return frozenset(name.split(".")[0] for name in names) - FLOORS.keys()


def reach(module: str) -> dict[str, str]:
    """Every other project module that importing `module` runs, each with the module that imports it."""
    via = dict.fromkeys(own_imports(module), module)
    pending = list(via)
    while pending:
        current = pending.pop()
        for name in own_imports(current, deferred=False) - via.keys() - {module}:
            via[name] = current
            pending.append(name)
    return via


def offences(modules: list[str], banned: set[str]) -> list[str]:
    """One line for each banned library that a module imports anywhere, or gets by importing another of ours."""
    lines = []
    for module in modules:
        lines += [f"{module} imports {library}" for library in sorted(foreign_imports(module) & banned)]
        for reached, importer in reach(module).items():
            libraries = sorted(foreign_imports(reached, deferred=False) & banned)
            lines += [f"{module} gets {library} from {reached}, imported by {importer}" for library in libraries]
    return sorted(lines)


def rooms() -> list[str]:
    return [name for name, path in MODULES.items() if name.startswith("flows.") and path not in FLOW_FILES]


def test_the_sources_are_found() -> None:
    """A rule that looks at nothing would hold for ever."""
    assert {"flows.questions.records", "blocks.settings", "sandbox_image.zygote.protocol"} <= MODULES.keys()
    assert "blocks.errors" in reach("flows.tables.dataset")
    assert "pydantic" in foreign_imports("flows.questions.records")
    assert offences(["blocks.sandboxes.docker"], {"docker"})
    assert any(
        " gets " in line for line in offences(["flows.tables.dataset"], {"pathlib", "dataclasses", "__future__"})
    )


def test_calls_go_down_only() -> None:
    upwards = [
        f"{module} imports {name}"
        for module in MODULES
        for name in own_imports(module)
        if FLOORS[name.split(".")[0]] > FLOORS[module.split(".")[0]]
    ]
    assert upwards == []


def test_a_flow_file_imports_no_other_flow_file() -> None:
    doors = {module_name(path) for path in FLOW_FILES}
    assert "flows.episode" in doors
    assert [f"{door} imports {other}" for door in doors for other in own_imports(door) & doors] == []


def test_no_room_opens_a_door() -> None:
    """A room never imports a flow file: doors are used from outside."""
    doors = {module_name(path) for path in FLOW_FILES}
    assert not {room: sorted(own_imports(room) & doors) for room in rooms() if own_imports(room) & doors}


def test_rooms_have_no_engine() -> None:
    assert offences(rooms(), ENGINE_LIBRARIES) == []


def test_the_engines_below_the_blocks_know_no_prefect() -> None:
    below = [name for name in MODULES if name.startswith(("blocks.sandboxes", "blocks.chat."))]
    assert len(below) > 2
    assert offences(below, {"prefect", "prefect_docker"}) == []


def test_the_program_inside_the_sandbox_stands_alone() -> None:
    """The image holds the zygote and the libraries of cells, nothing of the host's."""
    hosts_only = ENGINE_LIBRARIES | {"pydantic", "pydantic_settings", "sqlalchemy", "tenacity", "rich", "cyclopts"}
    assert offences([name for name in MODULES if name.startswith("sandbox_image")], hosts_only) == []


def test_importing_blocks_imports_no_prefect() -> None:
    program = "import sys, blocks, blocks.sandboxes, blocks.chat; sys.exit('prefect' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_nothing_under_flows_shadows_a_library() -> None:
    """`python flows/episode.py` puts flows/ first on the search path, so its names must be nobody else's."""
    ours = {path.stem for path in (ROOT / "flows").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    installed = set(packages_distributions()) - set(FLOORS)
    assert {"prefect", "pandas"} <= installed
    assert not (ours - {"__init__"}) & (installed | sys.stdlib_module_names)


def test_a_module_says_what_it_is() -> None:
    silent, dated = [], []
    for path in EVERYTHING:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        first_line = (ast.get_docstring(tree) or "").partition("\n")[0]
        if len(first_line) <= 10:
            silent.append(str(path.relative_to(ROOT)))
        has_code = any(not isinstance(node, ast.Expr) for node in tree.body)
        if has_code and "from __future__ import annotations" not in text:
            dated.append(str(path.relative_to(ROOT)))
    assert silent == [], "the first line of a module's docstring says what it is about"
    assert dated == [], "every module has `from __future__ import annotations`"


def test_a_module_stays_readable() -> None:
    long = []
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > (MAX_FLOW_LINES if path in FLOW_FILES else MAX_MODULE_LINES):
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
    assert long == []


def written_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_machine_is_written_into_the_sources() -> None:
    """The checkout runs anywhere: no folder of the machine it was written on is named."""
    marks = ["/" + "root/", "/" + "work/"]
    bad = []
    for path in written_files():
        if path.suffix in {".py", ".md", ".toml", ".lock", ".txt", ".yaml", ".json", ""} and path != Path(__file__):
            text = path.read_text(encoding="utf-8", errors="replace")
            bad += [f"{path.relative_to(ROOT)}: {mark}" for mark in marks if mark in text]
    assert not bad
