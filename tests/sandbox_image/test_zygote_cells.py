"""What a cell shows: values, output, errors, figures and events, over the wire of a real zygote."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sandbox_image.zygote.protocol import Kind
from tests.sandbox_image.driver import LIMITS, ROOT, Outcome, Zygote

Run = Callable[..., Outcome]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("1 + 1", "2"),
        ("x = 1\nx", "1"),
        ("'text'", "'text'"),
        ("None", None),
        ("x = 5", None),
        ("5;", None),
        ("5;  # a remark", None),
        ("'a;'", "'a;'"),
        ("", None),
        ("# nothing", None),
        ("if True:\n    7", None),
        ("df.shape", "(3, 2)"),
        ("import asyncio\nawait asyncio.sleep(0, 'woke')", "'woke'"),
        ("import asyncio\nasync def f():\n    return 3\nasyncio.run(f())", "3"),
        ("[x async for x in __import__('asyncio').sleep(0)] if False else 'sync'", "'sync'"),
        ("__name__", "'__main__'"),
        ("import pickle\nclass A: pass\ntype(pickle.loads(pickle.dumps(A()))) is A", "True"),
        ("import inspect\ndef f(): return 1\ninspect.getsource(f)", r"'def f(): return 1\n'"),
        ("from __future__ import annotations\ndef f(a: Missing): pass\nf.__annotations__", "{'a': 'Missing'}"),
        ("def f(a: int): pass\nf.__annotations__", "{'a': <class 'int'>}"),
        ("open('note.txt', 'w').write('x'); open('note.txt').read()", "'x'"),
        ("df.to_csv('t.csv', index=False); pd.read_csv('t.csv').equals(df)", "True"),
        ("import os; sorted(os.environ)[:1] == ['HOME'] and os.getcwd() == os.environ['HOME']", "True"),
        ("import shutil; open('a', 'w').close(); shutil.copy2('a', 'b')", "'b'"),
        ("sm.OLS([1., 2, 3], [1., 2, 3]).fit().params.round(3).tolist()", "[1.0]"),
        ("stats.ttest_1samp([1., 2, 3], 2).pvalue", "np.float64(1.0)"),
        ("from sklearn.cluster import KMeans\nKMeans(1, n_init=1).fit_predict(df[['value']]).tolist()", "[0, 0, 0]"),
        (
            "from sklearn.utils.parallel import Parallel, delayed\nParallel(n_jobs=2)(delayed(abs)(i) for i in [-1])",
            "[1]",
        ),
        ("import threadpoolctl; len(threadpoolctl.threadpool_info()) > 0", "True"),
        ("import sqlite3; sqlite3.connect('x.db').execute('select 1').fetchall()", "[(1,)]"),
        ("import tempfile; tempfile.TemporaryFile().write(b'x')", "1"),
        ("from zoneinfo import ZoneInfo; str(ZoneInfo('Europe/Paris'))", "'Europe/Paris'"),
    ],
)
def test_cells_behave_like_a_notebooks(run: Run, code: str, value: str | None) -> None:
    outcome = run(code)
    assert outcome.status == "ok", outcome.events
    assert outcome.value == value
    assert outcome.kept


def test_names_persist_from_cell_to_cell(run: Run) -> None:
    run("def double(x):\n    return factor * x\nfactor = 2")
    assert run("double(21)").value == "42"


def test_streams_are_kept_apart(run: Run) -> None:
    outcome = run("import os, sys\nprint('out')\nprint('err', file=sys.stderr)\nos.write(1, b'raw')\nNone")
    assert (outcome.stdout, outcome.stderr) == ("out\nraw", "err\n")


def test_output_arrives_while_the_cell_runs(zygote: Zygote, session: int) -> None:
    zygote.begin(session, "print('early')\nimport time\ntime.sleep(600)")
    assert zygote.receive(Kind.STDOUT, session=session).payload == b"early\n"
    zygote.send(Kind.INTERRUPT, session)
    outcome = zygote.finish(session)
    assert (outcome.status, outcome.kept, outcome.reason) == ("error", True, "interrupted by the host")
    assert outcome.error["name"] == "KeyboardInterrupt"


def test_long_output_keeps_head_and_tail_and_counts_the_rest(run: Run) -> None:
    outcome = run("for i in range(100_000): print(i)")
    whole = "".join(f"{number}\n" for number in range(100_000))
    head, tail = LIMITS["output_head_bytes"], LIMITS["output_tail_bytes"]
    assert outcome.stdout == whole[:head] + whole[-tail:]
    assert outcome.end["stdout_dropped"] == len(whole) - head - tail


def test_a_flood_without_line_ends_is_no_different(run: Run) -> None:
    outcome = run("import sys; sys.stderr.write('é' * 5_000_000); None")
    assert outcome.end["stderr_dropped"] + len(outcome.stderr.encode()) == 10_000_000
    assert set(outcome.stderr) == {"é"}


def test_what_is_no_text_is_shown_escaped(run: Run) -> None:
    assert run("print('\\ud800')").stdout == "\\ud800\n"
    assert run("'\\ud800'").value == "'\\ud800'"


@pytest.mark.parametrize(
    "damage",
    [
        "import os; os.close(1); os.close(2)",
        "import sys; sys.stdout.close(); sys.stderr = None",
        "import sys, io; sys.stdout = io.StringIO(); sys.__stdout__ = None",
        "import os; os.dup2(2, 1)",
        "import os; os.set_blocking(1, False); os.set_blocking(4, False)",
        "import sys; sys.setrecursionlimit(60)",
        "import sys; sys.settrace(lambda *a: 1 / 0)",
        "import json, os, struct, time, io, signal\n"
        "json.loads = json.dumps = os.read = os.write = os.dup2 = struct.Struct = time.monotonic = None\n"
        "io.FileIO = signal.signal = None",
        "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)",
        "print = len = repr = None",
        "import sys; sys.excepthook = sys.displayhook = None; sys.modules.pop('linecache', None)",
        "del df, pd, np, submit",
        "import gc; gc.disable(); gc.get_objects()[0]; None",
    ],
)
def test_damage_to_its_own_process_ends_with_the_cell(run: Run, damage: str) -> None:
    assert run(damage).kept
    outcome = run("import sys\nsys.stdout.write('out\\n')\nsys.stderr.write('err\\n')\n40 + 2")
    assert (outcome.status, outcome.value) == ("ok", "42")
    assert (outcome.stdout, outcome.stderr) == ("out\n", "err\n")


def test_printed_text_before_a_closed_stream_stays_with_its_cell(run: Run) -> None:
    assert run("import os; print('mine', end=''); os.close(1)").stdout == "mine"
    assert run("print('next')").stdout == "next\n"


def test_a_traceback_shows_the_users_frames_only(run: Run) -> None:
    run("def inner(x):\n    return df[x]\n")
    outcome = run("def outer():\n    return inner('missing')\nouter()")
    trace = outcome.error["traceback"]
    assert (outcome.status, outcome.error["name"], outcome.error["message"]) == ("error", "KeyError", "'missing'")
    assert "line 3, in <module>\n    outer()" in trace
    assert "line 2, in inner\n    return df[x]" in trace
    assert trace.endswith("KeyError: 'missing'\n")
    assert "site-packages" not in trace
    assert str(ROOT) not in trace
    assert "sandbox_image" not in trace


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        (
            "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('b') from e",
            ["direct cause", "line 2"],
        ),
        ("try:\n    {}[1]\nexcept KeyError:\n    int('x')", ["During handling", "line 4", "KeyError: 1"]),
        ("raise ExceptionGroup('many', [ValueError('one'), TypeError('two')])", ["ValueError: one", "TypeError: two"]),
        ("def f(): f()\nf()", ["RecursionError", "Previous line repeated"]),
        ("a = 1\nb = = 2", ["line 2\n", "b = = 2", "SyntaxError: invalid syntax"]),
        ("if True:\nx = 1", ["IndentationError"]),
        ("x = '\\0'\neval('x +')", ["line 2, in <module>", "SyntaxError"]),
        ("raise KeyboardInterrupt", ["KeyboardInterrupt"]),
        ("import sys; sys.exit(0)", ["SystemExit: 0"]),
        ("exit()", ["SystemExit"]),
        ("input('name?')", ["input() cannot be answered here"]),
        ("await 1", ["can't be used in 'await' expression"]),
        ("return 5", ["'return' outside function"]),
        ("open('helper.py', 'w').write('def go(): 1 / 0')\nimport helper\nhelper.go()", ['File "helper.py", line 1']),
        ("raise ValueError('x' * 100_000)", ["characters left out"]),
    ],
)
def test_errors_read_well(run: Run, code: str, parts: list[str]) -> None:
    outcome = run(code)
    assert (outcome.status, outcome.kept) == ("error", True)
    for part in parts:
        assert part in outcome.error["traceback"]
    assert len(outcome.error["traceback"]) < 40_000


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("def __str__(self): return 1 / 0", "E"),
        ("def __str__(self): raise SystemExit", "E"),
        ("def __str__(self): return 5", "E"),
        ("def __repr__(self): raise KeyboardInterrupt\n    def __str__(self): raise KeyboardInterrupt", "E"),
        ("__class__ = property(lambda self: 1 / 0)\n    __module__ = 5", "E"),
        ("__traceback__ = property(lambda self: 1 / 0)\n    __cause__ = 5", "E"),
        ("with_traceback = None\n    args = property(lambda self: 1 / 0)", "E"),
    ],
)
def test_exceptions_with_broken_classes_are_reported_all_the_same(run: Run, body: str, name: str) -> None:
    outcome = run(f"class E(Exception):\n    {body}\nraise E('x')")
    assert (outcome.status, outcome.kept, outcome.error["name"]) == ("error", True, name)
    assert run("1").value == "1"


def test_a_value_whose_repr_fails_is_an_error_of_the_cell(run: Run) -> None:
    outcome = run("class B:\n    def __repr__(self): raise ValueError('no')\nB()")
    assert (outcome.status, outcome.error["message"]) == ("error", "no")


def test_a_long_value_is_cut_and_says_so(run: Run) -> None:
    event = run("'x' * 1_000_000").events[0]
    assert event["truncated"]
    assert len(event["repr"]) == LIMITS["output_head_bytes"] + LIMITS["output_tail_bytes"]


def test_warnings_name_the_cell_and_no_path(run: Run) -> None:
    outcome = run("import warnings\nwarnings.warn('careful')\nnp.float64(1) / 0; None")
    assert "line 2: UserWarning: careful" in outcome.stderr
    assert "RuntimeWarning" in outcome.stderr
    assert "/" not in outcome.stderr.replace("Cell", "")


def test_a_failing_thread_and_destructor_show_no_path(run: Run) -> None:
    outcome = run(
        "import threading\ndef f(): 1 / 0\nt = threading.Thread(target=f); t.start(); t.join()\n"
        "class D:\n    def __del__(self): raise ValueError('del')\nD(); None"
    )
    assert "ZeroDivisionError" in outcome.stderr
    assert "ValueError: del" in outcome.stderr
    assert "threading.py" not in outcome.stderr


def test_figures_are_pngs_and_closed_afterwards(run: Run) -> None:
    outcome = run("plt.plot([1, 2])\nplt.show()\nplt.figure(); plt.plot([2, 1]);")
    assert len(outcome.figures) == 2
    assert all(png.startswith(b"\x89PNG\r\n\x1a\n") for png in outcome.figures)
    again = run("plt.get_fignums()")
    assert (again.value, again.figures) == ("[]", [])


def test_the_same_plot_is_the_same_file(run: Run) -> None:
    assert run("df.plot();").figures == run("df.plot();").figures


def test_figures_past_the_limit_are_left_out_and_said(run: Run) -> None:
    outcome = run("for i in range(5): plt.figure()")
    assert len(outcome.figures) == LIMITS["max_figures"]
    assert "3 figures were left out" in outcome.stderr


def test_a_figure_over_the_size_limit_is_left_out_and_said(run: Run) -> None:
    outcome = run("plt.imshow(np.random.rand(1500, 1500)); plt.gcf().set_size_inches(20, 20)")
    assert outcome.figures == []
    assert "too large" in outcome.stderr


def test_a_figure_that_cannot_be_drawn_is_an_error_of_the_cell(run: Run) -> None:
    outcome = run("plt.title('$\\\\badmath{$')")
    assert outcome.status == "error"
    assert run("plt.get_fignums()").value == "[]"


def test_answers_and_notes_travel_apart_from_output(run: Run) -> None:
    outcome = run("submit({'n': 3})\nnote('mean', df['value'].mean(), 'df.value.mean()', ['n'])\nprint('done')")
    assert outcome.stdout == "done\n"
    assert outcome.events == [
        {"type": "answer", "value": {"t": "map", "v": [[{"t": "str", "v": "n"}, {"t": "int", "v": 3}]]}},
        {
            "type": "note",
            "name": "mean",
            "value": {"t": "float", "v": 2.0},
            "code_line": "df.value.mean()",
            "depends_on": ["n"],
        },
    ]


def test_printing_what_looks_like_an_answer_is_printing(run: Run) -> None:
    text = json.dumps({"type": "answer", "value": {"t": "int", "v": 1}})
    outcome = run(f"print({text!r})\nimport os\nos.write(1, {text.encode()!r})\nNone")
    assert outcome.events == []
    assert text in outcome.stdout


def test_misused_notes_are_the_users_error(run: Run) -> None:
    assert run("note(5, 1)").error["name"] == "TypeError"
    assert run("note('a', 1, depends_on=[5])").error["name"] == "TypeError"
    assert run("note('a' * 500_000, 1)").error["name"] == "ValueError"
    assert run("note('a', 'x' * 500_000)").events[0]["value"]["t"] == "other"


def test_answers_from_many_threads_are_never_torn(run: Run) -> None:
    outcome = run(
        "import threading\n"
        "def send(): [submit('x' * 5_000) for _ in range(20)]\n"
        "ts = [threading.Thread(target=send) for i in range(10)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]; None"
    )
    assert len(outcome.events) == 200
    assert all(event["value"]["v"].startswith("x" * 5_000) for event in outcome.events)


def test_more_events_than_anyone_needs_are_dropped_and_counted(run: Run) -> None:
    outcome = run("for i in range(5_000): submit(i)")
    assert len(outcome.events) + outcome.end["events_dropped"] == 5_000
    assert outcome.end["events_dropped"] > 0
    assert outcome.status == "ok"


def test_tables_print_the_same_everywhere(run: Run) -> None:
    wide = run("pd.DataFrame(np.zeros((100, 40)))").value
    assert wide is not None
    assert "..." in wide
    assert max(map(len, wide.splitlines())) <= 120


def test_a_replayed_session_gives_the_same_numbers(zygote: Zygote, session: int) -> None:
    code = "import random\n(np.random.rand(3).tolist(), random.random(), list({'a', 'b', 'c', 'dd'}))"
    first = zygote.run(session, code).value
    second = zygote.run(session, code).value
    zygote.send(Kind.RESET, session)
    zygote.receive(Kind.OPENED, session=session)
    assert zygote.run(session, code).value == first != second


def test_what_is_measured_is_the_cell(run: Run) -> None:
    sleeping = run("import time; time.sleep(0.3)").end
    assert sleeping["wall_s"] >= 0.3
    assert sleeping["cpu_s"] < sleeping["wall_s"]
    busy = run("import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass").end
    assert 0.19 <= busy["cpu_s"] <= busy["wall_s"] + 0.05
    hungry = run("np.ones(20_000_000); None").end
    assert 150_000_000 <= hungry["peak_bytes"] <= 250_000_000
    assert run("1").end["peak_bytes"] < 100_000_000
