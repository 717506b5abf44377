"""A file with a kernel in Python, inside the process that compiles it: requests, answers, and what is wrong with it.

Imports no compiler. `compiler_process` is the other side: one request and one answer a line, as JSON.
"""

from __future__ import annotations

import ast
import contextlib
import json
import linecache
import os
import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

FAILURES = (BaseException,)
"""What a kernel's file and the import of a compiler may raise. Ctrl-C does not reach the process."""


class KernelRefused(Exception):
    """The kernel cannot be compiled; the message is for its author."""


class CompilerUnusable(Exception):
    """The compiler does not work here; the message says why."""


class NotForTarget(Exception):
    """The compiler does not know the architecture; the message says which it knows."""


def serve(compiled: Callable[..., Mapping[str, Any]]) -> None:
    """Answer each request on stdin until it ends. Whatever a kernel's file prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(answer(compiled, json.loads(line))) + "\n")
        answers.flush()


def answer(compiled: Callable[..., Mapping[str, Any]], request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was compiled, or why nothing was: `refused` for a fault of the kernel, `target` for an architecture that the
    compiler does not know, `unusable` if it does not work at all."""
    try:
        return compiled(**request)
    except KernelRefused as refused:
        return {"refused": str(refused)}
    except NotForTarget as unknown:
        return {"target": str(unknown)}
    except CompilerUnusable as unusable:
        return {"unusable": str(unusable)}


def executed(
    source: str, name: str, defines: Mapping[str, int], explained: Callable[[BaseException, str], Exception]
) -> types.ModuleType:
    """The file as a module, in which constants of these names have these values.

    Raises what `explained` makes of a failure.
    """
    module = types.ModuleType(name.removesuffix(".py"), "A kernel in Python.")
    module.__file__ = name
    # A compiler reads the text of the function, and for its messages, through linecache.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        tree = ast.parse(source, name)
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and (target := ast.unparse(statement.targets[0])) in defines:
                statement.value = ast.copy_location(ast.Constant(defines[target]), statement.value)
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(tree, name, "exec"), module.__dict__)
    except FAILURES as error:
        raise explained(error, name) from None
    return module


def without_function(name: str, entry: str, functions: list[str]) -> KernelRefused:
    """The refusal of a file without the function `entry`; `functions`: those that it has."""
    has = f"; it has {', '.join(functions)}" if functions else ""
    return KernelRefused(f"{name} has no function '{entry}'{has}. Name it after its pair.")


def wrong_parameters(name: str, line: int, entry: str, count: int, arguments: list[str]) -> KernelRefused:
    """The refusal of a function that has not a parameter for each argument of its pair."""
    has = f"{count or 'no'} parameter{'' if count == 1 else 's'}"
    return KernelRefused(
        f"{name}:{line}: '{entry}' has {has}, its pair has {len(arguments)}: {', '.join(arguments)}. "
        "They must agree, in order."
    )


ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def sentence(error: BaseException) -> str:
    """`ImportError: no module`, on one line."""
    return f"{type(error).__name__}: {' '.join(ESCAPE.sub('', str(error)).split())}".rstrip(": .")


def last_line(error: BaseException, name: str) -> int | None:
    """The line of a syntax error, or the last line of the file that ran."""
    if isinstance(error, SyntaxError):
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
