"""No pattern of the loader takes more time than its text is long: the texts here are the worst for each."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

_MINUTES = 10 * 60
_BEGINNING = """
import importlib, io, pkgutil, re
import sandbox_image.zygote.reading as package
from sandbox_image.zygote.reading.loader import LoadError, load
from sandbox_image.zygote.reading.refusals import check_text
from sandbox_image.zygote.reading.letters import rank

MANY = 3_000_000


def read(data: bytes) -> str:
    try:
        return str(load(io.BytesIO(data))[0].shape)
    except LoadError as error:
        return error.reason


def refused(text: str) -> str:
    try:
        check_text(text)
    except LoadError as error:
        return error.reason
    return "none"
"""


def run(code: str) -> str:
    """What a program says; it is ended when it does not come to its own end."""
    program = _BEGINNING + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=_MINUTES, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param('refused("User-agent: *\\n" + "Disallow: /a/b\\n" * 100_000)', "none", id="YAML"),
        pytest.param('read(b"User-agent: *\\n" + b"Disallow: /a/b\\n" * 100_000)', "(100000, 1)", id="robots.txt"),
        pytest.param('refused("<!---->" * 600 + "x")', "format", id="HTML"),
        pytest.param('refused("<<<<<<< a\\n=======\\n" * 100_000)', "none", id="merge conflict"),
        pytest.param('refused("a\\n" + " " * MANY + "x")', "none", id="Markdown"),
        pytest.param('refused("@a{b," + "\\n" * MANY + "!")', "none", id="BibTeX"),
        pytest.param('read(b"a,b\\n1,2\\n" + b"-" * MANY + b"x,3\\n4,5\\n")', "(3, 2)", id="ruled line"),
        pytest.param('len(rank(b"a" * MANY + b" caf\\xe9\\n")) > 0', "True", id="letters"),
        pytest.param('read(b"a,b\\n" + b"1.5,2\\n" * 50 + b"1" * MANY + b"x,3\\n")', "(51, 2)", id="plain number"),
        pytest.param('read((b"a.b-" * MANY + b":1\\n") + b"a:2\\nb:3\\nc:4\\nd:5\\n")', "(5, 2)", id="colon"),
        pytest.param('read(b"a b\\n1" + b" " * MANY + b"2\\n3 4\\n5 6\\n")', "(3, 2)", id="blanks"),
    ],
)
def test_the_worst_text_for_a_pattern_is_read_or_refused(code: str, said: str) -> None:
    assert run(f"print({code})") == said


def test_no_pattern_tries_its_text_again_and_again() -> None:
    """Each pattern of the package against many texts that nearly match."""
    done = run("""
        patterns = {}

        def collect(name, value):
            if isinstance(value, re.Pattern):
                patterns[name] = value
            elif isinstance(value, (tuple, list)):
                for at, each in enumerate(value):
                    collect(f"{name}[{at}]", each)

        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            for name, value in vars(importlib.import_module(module.name)).items():
                collect(f"{module.name}.{name}", value)
        openings = ("", "<", "@a{", "[a]\\n", "- a: b\\n", "+--+", "1", "a", "<?xml", "BEGIN", "#", "|-", "==", "(")
        pieces = (" ", "-", "=", "a", "1", "1,", "1:1 ", "a: b\\n", "<!---->", "| ", "- ", "\\n", "'", "''", "[", "+-",
                  "#\\n")
        for name, pattern in patterns.items():
            for opening in openings:
                for piece in pieces:
                    text = opening + piece * (400_000 // len(piece)) + "\\x00"
                    pattern.match(text.encode() if isinstance(pattern.pattern, bytes) else text)
        print(len(patterns))
    """)
    assert int(done) > 60
