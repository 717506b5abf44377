"""Runs a pair file and returns its PAIR; any error in it becomes one sentence with file and line."""

from __future__ import annotations

import re
import sys
import types
from contextlib import redirect_stdout
from pathlib import Path

from ptxbench.device_shape import DeviceShape
from ptxbench.discovery.text import PairText, fields_of
from ptxbench.errors import PairError, suggestion
from ptxbench.pair import Pair

UNKNOWN_FIELD = re.compile(r"^(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")
MISSING_FIELD = re.compile(r"^(\w+)\.__init__\(\) missing \d+ required [a-z -]*arguments?: (.+)$")


def execute(text: PairText, device: DeviceShape) -> Pair:
    """The PAIR of the file, with its sizes on `device`.

    Raises PairError for any exception in the file or in its function of the sizes, and if the file has no PAIR.
    """
    module = types.ModuleType(f"ptxbench.pairs.{text.path.stem}", "A pair file.")
    module.__file__ = str(text.path)
    sys.modules[module.__name__] = module  # a dataclass in the file looks its own module up
    try:
        with redirect_stdout(sys.stderr):  # stdout is for results, and with --json only for the document
            exec(compile(text.tree, str(text.path), "exec"), module.__dict__)
            pair = getattr(module, "PAIR", None)
            if isinstance(pair, Pair):
                return pair.on(device)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and what other packages derive from BaseException
        raise explain(error, text) from error
    fault = "has no PAIR" if pair is None else f"makes PAIR {pair!r}"
    raise PairError(f"{text.at_pair_call()}: the file {fault}. It must end in PAIR = Pair(...).")


def explain(error: BaseException, text: PairText) -> PairError:
    """The meaning of `error`, raised while the file ran, for the author of the file."""
    line = line_of(error, text.path) or 1
    if isinstance(error, TypeError):
        if match := UNKNOWN_FIELD.match(str(error)):
            kind, name = match.groups()
            if fields := fields_of(kind):
                hint = suggestion(name, fields) or f" Its fields are {', '.join(fields)}."
                return PairError(f"{text.at(text.keyword_line(name, line))}: {kind} has no field '{name}'.{hint}")
        if (match := MISSING_FIELD.match(str(error))) and fields_of(match[1]):
            return PairError(f"{text.at(line)}: {match[1]}(...) lacks {match[2]}. Give every field without a default.")
    return PairError(f"{text.at(line)}: {describe(error)}")


def line_of(error: BaseException, path: Path) -> int | None:
    """The line of the file at `path` that was running when `error` was raised, there or in a called function."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def describe(error: BaseException) -> str:
    """`KeyError: 'x'`, on one line and ending in a full stop."""
    try:
        message = " ".join(str(error).split())
    except Exception:  # its own class fails to print it
        message = ""
    return f"{type(error).__name__}: {message}".rstrip(": .") + "."
