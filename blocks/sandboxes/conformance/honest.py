"""Honest code: what a data analyst writes in a notebook works in a session as it does anywhere."""

from __future__ import annotations

from blocks.sandboxes.conformance.harness import Arena, answer, brief, check, expect, snippets

HONEST = snippets(
    r"""
### classes
class Point:
    made = 0
    def __init__(self, x, y):
        self.x, self.y = x, y
        type(self).made += 1
    def __add__(self, other):
        return Point(self.x + other.x, self.y + other.y)
assert (Point(1, 2) + Point(3, 4)).y == 6 and Point.made == 3
### closures
def counter():
    count = 0
    def step():
        nonlocal count
        count += 1
        return count
    return step
step = counter()
assert [step() for _ in range(3)] == [1, 2, 3]
### dataclasses
from dataclasses import asdict, dataclass, field
@dataclass(order=True, frozen=True)
class Row:
    key: int
    tags: list = field(default_factory=list)
assert sorted([Row(2), Row(1)])[0].key == 1 and asdict(Row(1)) == {"key": 1, "tags": []}
### typing
from typing import NamedTuple, Protocol, TypedDict
class Pair(NamedTuple):
    left: int
    right: int = 2
assert Pair(1).right == 2
### enum
import enum
class Colour(enum.StrEnum):
    RED = "red"
assert Colour("red") is Colour.RED
### generators
def squares(n):
    for i in range(n):
        yield i * i
assert sum(squares(10)) == 285 and next(x for x in squares(9) if x > 20) == 25
### recursion
from functools import cache, reduce
@cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
assert fib(80) == 23416728348467685
### comprehension over a global
limit = 3
assert [n for n in range(10) if n < limit] == [0, 1, 2]
### match
match {"kind": "a", "n": 1}:
    case {"kind": "a", "n": n}:
        assert n == 1
### context managers
import contextlib
@contextlib.contextmanager
def managed():
    yield 5
with managed() as five:
    assert five == 5
### exceptions
try:
    df["no such column"]
except KeyError as error:
    assert "no such column" in str(error)
### files
with open("notes.txt", "w") as file:
    file.write("ä ö ü\n")
import os, pathlib
assert pathlib.Path("notes.txt").read_text() == "ä ö ü\n" and os.path.getsize("notes.txt") == 9
os.makedirs("deep/er", exist_ok=True)
os.rename("notes.txt", "deep/er/notes.txt")
assert list(pathlib.Path().rglob("*.txt"))
### copies
import shutil, zipfile
open("one", "w").write("1" * 1000)
shutil.copy("one", "two"); shutil.copy2("one", "three"); shutil.move("three", "four")
with zipfile.ZipFile("all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.write("one")
assert zipfile.ZipFile("all.zip").read("one") == b"1" * 1000
shutil.make_archive("packed", "gztar", ".", "two"); shutil.unpack_archive("packed.tar.gz", "unpacked")
shutil.rmtree("unpacked"); os.chmod("two", 0o600); os.utime("two")
### csv
df.to_csv("copy.csv", index=False)
again = pd.read_csv("copy.csv")
assert again.shape == df.shape and again["half"].sum() == df["half"].sum()
df.to_json("copy.json"); df.to_pickle("copy.pkl")
assert pd.read_pickle("copy.pkl").equals(df) and pd.read_json("copy.json").shape == df.shape
np.save("array.npy", np.arange(5)); assert np.load("array.npy").sum() == 10
np.savez_compressed("arrays.npz", a=np.eye(2))
mapped = np.memmap("mapped", dtype="f8", mode="w+", shape=10); mapped[:] = 1; mapped.flush()
### sqlite
import sqlite3
base = sqlite3.connect("base.db")
df.to_sql("t", base, index=False)
assert pd.read_sql("select sum(n) s from t", base)["s"][0] == 19900
### tempfile
import tempfile
with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("w+") as file:
    file.write("x"); file.flush()
    assert open(file.name).read() == "x"
### dates
import datetime, zoneinfo
when = datetime.datetime(2024, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Zurich"))
assert when.utcoffset() == datetime.timedelta(hours=2)
assert pd.Timestamp("2024-07-01", tz="America/New_York").utcoffset().total_seconds() == -4 * 3600
assert pd.to_datetime(df["day"]).dt.month.eq(1).all()
assert time.time() > 1.6e9 and datetime.datetime.now().year > 2020
### warnings
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warnings.warn("careful")
assert len(caught) == 1
### asyncio
import asyncio
async def double(n):
    await asyncio.sleep(0.01)
    return 2 * n
async def main():
    return await asyncio.gather(*[double(n) for n in range(5)], asyncio.to_thread(abs, -3))
assert asyncio.run(main()) == [0, 2, 4, 6, 8, 3]
### threads
import threading, queue
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    assert list(pool.map(lambda n: n * n, range(5))) == [0, 1, 4, 9, 16]
box = queue.Queue()
worker = threading.Thread(target=box.put, args=(1,)); worker.start(); worker.join()
assert box.get(timeout=1) == 1
### logging
import logging
logging.basicConfig(level=logging.INFO, force=True)
logging.getLogger("mine").info("said")
### numbers
import decimal, fractions, math, statistics, random
assert decimal.Decimal("0.1") * 3 == decimal.Decimal("0.3") and fractions.Fraction(1, 3) * 3 == 1
assert statistics.median([1, 2, 3]) == 2 and math.isclose(math.erf(1), 0.8427007929)
assert random.Random(1).random() == random.Random(1).random() and np.random.default_rng(1).random() < 1
### text
import re, string, textwrap, unicodedata, difflib, json, csv, io
assert re.findall(r"\d+", "a1b22") == ["1", "22"] and json.loads(json.dumps({"ä": [1.5]})) == {"ä": [1.5]}
assert list(csv.reader(io.StringIO("a,b"))) == [["a", "b"]] and unicodedata.normalize("NFC", "é") == "é"
### pickle
import pickle, copy
assert pickle.loads(pickle.dumps(df)).equals(df) and copy.deepcopy([1, [2]]) == [1, [2]]
### compression
import gzip, bz2, lzma, zlib, base64, hashlib, uuid, secrets
assert gzip.decompress(gzip.compress(b"x")) == lzma.decompress(lzma.compress(b"x")) == b"x"
assert hashlib.sha256(b"x").hexdigest().startswith("2d71") and uuid.uuid4() and secrets.token_hex(4)
### groupby
table = df.groupby("kind").agg(total=("n", "sum"), mean=("half", "mean"))
assert table["total"].sum() == 19900 and list(table.index) == ["a", "b", "c"]
### pivot
wide = df.assign(week=pd.to_datetime(df["day"]).dt.isocalendar().week).pivot_table("n", "kind", "week", aggfunc="sum")
assert wide.to_numpy().sum() == 19900
assert df.merge(table.reset_index(), on="kind").shape[0] == 200 and pd.crosstab(df.kind, df.gaps > 3).shape == (3, 2)
assert df.resample("D", on="when").n.sum().sum() == 19900 if "when" in df else True
### rolling
assert df["n"].rolling(3).mean().iloc[-1] == 198.0 and df["gaps"].isna().sum() == 20
assert df.describe(include="all").loc["count", "n"] == 200 and df.corr(numeric_only=True).shape == (3, 3)
df.info(buf=io.StringIO()) if "io" in globals() else None
### blas
a = np.random.default_rng(0).normal(size=(300, 300))
assert np.allclose(a @ np.linalg.inv(a), np.eye(300), atol=1e-6) and np.linalg.svd(a)[1].size == 300
assert np.fft.ifft(np.fft.fft(np.arange(8.0))).real.round().sum() == 28
### scipy
assert stats.ttest_ind(df.n, df.half).pvalue < 1e-10 and stats.pearsonr(df.n, df.half)[0] > 0.999
assert stats.chi2_contingency(pd.crosstab(df.kind, df.gaps)).dof == 12
assert stats.shapiro(df.half).pvalue < 0.05 and stats.mannwhitneyu(df.n, df.half).pvalue < 1e-6
from scipy import optimize, interpolate, cluster, signal, sparse, spatial
assert abs(optimize.minimize(lambda x: (x - 2) ** 2, 0).x[0] - 2) < 1e-4
### ols
model = smf.ols("half ~ n + C(kind)", data=df).fit()
assert abs(model.params["n"] - 0.5) < 1e-6 and "OLS Regression Results" in str(model.summary())
assert sm.OLS(df.half, sm.add_constant(df.n)).fit().rsquared > 0.999
### logit
y = (df.n + np.random.default_rng(0).normal(0, 40, 200) > 100).astype(int)
assert sm.Logit(y, sm.add_constant(df.n)).fit(disp=0).params.iloc[1] > 0
### forest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score, train_test_split
x_train, x_test, y_train, y_test = train_test_split(df[["n", "half"]], df.kind, random_state=0)
forest = RandomForestClassifier(20, n_jobs=-1, random_state=0).fit(x_train, y_train)
assert len(forest.predict(x_test)) == 50
### grid search
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 1, 10]}, n_jobs=2, cv=3)
assert search.fit(df[["n"]], df.half).best_params_["ridge__alpha"] == 0.1
### clustering
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
labels = KMeans(3, n_init=3, random_state=0).fit_predict(df[["n", "half"]])
assert len(set(labels)) == 3 and PCA(1).fit(df[["n", "half"]]).explained_variance_ratio_[0] > 0.99
### joblib
from joblib import Parallel, delayed
assert Parallel(n_jobs=2)(delayed(abs)(n) for n in (-1, -2)) == [1, 2]
### display
pd.set_option("display.max_rows", 5)
assert "..." in repr(df) or "200 rows" in repr(df)
### eval and exec
scope = {}
exec("def f(x): return x + 1", scope)
assert eval("f(1)", scope) == 2 and df.eval("n + half").sum() == 29850.0 and len(df.query("n > 100")) == 99
### introspection
import inspect, types, weakref, gc
def documented(x: int = 5) -> int:
    "Says what it does."
    return x
assert inspect.signature(documented).parameters["x"].default == 5 and "return x" in inspect.getsource(documented)
### globals
globals()["made"] = 1
assert made == 1 and __name__ == "__main__" and "df" in globals()
### environment
import os, platform
os.environ["MINE"] = "1"
assert os.environ["MINE"] == "1" and platform.system() == "Linux" and os.cpu_count() and os.getpid() and os.uname()
### main guard
ran = False
if __name__ == "__main__":
    ran = True
assert ran
"""
)


@check
async def honest_code_works_unchanged(arena: Arena) -> None:
    """Classes, closures, files, dates, threads, asyncio, pandas, scipy, statsmodels and scikit-learn just work."""
    async with arena.scene() as scene:
        for name, code in HONEST.items():
            result = await scene.attack(code)
            expect(result.status == "ok" and result.error is None, f"{name}: {brief(result)}")
            # A warning about the sandbox (no processes, no semaphores) would end up in the training data.
            quiet = name == "logging" or not result.stderr
            expect(quiet, f"{name}: honest code prints on stderr: {result.stderr[:1000]}")
            expect(result.namespace_kept and not result.submission, f"{name}: {brief(result)}")


@check
async def a_namespace_lasts_from_cell_to_cell(arena: Arena) -> None:
    """Variables, functions, classes and imports of a cell are there in the next; an error in between costs nothing."""
    async with arena.scene() as scene:
        session = scene.attacker
        await session.run("import math\nbase = 2\ndef power(n):\n    return math.pow(base, n)")
        failing = await session.run("base = 3\npower(2)\nraise ValueError('on purpose')\nbase = 99")
        expect(failing.status == "error" and failing.namespace_kept, brief(failing))
        result = await session.run("class Later:\n    value = power(2)\nLater.value")
        expect(result.value == "9.0", brief(result))
        expect([failing.cell + 1, result.status] == [result.cell, "ok"], f"cells are misnumbered: {brief(result)}")


@check
async def a_cell_shows_what_a_notebook_shows(arena: Arena) -> None:
    """The last expression's repr, its suppression, the order of prints, and errors with the user's lines only."""
    async with arena.scene() as scene:
        session = scene.attacker
        shown = {
            "1 + 1": "2",
            "'a'": "'a'",
            "None": None,
            "x = 5": None,
            "5;": None,
            "[n for n in range(3)]": "[0, 1, 2]",
            "": None,
            "# nothing": None,
            "if True:\n    7": None,
            "df.shape": "(200, 5)",
        }
        for code, value in shown.items():
            result = await session.run(code)
            expect((result.status, result.value) == ("ok", value), f"{code!r}: {brief(result)}")
        frame = await session.run("df.head(3)")
        expect(frame.value is not None and "half" in frame.value and frame.value.count("\n") == 3, brief(frame))
        failing = await session.run("def inner(x):\n    return 1 / x\n\nprint('so far')\ninner(0)")
        error = failing.error
        expect(
            error is not None and (error.name, error.message) == ("ZeroDivisionError", "division by zero"), str(error)
        )
        assert error is not None
        expect("return 1 / x" in error.traceback and "inner(0)" in error.traceback, error.traceback)
        expect(failing.stdout == "so far\n", brief(failing))
        library = await session.run("pd.read_csv('missing.csv')")
        assert library.error is not None
        expect(library.error.name == "FileNotFoundError", brief(library))
        paths = [
            word for word in ("site-packages", "/lib/", "zygote", "/usr/", "/opt/") if word in library.error.traceback
        ]
        expect(not paths, f"a traceback shows what is not the user's: {library.error.traceback}")
        wrong = await session.run("x = (1,\ny = 2")
        expect(
            wrong.error is not None and wrong.error.name == "SyntaxError" and "Cell" in wrong.error.traceback,
            brief(wrong),
        )
        asked = await session.run("input('name? ')")
        expect(asked.status == "error" and asked.error is not None and asked.error.message, brief(asked))


@check
async def plots_come_back_as_pictures(arena: Arena) -> None:
    """Figures left open at the end of a cell, or shown, come back as PNG, once each, at most as many as allowed."""
    async with arena.scene() as scene:
        session = scene.attacker
        one = await session.run("df.plot(x='n', y='half', title='Größe')")
        expect(len(one.figures) == 1 and one.figures[0].startswith(b"\x89PNG\r\n\x1a\n"), brief(one))
        expect(len(one.figures[0]) > 3000, "the picture is blank")
        none = await session.run("1")
        expect(not none.figures, "a figure came back twice")
        several = await session.run(
            "plt.hist(df.n); plt.show()\nfig, axes = plt.subplots(2, 2)\naxes[0][0].scatter(df.n, df.half)\n"
            "df.boxplot(column='n', by='kind'); plt.show()"
        )
        expect(len(several.figures) == 3, f"{len(several.figures)} figures: {brief(several)}")
        saved = await session.run(
            "plt.plot([1, 2]); plt.savefig('mine.png'); plt.close()\nimport os; os.path.getsize('mine.png') > 0"
        )
        expect(saved.value == "True" and not saved.figures, brief(saved))
        many = await session.run("for n in range(30): plt.figure(); plt.plot([n])")
        expect(many.status == "ok" and len(many.figures) <= arena.sandbox.limits.max_figures, brief(many))
        failing = await session.run("plt.plot([1]); raise ValueError('x')")
        expect(failing.status == "error", brief(failing))
        after = await session.run("plt.get_fignums()")
        expect(after.value == "[]", f"figures leak into the next cell: {brief(after)}")


@check
async def the_dataset_is_everyones_own(arena: Arena) -> None:
    """A change to df, in place or by name, is seen by no sibling and is gone after a reset."""
    async with arena.scene() as scene, await arena.sandbox.session() as other:
        await scene.attack(
            "df['n'] = 0\ndf.drop(index=df.index[10:], inplace=True)\ndf.rename(columns=str.upper, inplace=True)"
        )
        seen = await other.run("df.shape, int(df['n'].sum()), list(df.columns)")
        whole = "((200, 5), 19900, ['n', 'half', 'kind', 'day', 'gaps'])"
        expect(seen.value == whole, f"a sibling's change is seen: {brief(seen)}")
        below = await scene.attack("values = df.to_numpy(); values[:] = 0; df.iloc[:, 0].shape")
        expect(below.status in ("ok", "error"), brief(below))
        await scene.attacker.reset()
        again = await scene.attacker.run("df.shape, int(df['n'].sum()), list(df.columns)")
        expect(again.value == whole, f"after a reset: {brief(again)}")


@check
async def the_same_code_gives_the_same_output(arena: Arena) -> None:
    """Two fresh sessions give the same numbers and text for the same code, sets, hashes and random draws included."""
    code = """
import random
print(random.random(), np.random.normal(), hash("text"), {"a", "b", "c", "d"})
print(df.sample(3).to_string())
submit([np.random.rand(3), random.choice("abcdef")])
"""
    async with arena.scene() as scene:
        await scene.attacker.reset()
        first = await scene.attacker.run(code)
        await scene.attacker.reset()
        second = await scene.attacker.run(code)
        expect(first.status == "ok" and first.stdout == second.stdout, f"{brief(first)} and {brief(second)}")
        expect(first.submission == second.submission and first.submission is not None, "the answers differ")
        expect(len(answer(first)) == 2, brief(first))
