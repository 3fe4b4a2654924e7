"""What a flow's file needs before its other imports, which take more than a second; importing this module does it.

The environment is set for Prefect. Where the flow's file is the program itself, it hears signals from here on, and
tells its arguments without loading Prefect.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from blocks.interrupts import leave_if_told, listen

HELP = {"--help", "-h"}
FLOWS = Path(__file__).resolve().parents[1] / "flows"


def begin(file: Path) -> None:
    """Hear signals from now on; where help is asked for, print it and exit.

    Args:
        file: The flow's file, which defines the flow of its own name.

    Raises:
        SystemExit: Help was asked for.
    """
    atexit.register(leave_if_told)  # First, so that it is called last.
    listen()
    if HELP & set(sys.argv[1:]):
        from blocks.arguments import declared, parse_call

        parse_call(declared(file, file.stem), f"python {sys.argv[0]}")
    _load_prefect()


def _load_prefect() -> None:
    """Prefect reads its settings when it is imported; one of nonsense is a sentence here and not yet a traceback."""
    from pydantic import ValidationError

    try:
        import prefect.context  # noqa: F401
    except ValidationError as error:
        from blocks.arguments import NOTHING_DONE, print_error
        from blocks.errors import UserError

        wrong = error.errors(include_url=False)[0]
        said = f"A setting of Prefect, {_variable(wrong['loc'])}, is {wrong['input']!r}: {wrong['msg']}."
        print_error(UserError(said, "Mend or unset it, in the environment or in Prefect's profile."))
        raise SystemExit(NOTHING_DONE) from None


def _variable(place: Sequence[int | str]) -> str:
    """The variable that a setting stands in, as far as its end tells; else the name of the setting."""
    name = str(place[-1]).upper() if place else ""
    named = [each for each in os.environ if each.startswith("PREFECT_") and name and each.endswith(name)]
    return " or ".join(sorted(named)) or name.lower()


_program = Path(getattr(sys.modules["__main__"], "__file__", None) or "").resolve()
if _program.parent == FLOWS:
    begin(_program)
