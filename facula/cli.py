"""The command `facula`: start programs written for PyTorch, and show what Facula makes of them.

Arguments are read by hand: all that follows the script is the script's own, whatever it looks like.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

USAGE = """\
usage: facula run script.py [arguments]      run a program written for PyTorch on Facula
       facula run -m module [arguments]      the same for a module, as `python -m` does
       facula explain script.py [arguments]  run it, printing what was recorded and executed
       facula bench [options]                time Facula on the project's workloads (in a checkout)
       facula --version
       facula --help

`python -m facula` is the same command, and `facula script.py` is short for `facula run script.py`.
Inside the program, `import torch` and every submodule of it give Facula. `facula explain` prints
every program that is recorded, once, to standard error; FACULA_EXPLAIN=1 makes `facula run` do so.
"""

_COMMANDS = ("run", "explain")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line `argv` (without the program's name; by default the process's own).

    Returns when the user's program ends; errors of usage exit with status 2.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if not args:
        _usage_error("no command and no script given")
    first = args[0]
    if first in ("-h", "--help"):
        print(USAGE, end="")
    elif first in ("-V", "--version"):
        print(_version())
    elif first == "bench":
        _bench(args[1:])
    elif first in _COMMANDS:
        _start(first, args[1:])
    elif first == "-m" or (not first.startswith("-") and os.path.exists(first)):
        _start("run", args)
    elif first.startswith("-"):
        _usage_error(f"unknown option {first!r}")
    elif first.endswith(".py"):
        _start("run", args)  # says that there is no such file
    else:
        _usage_error(f"{first!r} is neither a command nor a file")


def _start(command: str, args: list[str]) -> None:
    """`facula run` and `facula explain`."""
    if not args:
        _usage_error(f"'facula {command}' needs a script, or -m and a module")
    if args[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    module = args[0] == "-m"
    if module and len(args) == 1:
        _usage_error("-m needs the name of a module")
    if not module and args[0].startswith("-"):
        _usage_error(f"unknown option {args[0]!r} before the script")

    from facula import run

    try:
        run.install()
    except RuntimeError as error:
        _fail(str(error), 1)
    run.share_with_children()
    if command == "explain" or os.environ.get("FACULA_EXPLAIN", "0") not in ("", "0"):
        os.environ["FACULA_EXPLAIN"] = "1"
        _explain_programs()
    try:
        if module:
            run.run_module(args[1], args[2:])
        else:
            run.run_script(args[0], args[1:])
    except run.ScriptError as error:
        _fail(str(error), error.status)


def _bench(args: list[str]) -> None:
    """`facula bench`: `python -m benchmarks` with Facula alone, and training steps by default.

    The benchmarks are no part of the package: they stand beside it in a checkout.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not os.path.exists(os.path.join(root, "benchmarks", "__main__.py")):
        _fail("the benchmarks are in the source tree, not in the installed package", 1)
    sys.path.insert(0, root)
    import importlib

    importlib.import_module("benchmarks.__main__").main(args, "facula bench", ["steps"], ["facula"])


def _explain_programs() -> None:
    """Print each program that is recorded, once: the first time that it runs; and at the end the
    kernels that ran, with what each fuses and how fast it was."""
    import atexit

    from facula.compiler import timing
    from facula.interpreter import program
    from facula.trace.explain import explain

    build = program.Program.__init__
    count = 0

    def build_and_print(self: program.Program, r: Any, live: tuple[Any, ...]) -> None:
        nonlocal count
        build(self, r, live)
        count += 1
        what = f"program {count}: {len(self.steps[0])} of these operations are computed"
        print(f"{what}, {len(self.outputs)} results kept\n{explain()}\n", file=sys.stderr)

    program.Program.__init__ = build_and_print  # type: ignore[method-assign]
    timeline = timing.Timeline()
    timeline.__enter__()

    def print_kernels() -> None:
        timeline.__exit__()
        if timeline.events:
            print(f"kernels\n{timing.text(timing.rows(timeline.events), 40)}", file=sys.stderr)

    atexit.register(print_kernels)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    from facula.run import API_VERSION

    try:
        own = version("facula")
    except PackageNotFoundError:  # a source tree that was never installed
        from facula.version import FACULA as own
    return f"facula {own} (the interface of PyTorch {API_VERSION})"


def _usage_error(message: str) -> NoReturn:
    _fail(f"{message}\n\n{USAGE.rstrip()}", 2)


def _fail(message: str, status: int) -> NoReturn:
    print(f"facula: {message}", file=sys.stderr)
    raise SystemExit(status)
