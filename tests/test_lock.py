"""The lock files: in step with pyproject.toml, complete, hashed, and the same versions in both."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?: ; (?P<marker>[^\\]+?))? \\$")


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_tool", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(lock: str) -> dict[str, Requirement]:
    """The pinned requirements of a lock file by canonical name."""
    found: dict[str, Requirement] = {}
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if match := PIN.match(line):
            marker = f"; {match['marker']}" if match["marker"] else ""
            found[canonicalize_name(match["name"])] = Requirement(f"{match['name']}=={match['version']}{marker}")
    return found


def version_of(requirement: Requirement) -> Version:
    return Version(next(iter(requirement.specifier)).version)


def direct(lock: str) -> list[Requirement]:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock_tool = tool("lock")
    names = [
        *data["project"]["dependencies"],
        *(name for group in lock_tool.GROUPS[lock] for name in data["dependency-groups"][group]),
        *(name for extra in lock_tool.EXTRAS[lock] for name in data["project"]["optional-dependencies"][extra]),
    ]
    return [Requirement(name) for name in names]


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_was_written_from_this_pyproject(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert f"# inputs: {tool('lock').inputs_digest(ROOT / 'pyproject.toml', lock)}\n" in text, "run `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_an_edited_dependency_is_noticed(lock: str, tmp_path: Path) -> None:
    edited = tmp_path / "pyproject.toml"
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    edited.write_text(text.replace('"tenacity>=9"', '"tenacity>=8"'), encoding="utf-8")
    assert tool("lock").inputs_digest(edited, lock) != tool("lock").inputs_digest(ROOT / "pyproject.toml", lock)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_with_hashes_and_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert "://" not in text
    assert "--index" not in text
    assert len(blocks) == len(pins(lock)) + 1
    assert all("--hash=sha256:" in block for block in blocks[1:])


@pytest.mark.parametrize("lock", LOCKS)
def test_what_the_project_asks_for_is_pinned_within_its_bounds(lock: str) -> None:
    locked = pins(lock)
    for requirement in direct(lock):
        pin = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version_of(pin), prereleases=True), f"{requirement} against {pin}"


def test_fastapi_is_one_that_the_prefect_server_can_import() -> None:
    assert version_of(pins("requirements.lock")["fastapi"]) < Version("0.150")


def test_both_locks_pin_the_same_versions() -> None:
    runtime, dev = pins(LOCKS[0]), pins(LOCKS[1])
    assert runtime.items() <= dev.items()


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_is_closed(lock: str) -> None:
    """Pip is told not to resolve, so whatever a locked package needs here must be locked too."""
    locked = pins(lock)
    missing = []
    wanted: list[tuple[str, frozenset[str]]] = [(r.name, frozenset(r.extras)) for r in direct(lock)]
    seen = set(wanted)
    while wanted:
        name, extras = wanted.pop()
        for requirement in requirements_of(name, extras):
            pin = locked.get(canonicalize_name(requirement.name))
            if pin is None or not requirement.specifier.contains(version_of(pin), prereleases=True):
                missing.append(f"{name} needs {requirement}, locked: {pin}")
            entry = (requirement.name, frozenset(requirement.extras))
            if entry not in seen:
                seen.add(entry)
                wanted.append(entry)
    assert not missing
    assert len(seen) > len(direct(lock))


def requirements_of(name: str, extras: frozenset[str]) -> list[Requirement]:
    """What an installed distribution needs on this platform, with the extras asked for."""
    try:
        declared = distribution(name).requires or []
    except PackageNotFoundError:
        pytest.fail(f"{name} is not installed: the virtual environment is older than the lock, run `make setup-dev`")
    needed = [Requirement(text) for text in declared]
    return [r for r in needed if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in extras | {""})]


def test_the_environment_is_the_locked_one() -> None:
    """What the tests prove, they prove of the locked versions."""
    installed = {}
    for name, pin in pins(LOCKS[1]).items():
        if pin.marker is None or pin.marker.evaluate():
            try:
                installed[name] = distribution(name).version
            except PackageNotFoundError:
                installed[name] = "absent"
    locked = {name: str(version_of(pin)) for name, pin in pins(LOCKS[1]).items() if name in installed}
    assert installed == locked, "the virtual environment is not the locked one, run `make setup-dev`"


def test_what_pip_is_configured_with_goes_for_uv_too() -> None:
    listed = """:env:.find-links='/wheels /more'
global.extra-index-url='\\nhttps://one/simple\\nhttps://two/simple'
global.find-links='/other'
global.index-url='https://user:key@mirror/simple'
install.trusted-host='mirror'
global.cert='/etc/ca.crt'
global.no-color='true'
"""
    assert tool("install").uv_environment(listed) == {
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX": "https://one/simple https://two/simple",
        "UV_DEFAULT_INDEX": "https://user:key@mirror/simple",
        "UV_INSECURE_HOST": "mirror",
        "SSL_CERT_FILE": "/etc/ca.crt",
    }


@pytest.mark.parametrize("package", ["uv", "ruff", "pytest"])
def test_a_package_of_the_lock_is_found_with_all_its_hashes(package: str) -> None:
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    found = tool("install").stanza(lock, package)
    assert found.startswith(f"{package}==")
    assert len([line for line in found.splitlines() if "==" in line]) == 1
    assert found.count("--hash=sha256:") == len(found.splitlines()) - 1 > 0
    with pytest.raises(LookupError):
        tool("install").stanza(lock, "no-such-package")
