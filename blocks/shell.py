"""What a flow's file needs before its other imports, which take more than a second; importing this module does it.

The environment is set for Prefect. Where the flow's file is the program itself, it hears signals from here on, and
tells its arguments without loading Prefect.
"""

from __future__ import annotations

import atexit
import sys
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


_program = Path(getattr(sys.modules["__main__"], "__file__", None) or "").resolve()
if _program.parent == FLOWS:
    begin(_program)
