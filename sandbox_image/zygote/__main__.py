"""The program inside a sandbox: `python -m sandbox_image.zygote`, see `--help`.

It speaks frames (protocol.py) on its standard input and output and writes its log to standard error. Two processes are
made: this one becomes the switchboard, its child the template that holds libraries and dataset and forks the sessions.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
from typing import Any

_RESTARTED = "TRIGPOINT_ZYGOTE_RESTARTED"


def main() -> int:
    """Run the sandbox; returns the exit code."""
    arguments = _arguments()
    _fix_hash_seed()
    channel_in, channel_out = _take_channel()
    from sandbox_image.zygote.preload import ENVIRONMENT

    os.environ.update(ENVIRONMENT)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    return _serve(arguments, channel_in, channel_out)


def _arguments() -> argparse.Namespace:
    from sandbox_image.zygote.preload import SETS

    parser = argparse.ArgumentParser(prog="sandbox_image.zygote", description=__doc__)
    parser.add_argument("--allow-weak", action="store_true", help="run even where the kernel has no Landlock")
    parser.add_argument("--keepable", action="store_true", help="may wait for another host when its own lets it go")
    parser.add_argument("--preload", choices=SETS, default=SETS[0], help="libraries imported before any session")
    parser.add_argument("--scratch", help="an existing folder of its own for the sessions' files")
    return parser.parse_args()


def _fix_hash_seed() -> None:
    """Start over with a fixed hash seed, so that sets print in the same order in every run."""
    if os.environ.get("PYTHONHASHSEED") == "0" and not sys.flags.ignore_environment:
        return
    if _RESTARTED not in os.environ and not sys.flags.ignore_environment:
        environment = {**os.environ, "PYTHONHASHSEED": "0", _RESTARTED: "1"}
        os.execve(sys.executable, sys.orig_argv, environment)


def _take_channel() -> tuple[int, int]:
    """Move the channel away from where a library could read or print into it."""
    channel_in, channel_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return channel_in, channel_out


def _serve(arguments: argparse.Namespace, channel_in: int, channel_out: int) -> int:
    from sandbox_image.zygote import cgroup, template
    from sandbox_image.zygote.door import Door
    from sandbox_image.zygote.protocol import Kind, encode
    from sandbox_image.zygote.switchboard import Switchboard
    from sandbox_image.zygote.walls.enter import WallsMissing, enter_switchboard, probe

    scratch_root = os.path.realpath(arguments.scratch or tempfile.mkdtemp(prefix="trigpoint-"))
    os.environ["MPLCONFIGDIR"] = os.path.join(scratch_root, "matplotlib")
    try:
        walls = probe(allow_weak=arguments.allow_weak)
    except WallsMissing as missing:
        os.write(channel_out, encode(Kind.FATAL, 0, {"message": f"The sandbox cannot be made safe here: {missing}."}))
        return 3
    report: dict[str, Any] = {**walls.report(), "cgroup": cgroup.limits(), "hash_seed": _hash_seed()}
    oom = cgroup.OomCounter()
    door = Door() if arguments.keepable else None
    # The template is forked inside this process's domain: from its own, nested one, it and the sessions remain within
    # reach of the switchboard's signals and cannot reach back.
    enter_switchboard(walls, scratch_root, removes_root=arguments.scratch is None)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        ours.close()
        os.close(channel_in)
        os.close(channel_out)
        if door is not None:
            door.close()
        template.run(theirs, walls, scratch_root, parent, arguments.preload)
    theirs.close()
    report["template_pid"] = child
    Switchboard(channel_in, channel_out, ours, scratch_root, report, oom, door).serve()
    return 0


def _hash_seed() -> str:
    return "fixed" if os.environ.get("PYTHONHASHSEED") == "0" else "random"


if __name__ == "__main__":
    sys.exit(main())
