"""What a session may not do to others: signal, stop or trace them, change their limits, or speak in their name."""

from __future__ import annotations

import asyncio
import textwrap

from blocks.sandboxes.conformance.harness import Arena, answer, brief, check, expect, plain, refused
from sandbox_image.zygote.protocol import Kind, encode


@check
async def others_cannot_be_signalled(arena: Arena) -> None:
    """No system call delivers a signal to the zygote, a sibling, their groups or everybody; own handlers work."""
    async with arena.scene() as scene:
        told = await scene.findings(
            """
            import resource, signal
            tkill, tgkill, pidfd_open, pidfd_send = (200, 234, 434, 424) if X86 else (130, 131, 434, 424)
            sigqueue, tsigqueue = (129, 297) if X86 else (138, 240)
            blank = ctypes.create_string_buffer(128)
            ctypes.c_int.from_buffer(blank, 8).value = -1  # si_code SI_QUEUE: what a process may claim of itself
            told = {}
            for name, pid in (("sibling", SIBLING), ("other", OTHER), ("zygote", os.getppid()), ("init", 1)):
                for sign in (0, signal.SIGCONT, signal.SIGUSR1, signal.SIGINT, signal.SIGSTOP):
                    if pid == 1 and sign not in (0, signal.SIGCONT):
                        continue
                    told[f"kill {name} {sign}"] = tried(os.kill, pid, sign)
                    told[f"tkill {name} {sign}"] = raw(tkill, pid, int(sign))
                    told[f"tgkill {name} {sign}"] = raw(tgkill, pid, pid, int(sign))
                ctypes.c_int.from_buffer(blank, 0).value = 18
                told[f"sigqueue {name}"] = raw(sigqueue, pid, 18, blank)
                told[f"tsigqueue {name}"] = raw(tsigqueue, pid, pid, 18, blank)
                handle = syscall(pidfd_open, pid, 0)
                told[f"pidfd_open {name}"] = raw(pidfd_open, pid, 0)
                told[f"pidfd_send {name}"] = raw(pidfd_send, handle if isinstance(handle, int) else 0, 18, None, 0)
                # 0: the group lies outside of this process namespace and has no number here.
                if os.getpgid(pid) not in (0, os.getpgrp()):
                    told[f"group of {name}"] = tried(os.kill, -os.getpgid(pid), signal.SIGCONT)
            told["everybody"] = tried(os.kill, -1, signal.SIGCONT)
            submit(told)
            """
        )
        # ESRCH: in its own process namespace nobody has that number.
        refused(told, frozenset({"ESRCH"}))
        heard = await scene.findings(
            """
            heard = []
            signal.signal(signal.SIGUSR1, lambda number, frame: heard.append("kill"))
            os.kill(os.getpid(), signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR1)
            signal.signal(signal.SIGALRM, lambda number, frame: heard.append("alarm"))
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            time.sleep(0.3)
            submit({"heard": heard})
            """
        )
        expect(heard["heard"] == ["kill", "kill", "alarm"], f"a session cannot signal itself: {heard}")


@check
async def input_output_signals_do_not_escape(arena: Arena) -> None:
    """A pipe whose owner is set to a sibling (F_SETOWN, F_SETSIG, O_ASYNC) delivers it no signal."""
    async with arena.scene() as scene:
        result = await scene.attack(
            """
            import fcntl, struct
            for pid in (SIBLING, OTHER, os.getppid()):
                reading, writing = os.pipe()
                tried(fcntl.fcntl, reading, 8, pid)                                  # F_SETOWN
                tried(fcntl.fcntl, reading, 15, struct.pack("ii", 1, pid))      # F_SETOWN_EX
                tried(fcntl.fcntl, reading, 10, 9)                                   # F_SETSIG: SIGKILL
                tried(fcntl.ioctl, reading, 0x8901, struct.pack("i", pid))           # FIOSETOWN
                tried(fcntl.fcntl, reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
                for _ in range(5):
                    os.write(writing, b"x")
                os.close(reading), os.close(writing)
            """
        )
        expect(result.status in ("ok", "error"), brief(result))
        await asyncio.sleep(0.3)


@check
async def others_cannot_be_controlled(arena: Arena) -> None:
    """Limits, priority, scheduling, affinity and memory of a sibling or the zygote cannot be changed."""
    async with arena.scene() as scene:
        told = await scene.findings(
            """
            import resource
            numbers = {
                "prlimit64": (302, 261), "ioprio_set": (251, 30), "sched_setaffinity": (203, 122), "kcmp": (312, 272),
                "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
                "migrate_pages": (256, 238), "move_pages": (279, 239), "get_robust_list": (274, 100),
            }
            call = {name: pair[0 if X86 else 1] for name, pair in numbers.items()}
            mask = ctypes.create_string_buffer(b"\\x01" + bytes(127))
            zero = ctypes.create_string_buffer(64)
            attributes = ctypes.create_string_buffer(bytes([48]) + bytes(47))
            limit = (ctypes.c_ulong * 2)(1, 1)
            told = {}
            for name, pid in (("sibling", SIBLING), ("zygote", os.getppid())):
                told[f"prlimit {name}"] = raw(call["prlimit64"], pid, 7, ctypes.byref(limit), None)
                told[f"prlimit by resource {name}"] = tried(resource.prlimit, pid, resource.RLIMIT_CPU, (1, 1))
                told[f"setpriority {name}"] = tried(os.setpriority, os.PRIO_PROCESS, pid, 19)
                told[f"setpriority of its group {name}"] = tried(os.setpriority, os.PRIO_PGRP, os.getpgid(pid), 19)
                told[f"ioprio {name}"] = raw(call["ioprio_set"], 1, pid, 3 << 13)
                told[f"affinity {name}"] = raw(call["sched_setaffinity"], pid, 128, mask)
                told[f"scheduler {name}"] = raw(call["sched_setscheduler"], pid, 5, zero)
                told[f"parameters {name}"] = raw(call["sched_setparam"], pid, zero)
                told[f"attributes {name}"] = raw(call["sched_setattr"], pid, attributes, 0)
                told[f"kcmp {name}"] = raw(call["kcmp"], pid, os.getpid(), 2, 0, 0)
                told[f"migrate {name}"] = raw(call["migrate_pages"], pid, 8, zero, zero)
                told[f"move {name}"] = raw(call["move_pages"], pid, 0, None, None, zero, 0)
                told[f"group {name}"] = tried(os.setpgid, pid, pid)
            # Of a user who runs nothing: ESRCH would say that nothing refuses.
            told["a user's priority"] = tried(os.setpriority, os.PRIO_USER, 64_999, 19)
            submit(told)
            """
        )
        # setpgid says EPERM or ESRCH of a process that is nobody's child here, wall or no wall.
        refused({name: error for name, error in told.items() if not name.startswith("group")})
        expect(not [error for error in told.values() if error.startswith("DONE")], f"done to another: {told}")


@check
async def frames_of_others_cannot_be_forged(arena: Arena) -> None:
    """Frames and events of a sibling's number, written to every descriptor a session has, reach nobody's result."""
    async with arena.scene() as scene:
        victim = scene.siblings[0].session.number
        forged = b"".join(
            encode(kind, victim, payload)
            for kind, payload in (
                (Kind.STDOUT, b"forged output\n"),
                (Kind.EVENT, {"type": "answer", "value": {"t": "str", "v": "forged"}}),
                (
                    Kind.EVENT,
                    {"type": "note", "name": "forged", "value": {"t": "none"}, "code_line": "", "depends_on": []},
                ),
                (Kind.END, {"cell": 1, "status": "ok", "namespace": "lost", "reason": "forged"}),
                (Kind.FATAL, {"message": "forged"}),
                (Kind.CLOSED, b""),
            )
        )
        for mode in ("whole", "bytewise", "thread"):
            result = await scene.attack(
                f"""
                import threading
                forged = bytes.fromhex({forged.hex()!r})
                def forge():
                    for number in range(64):
                        try:
                            if os.fstat(number) and not os.isatty(number):
                                os.set_blocking(number, False)
                                if {mode!r} == "bytewise":
                                    for byte in forged:
                                        os.write(number, bytes([byte]))
                                else:
                                    os.write(number, forged)
                        except OSError:
                            pass
                if {mode!r} == "thread":
                    worker = threading.Thread(target=forge)
                    worker.start()
                    worker.join()
                else:
                    forge()
                """,
                timeout_s=45,
            )
            expect(result.status in ("ok", "error", "killed"), f"{mode}: {brief(result)}")
            await scene.answers_again()


@check
async def garbage_on_the_event_pipe_is_the_writers_loss(arena: Arena) -> None:
    """Garbage, half a message, a giant length or a flood on the event pipe ends in the writer's own truthful status."""
    writes = {
        "garbage": "b'\\xff' * 100_000",
        "text": 'b\'{"type": "answer"}\\n\' * 100',
        "giant length": "b'\\xff\\xff\\xff\\x7f' + b'x' * 1000",
        "half a message": "b'\\x00\\x00\\x01\\x00'",
        "deep nesting": "b'[' * 200_000",
        "flood": "b'\\x00' * 30_000_000",
    }
    async with arena.scene() as scene:
        for name, data in writes.items():
            result = await scene.attack(
                f"""
                import stat
                pipes = [n for n in range(3, 1024) if not isinstance(tried(os.fstat, n), type(None)) and
                         tried(os.fstat, n).startswith("DONE") and not stat.S_ISCHR(os.fstat(n).st_mode)]
                for number in pipes:
                    try:
                        os.write(number, {data})
                    except OSError:
                        pass
                """,
                timeout_s=3,
            )
            expect(result.submission is None, f"{name}: garbage became an answer: {brief(result)}")
            expect(result.status in ("ok", "error", "killed", "timeout"), f"{name}: {brief(result)}")
            await scene.answers_again()


@check
async def lookalikes_in_the_output_do_nothing(arena: Arena) -> None:
    """Printing something that looks like an answer, a note, an error or a frame is just text."""
    frame = encode(Kind.EVENT, 0, {"type": "answer", "value": {"t": "int", "v": 42}})
    text = textwrap.dedent(
        f"""
        import sys
        print('submit(42)')
        print('{{"type": "answer", "value": {{"t": "int", "v": 42}}}}')
        print('FINAL ANSWER: 42', '__SUBMIT__ 42', 'note("x", 1)', sep='\\n')
        print('Traceback (most recent call last):\\nValueError: not really')
        print('Error: no such thing', file=sys.stderr)
        sys.stdout.buffer.write({frame!r})
        """
    )
    async with arena.scene() as scene:
        result = await scene.ends(text, "ok")
        expect(result.submission is None and not result.notes, f"printed text became an event: {brief(result)}")
        expect(result.error is None and result.events_dropped == 0, f"printed text became an error: {brief(result)}")
        expect("FINAL ANSWER: 42" in result.stdout and "not really" in result.stdout, brief(result))
        expect("no such thing" in result.stderr, brief(result))


@check
async def the_last_answer_counts(arena: Arena) -> None:
    """An answer and notes arrive typed, out of band, the last answer wins, and the next cell starts without them."""
    async with arena.scene() as scene:
        result = await scene.ends(
            """
            submit("first")
            note("rows", len(df), code_line="len(df)", depends_on=["df"])
            note("mean", df["half"].mean())
            submit({"answer": [1, 2.5, "x", None, True]})
            """,
            "ok",
        )
        expect(answer(result) == {"answer": [1, 2.5, "x", None, True]}, brief(result))
        expect([note.name for note in result.notes] == ["rows", "mean"], brief(result))
        expect(result.notes[0].code_line == "len(df)" and result.notes[0].depends_on == ("df",), brief(result))
        expect(plain(result.notes[0].value) == 200, brief(result))
        expect(result.stdout == "" and result.value is None, f"an event leaked into the output: {brief(result)}")
        after = await scene.attack("1")
        expect(after.submission is None and not after.notes, f"an event outlived its cell: {brief(after)}")
        failing = await scene.attack("submit(7)\nraise ValueError('after the answer')")
        expect(failing.status == "error" and failing.submission is not None, brief(failing))
