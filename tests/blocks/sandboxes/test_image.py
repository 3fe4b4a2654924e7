"""The image's ingredients: library versions as in the lock, the profile as generated, one home for every setting."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from blocks.sandboxes import process
from sandbox_image import seccomp_profile
from sandbox_image.zygote.protocol import PROTOCOL_VERSION

ROOT = Path(__file__).resolve().parents[3]
IMAGE = ROOT / "sandbox_image"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
IMPORTED = {"pandas", "numpy", "scipy", "statsmodels", "scikit-learn", "matplotlib"}


def pins(path: Path) -> dict[str, str]:
    """Name and version of every pinned package in a requirements file."""
    return {str(canonicalize_name(name)): version for name, version in PIN.findall(path.read_text())}


def test_the_image_has_the_versions_of_the_lock() -> None:
    image, lock = pins(IMAGE / "requirements.txt"), pins(ROOT / "requirements.lock")
    assert image.keys() >= IMPORTED
    assert {name: (version, lock.get(name)) for name, version in image.items() if lock.get(name) != version} == {}


def test_every_library_of_the_image_is_pinned_by_hash() -> None:
    blocks = re.split(r"\n(?=\S)", (IMAGE / "requirements.txt").read_text())
    pinned = [block for block in blocks if not block.startswith("#")]
    assert len(pinned) == len(pins(IMAGE / "requirements.txt"))
    assert [block.splitlines()[0] for block in pinned if "--hash=sha256:" not in block] == []


def test_the_profile_is_the_generated_one() -> None:
    assert seccomp_profile.PROFILE.read_text() == seccomp_profile.render(), (
        "run python -m sandbox_image.seccomp_profile"
    )


def test_no_call_is_allowed_twice_and_the_dangerous_ones_not_at_all() -> None:
    rules = json.loads(seccomp_profile.PROFILE.read_text())["syscalls"]
    allowed = [name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]]
    assert len(allowed) == len(set(allowed))
    forbidden = """io_uring_setup io_uring_enter io_uring_register ptrace process_vm_readv process_vm_writev userfaultfd
        keyctl add_key request_key perf_event_open bpf mount umount2 fsopen move_mount unshare setns memfd_create
        memfd_secret shmget semget msgget mq_open init_module finit_module kexec_load reboot pidfd_getfd chroot
        open_by_handle_at name_to_handle_at personality quotactl process_madvise kcmp vmsplice execveat"""
    assert not set(allowed) & set(forbidden.split())


@pytest.mark.parametrize("cpu", ["fpu avx avx2", "fpu avx"])
def test_the_image_and_the_process_runtime_set_the_same_numeric_variables(
    cpu: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags : {cpu}\n")
    monkeypatch.setattr(process, "_CPUINFO", cpuinfo)
    script = (IMAGE / "entry.sh").read_text()
    script = script.replace("/opt/trigpoint/", f"{IMAGE}/").replace("/proc/cpuinfo", str(cpuinfo))
    script = re.sub(r"^exec .*$", "exec env", script, flags=re.MULTILINE)
    done = subprocess.run(["/bin/sh", "-c", script], env={}, capture_output=True, text=True, check=True)
    inside = dict(line.split("=", 1) for line in done.stdout.splitlines())
    inside.pop("PWD", None)
    assert inside == process.numeric_environment()


def test_the_build_script_reads_the_protocol_version_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    # A client that only writes down what it was asked.
    fake = tmp_path / "docker"
    fake.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\nls "$(eval echo \\${{$#}})" > {tmp_path}/context\n'
    )
    fake.chmod(0o755)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "x-1-py3-none-any.whl").touch()
    arguments = ["--base", "some:base", "--wheels", str(wheels), "--tag", "some:tag"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run([IMAGE / "build.sh", *arguments], env=environment, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert f"PROTOCOL_VERSION={PROTOCOL_VERSION}" in asked
    assert "BASE_IMAGE=some:base" in asked
    assert "some:tag" in asked
    wanted = set(re.findall(r"^COPY (?!--from)(.+) \S+$", (IMAGE / "Dockerfile").read_text(), re.MULTILINE))
    copied = {name for line in wanted for name in shlex.split(line)}
    assert copied <= set((tmp_path / "context").read_text().split())
    for bad in (["--nonsense"], ["--base"]):
        refused = subprocess.run([IMAGE / "build.sh", *bad], env=environment, capture_output=True, check=False)
        assert refused.returncode == 2
