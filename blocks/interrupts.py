"""The end of a command by a signal: its work is cancelled, one sentence is said, and within seconds it is gone.

The work is done in a thread, so that the main thread, the only one that Python tells of signals, has nothing else to do
than to hear them: also while the work computes, waits for a server or hangs. Imports the standard library alone, as it
is the first that a command imports.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

T = TypeVar("T")

GRACE_S: Final = 7.0
"""How long the work may take to put itself in order. What it has not done by then, the next run does."""
EXIT_S: Final = 2.0
"""How long the interpreter may then take to deliver what is under way and to wait for its threads."""
REMEDY: Final = "Run the same command again: it goes on where it stopped."


class Ending(NamedTuple):
    """What is said when a signal has ended a command, and its exit code."""

    sentence: str
    code: int


ENDINGS: Final = {
    signal.SIGINT: Ending("Interrupted.", 1),
    signal.SIGTERM: Ending("Terminated.", 128 + signal.SIGTERM),
    signal.SIGHUP: Ending("The terminal was closed.", 128 + signal.SIGHUP),
}


class Told(BaseException):
    """A signal has told this command to end."""


class _State:
    def __init__(self) -> None:
        self.listening = False
        self.working = False
        self.ending: Ending | None = None
        self.done: int | None = None
        self.said = False
        self.cancels: set[Callable[[], object]] = set()


_state = _State()


def listen() -> None:
    """End this process by one sentence when a signal comes: at once, as long as it does no work that is put in order.

    A signal that is ignored stays so: `nohup`, and a shell's background jobs, begin a command that way.
    """
    if _state.listening:
        return
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _hear)
    _state.listening = True


def run_command(work: Callable[[], int]) -> int:
    """Do the work of a command and return its exit code, or that of the signal that has ended it.

    The first signal cancels what `run_until_told` runs, which has some seconds to put itself in order; a second one
    ends the process at once.
    """
    done: Future[int] = Future()
    context = contextvars.copy_context()

    def target() -> None:
        try:
            done.set_result(context.run(work))
        except BaseException as error:
            done.set_exception(error)

    with _at_work():
        thread = threading.Thread(target=target, name="command", daemon=True)
        thread.start()
        thread.join()
        if _state.ending is not None:
            _say(_state.ending)
            _leave_in(EXIT_S)
            return _state.ending.code
        code = done.result()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        _state.done = code
        return code


def leave_if_told() -> None:
    """Skip what is left of the interpreter's exit once everything has put itself in order.

    Python hears no signal any more while it takes itself apart: a second one would look like a crash.
    """
    if _state.ending is not None:
        _leave()


def run_until_told(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` for the work of a command.

    Raises:
        Told: A signal came, and the coroutine was cancelled.
    """
    try:
        return asyncio.run(_cancellable(main))
    except asyncio.CancelledError:
        check_signals()
        raise


def check_signals() -> None:
    """Give up what would go on without looking.

    Raises:
        Told: A signal has told this command to end.
    """
    if _state.ending is not None:
        raise Told


def give_up(sentence: str) -> None:
    """End the command as a signal does, from any thread: what its work needs has gone, and it might wait for long.

    Args:
        sentence: What has gone.
    """
    if _state.working and _state.ending is None:
        _end(Ending(sentence, ENDINGS[signal.SIGINT].code))


async def _cancellable(main: Coroutine[Any, Any, T]) -> T:
    loop, task, threads = asyncio.get_running_loop(), asyncio.current_task(), ThreadPoolExecutor()
    assert task is not None
    loop.set_default_executor(threads)

    def cancel() -> None:
        loop.call_soon_threadsafe(task.cancel)

    _state.cancels.add(cancel)
    try:
        if _state.ending is not None:  # It came before there was anything to cancel.
            cancel()
        return await main
    finally:
        _state.cancels.discard(cancel)
        if _state.ending is not None:
            # A thread hears of no signal: the loop, which waits for its threads, must not wait for one that waits
            # for a server.
            threads.shutdown(wait=False, cancel_futures=True)
            loop.set_default_executor(ThreadPoolExecutor())


@contextmanager
def _at_work() -> Iterator[None]:
    """Signals give the work time; those who call a command's function, as tests do, have their handlers back after."""
    before = {} if _state.listening else {number: signal.getsignal(number) for number in ENDINGS}
    listen()
    _state.working = True
    try:
        yield
    finally:
        _state.working = False
        if before:
            for number, handler in before.items():
                signal.signal(number, handler)
            _state.listening = False


def _hear(number: int, _: FrameType | None) -> None:
    again, ending = _state.ending is not None, _state.ending or ENDINGS[signal.Signals(number)]
    _state.ending = ending
    if not _state.working and _state.done is not None:
        os._exit(_state.done)  # All is done and told: what it stops is the exit, and nothing is to be gone on with.
    if again or not _state.working:
        _leave()
    _end(ending)


def _end(ending: Ending) -> None:
    _state.ending = ending
    _leave_in(GRACE_S)
    for cancel in list(_state.cancels):
        cancel()


def _leave_in(seconds: float) -> None:
    """Counts to the very end of the process: what hangs in the interpreter's own exit is cut off too."""
    timer = threading.Timer(seconds, _leave)
    timer.daemon = True
    timer.start()


def _leave() -> NoReturn:
    """End this process now. Locks and sandboxes end with it: the kernel sees to both."""
    assert _state.ending is not None
    _say(_state.ending)
    os._exit(_state.ending.code)


def _say(ending: Ending) -> None:
    """The sentence, once, by the plainest means: a half-imported or locked library must not keep it back."""
    if _state.said:
        return
    _state.said = True
    bold, plain = ("\x1b[1;31m", "\x1b[0m") if os.isatty(2) else ("", "")
    # A closed terminal takes nothing any more.
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        if os.isatty(1):
            os.write(1, b"\x1b[?25h")  # A live display that was cut off has hidden the cursor.
    with contextlib.suppress(OSError):
        os.write(2, f"{bold}Error: {plain}{ending.sentence} {REMEDY}\n".encode())
