"""Spoilt interpreters, evil exceptions and evil answers: code that attacks what runs it."""

from __future__ import annotations

from blocks.sandboxes.conformance.harness import Arena, answer, brief, check, expect, snippets
from blocks.sandboxes.models import CellStatus

SPOILT = snippets(
    r"""
### print
import builtins
builtins.print = None
### builtins emptied
import builtins
for name in ('len', 'repr', 'str', 'isinstance', 'open', 'list', 'dict', 'type'): setattr(builtins, name, None)
### no import
import builtins
del builtins.__import__
### no builtins
__builtins__ = {}
### json
import json
json.dumps = json.loads = lambda *a, **k: '{"type": "answer"}'
### struct
import struct
struct.pack = struct.Struct = None
### os
import os
os.write = os.read = lambda *a: 1 / 0
### time
import time
time.monotonic = time.perf_counter = time.time = lambda: -1e9
### sys
import sys
sys.excepthook = sys.displayhook = lambda *a: 1 / 0
sys.path.clear(); sys.modules.clear()
### trace
import sys, threading
sys.settrace(lambda *a: 1 / 0)
threading.settrace(lambda *a: 1 / 0)
### profile
import sys
sys.setprofile(lambda *a: 1 / 0)
### traceback
import traceback, linecache
traceback.format_exception = traceback.TracebackException = None
linecache.cache = None
### audit
import sys
def hook(*a): raise RuntimeError('audit')
sys.addaudithook(hook)
### gc
import gc
for thing in gc.get_objects():
    if type(thing) is dict and 'cell' in thing: thing.clear()
### frames
import sys
frame = sys._getframe()
while frame:
    for v in list(frame.f_locals.values()):
        if isinstance(v, (list, bytearray)): v.clear()
    frame = frame.f_back
### main
import sys
sys.modules['__main__'].__dict__.clear()
### submit
submit = note = print = None
df = None
del pd
### ast
import ast, builtins
ast.parse = builtins.compile = builtins.exec = builtins.eval = None
### warnings
import warnings
warnings.showwarning = None
warnings.simplefilter('error')
warnings.warn = None
### matplotlib
import matplotlib.pyplot as p
p.get_fignums = p.close = lambda *a: 1 / 0
p.figure = None
### pandas
import pandas
pandas.DataFrame = pandas.Series = None
pandas.DataFrame.__repr__ = None
### recursion limit
import sys
sys.setrecursionlimit(30)
### switch interval
import sys
sys.setswitchinterval(1000)
"""
)


@check
async def a_spoilt_interpreter_costs_only_itself(arena: Arena) -> None:
    """Patched builtins, modules, hooks and frames never mislead the host; after a reset all is as it was."""
    async with arena.scene() as scene:
        for name, code in SPOILT.items():
            result = await scene.attack(code, timeout_s=5)
            expect(result.status in ("ok", "error", "killed", "timeout"), f"{name}: {brief(result)}")
            expect(result.submission is None, f"{name}: an answer appeared: {brief(result)}")
            after = await scene.attacker.run("1 + 1", timeout_s=5)
            truthful = (
                after.value in ("2", None) if after.status == "ok" else after.status in ("error", "killed", "timeout")
            )
            expect(truthful, f"{name}: the next cell said {brief(after)}")
            await scene.attacker.reset()
            fresh = await scene.attacker.run("print(len(df)); submit(df['n'].sum()); df['half'].sum()")
            expect(fresh.status == "ok" and fresh.stdout == "200\n", f"{name}: after a reset {brief(fresh)}")
            expect(answer(fresh) == 19900 and "9950.0" in (fresh.value or ""), f"{name}: {brief(fresh)}")


@check
async def common_patches_do_not_stop_the_session(arena: Arena) -> None:
    """What honest but careless code overwrites (print, submit, hooks, df, list) breaks no later cell."""
    async with arena.scene() as scene:
        for name in ("print", "submit", "warnings", "sys"):
            await scene.attack(SPOILT[name], timeout_s=5)
            after = await scene.attacker.run("1 + 1")
            expect(after.status == "ok" and after.value == "2", f"{name}: {brief(after)}")
            await scene.attacker.reset()
        await scene.attack("del df")
        gone = await scene.attacker.run("df")
        expect(gone.error is not None and gone.error.name == "NameError", brief(gone))
        await scene.attack("list = dict = str = int = len = open = repr = 5\nmax = min = sum = type = id = 0")
        after = await scene.attacker.run("submit({'a': [1]})\n1 + 1")
        expect(after.value == "2" and after.submission is not None, f"shadowed names: {brief(after)}")


EVIL = snippets(
    r"""
### str raises
class E(Exception):
    def __str__(self): raise ValueError('no')
    __repr__ = __str__
raise E
### str is no text
class E(Exception):
    def __str__(self): return 5
raise E
### giant
raise ValueError('x' * 50_000_000)
### surrogates
raise ValueError('\ud800 \x00 \x1b[31m')
### evil name
raise type('E' * 100_000, (Exception,), {})('x')
### odd name
raise type('\ud800\n', (Exception,), {})('x')
### chain
e = None
for n in range(3000):
    f = ValueError(n); f.__cause__ = e; e = f
raise e
### loop
a = ValueError('a'); b = ValueError('b'); a.__context__ = b; b.__context__ = a
raise a from b
### group
raise ExceptionGroup('many', [ValueError(n) for n in range(20_000)])
### evil class
class E(Exception):
    __class__ = property(lambda self: 1 / 0)
    __module__ = 5
raise E('x')
### evil traceback
class E(Exception):
    __traceback__ = property(lambda self: 1 / 0)
raise E('x')
### metaclass
class M(type):
    __name__ = property(lambda self: 1 / 0)
    __qualname__ = __name__
class E(Exception, metaclass=M): pass
raise E('x')
### exit in str
class E(Exception):
    def __str__(self): raise SystemExit(0)
raise E
### notes
e = ValueError('x'); e.__notes__ = [5, None, 'y' * 10_000_000]
raise e
### syntax
exec('(' * 1000)
### syntax error by hand
raise SyntaxError('x', ('/etc/passwd', 1, 1, 'y' * 1_000_000))
### unicode error
b'\xff'.decode()
### hash
class E(Exception):
    __hash__ = None
    def __eq__(self, other): 1 / 0
raise E('x')
"""
)


@check
async def evil_exceptions_are_ordinary_errors(arena: Arena) -> None:
    """Exceptions that raise when shown, have no end or no sane name end as a bounded error with the variables kept."""
    async with arena.scene() as scene:
        for name, code in EVIL.items():
            await scene.attack("kept = 5")
            result = await scene.attack(code)
            expect(result.status == "error" and result.error is not None, f"{name}: {brief(result)[:3000]}")
            assert result.error is not None
            size = len(result.error.name) + len(result.error.message) + len(result.error.traceback)
            expect(size < 200_000, f"{name}: the error takes {size} characters")
            expect(result.namespace_kept and (await scene.attacker.run("kept")).value == "5", f"{name}: variables lost")


ANSWERS = snippets(
    r"""
### recursive list
x = []; x.append(x); submit(x)
### recursive dict
x = {}; x['x'] = x; submit(x)
### deep
x = []
for _ in range(100_000): x = [x]
submit(x)
### class lies
class L(list):
    __class__ = int
    def __len__(self): return -1
    def __iter__(self): 1 / 0
submit(L([1]))
### str lies
class S(str):
    def encode(self, *a): 1 / 0
    def __str__(self): return 5
submit(S('x'))
### int lies
class I(int):
    def __repr__(self): return '{'
    __str__ = __index__ = __repr__
submit(I(5))
### dict lies
class D(dict):
    def items(self):
        while True: yield 1, 2
submit(D(a=1))
### endless
def g():
    while True: yield 1
submit(g())
### repr lies
class R:
    def __repr__(self): return 5
submit(R())
### repr raises
class R:
    def __repr__(self): raise SystemExit
submit(R())
### repr giant
class R:
    def __repr__(self): return 'x' * 50_000_000
submit(R())
### getattr
class G:
    def __getattr__(self, name): 1 / 0
submit(G())
### million
submit(list(range(1_000_000)))
### huge text
submit('x' * 20_000_000)
### huge frame
submit(pd.concat([df] * 2000))
### frame of frames
submit(pd.DataFrame({'a': [df, [1], {'b': 2}]}))
### module
submit(os)
### function
submit(lambda: 1)
"""
)
VALUES = {
    "submit(float('nan'))": {"t": "float", "v": "nan"},
    "submit(float('-inf'))": {"t": "float", "v": "-inf"},
    "submit(pd.NaT)": {"t": "none"},
    "submit(pd.NA)": {"t": "none"},
    "submit(2 ** 53 + 1)": {"t": "int", "v": str(2**53 + 1)},
    "submit(np.float64(0.1))": {"t": "float", "v": 0.1},
    "submit(np.int8(-3))": {"t": "int", "v": -3},
    "submit(np.bool_(True))": {"t": "bool", "v": True},
    "submit((1, 'a'))": {"t": "list", "v": [{"t": "int", "v": 1}, {"t": "str", "v": "a"}]},
    "submit(pd.Series([1, 2]))": {"t": "list", "v": [{"t": "int", "v": 1}, {"t": "int", "v": 2}]},
    "submit(pd.Timestamp('2020-01-31').date())": {"t": "date", "v": "2020-01-31"},
    "submit(pd.Series({'a': 1}))": {"t": "map", "v": [[{"t": "str", "v": "a"}, {"t": "int", "v": 1}]]},
}


@check
async def evil_answers_do_no_harm(arena: Arena) -> None:
    """Answers that recurse, lie, raise or are too large arrive bounded, or are refused; never as something else."""
    async with arena.scene() as scene:
        for name, code in ANSWERS.items():
            result = await scene.attack(f"kept = 5\n{code}", timeout_s=45)
            fair: tuple[CellStatus, ...] = ("ok", "error")
            if name in ("dict lies", "repr giant", "huge frame"):
                fair = ("ok", "error", "timeout", "memory")
            expect(result.status in fair, f"{name}: {brief(result)[:2000]}")
            if result.submission is not None:
                size = len(str(result.submission.value))
                expect(size < 4_000_000, f"{name}: an answer of {size} characters arrived")
            elif result.status == "ok":
                expect(result.events_dropped, f"{name}: the answer vanished without a word: {brief(result)}")
            expect(result.error is None or result.error.name != "SystemError", f"{name}: {brief(result)}")
            await scene.answers_again()


@check
async def answers_keep_their_type(arena: Arena) -> None:
    """Numbers, missing values, dates, texts and tables arrive as the typed values they were."""
    async with arena.scene() as scene:
        for code, value in VALUES.items():
            result = await scene.attack(code)
            expect(result.submission is not None, f"{code}: {brief(result)}")
            assert result.submission is not None
            expect(result.submission.value == value, f"{code}: {result.submission.value}")
        odd = await scene.ends("submit('\\ud800 \\x00 \\u2028 \U0001f600')", "ok", "error")
        expect(odd.submission is not None or odd.status == "error" or odd.events_dropped, brief(odd))
        huge = await scene.ends("submit(10 ** 5000)", "ok")
        large = str(huge.submission.value) if huge.submission else ""
        expect("1000000" in large or "too large" in large, brief(huge)[:2000])
        table = await scene.ends("submit(df.groupby('kind')['n'].sum().to_frame())", "ok")
        assert table.submission is not None
        expect(table.submission.value["t"] == "table" and len(table.submission.value["rows"]) == 3, brief(table))
