"""The data of a launch of a pair at one size, and the expected result."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptxbench.arrays import frozen
from ptxbench.discovery import display_path
from ptxbench.discovery.execute import describe, line_of
from ptxbench.discovery.text import PairText
from ptxbench.emulator import accuracy
from ptxbench.errors import PairError, UsageError
from ptxbench.pair import Pair, Size
from ptxbench.runner.plan import PairPlan
from ptxbench.units import size_words
from ptxbench.verify import ErrorOf, Expected, bound, expect, reference_outputs


@dataclass(frozen=True)
class CaseData:
    """The data of a launch, and the expected result. `where`: its size in words. The input arrays are read-only.

    `repeated`: whether to launch on it more than once.
    """

    size: Size
    where: str
    arguments: Mapping[str, Any]
    expected: Expected
    repeated: bool


def prepare_case(
    pair_plan: PairPlan, size: Size, seed: int, *, integers: bool = False, repeated: bool = False
) -> CaseData:
    """The pair's data at `size`, random or whole numbers."""
    return with_expected(
        pair_plan, size, draw_arguments(pair_plan, size, seed, integers=integers), integers=integers, repeated=repeated
    )


def prepare_cell_case(pair_plan: PairPlan, size: Size, seed: int) -> CaseData:
    """The pair's data at the size of a cell, at which it is counted or timed."""
    return prepare_case(pair_plan, size, seed, integers=pair_plan.loaded.pair.timed_on_integers)


def draw_arguments(pair_plan: PairPlan, size: Size, seed: int, *, integers: bool = False) -> Mapping[str, Any]:
    """The pair's arguments at `size`."""
    with pair_errors(pair_plan, size):
        return pair_plan.loaded.pair.make_arguments(size, seed, integers=integers)


def with_expected(
    pair_plan: PairPlan, size: Size, arguments: Mapping[str, Any], *, integers: bool = False, repeated: bool = False
) -> CaseData:
    """Arguments with the expected result."""
    with pair_errors(pair_plan, size):
        expected = expect(pair_plan.loaded.pair, arguments, integers=integers)
    where = size_words(size) + (" (whole numbers)" if integers else "")
    inputs = {name for name, value in arguments.items() if isinstance(value, np.ndarray)} - {
        *pair_plan.loaded.pair.outputs
    }
    read_only = {name: frozen(value) if name in inputs else value for name, value in arguments.items()}
    return CaseData(size, where, read_only, expected, repeated)


def tolerance_words(pair: Pair) -> str:
    """The errors that the pair allows at its check sizes, and at the size of a cell if that is another."""
    return f"{pair.tolerance.describe}; exact at its own size" if pair.timed_on_integers else pair.tolerance.describe


def largest(pair_plan: PairPlan) -> Size:
    """The check size with the most bytes: it has the most CTAs that could interfere with each other."""
    return max(pair_plan.loaded.pair.check_sizes, key=pair_plan.loaded.pair.compulsory_bytes)


def errors_of(opcodes: Iterable[str]) -> dict[str, ErrorOf]:
    return {opcode: error_of(opcode) for opcode in opcodes}


def error_of(opcode: str) -> ErrorOf:
    """The documented error of an approximate instruction."""
    documented = accuracy.bound(opcode)
    assert documented, opcode
    return documented.at


def too_large(pair_plan: PairPlan, size: Size) -> UsageError:
    loaded = pair_plan.loaded
    smaller = f"check size in {display_path(loaded.path)}" if size in loaded.pair.check_sizes else "--size"
    return UsageError(f"'{loaded.name}' at {size_words(size)} does not fit in memory. Choose a smaller {smaller}.")


@contextmanager
def pair_errors(pair_plan: PairPlan, size: Size) -> Iterator[None]:
    """Turn exceptions of the pair's own functions at `size` into a PairError that names file and line."""
    path, pair = pair_plan.loaded.path, pair_plan.loaded.pair
    try:
        with redirect_stdout(sys.stderr):  # what a reference prints is not part of the result
            yield
    except MemoryError:
        raise too_large(pair_plan, size) from None
    except PairError as error:
        raise PairError(f"{location_of(error.field, path, pair)}: at {size_words(size)}, {error}") from None
    except (Exception, SystemExit) as error:
        line = line_of(error, path)
        where = f"{display_path(path)}:{line}" if line else location_of(called_field(error), path, pair)
        raise PairError(f"{where}: at {size_words(size)}: {describe(error)}") from error


def location_of(field: str, path: Path, pair: Pair) -> str:
    """`file:line` of a function of the pair."""
    function = pair.tolerance.bound if field == "tolerance" else getattr(pair, field, None)
    return PairText.read(path).at_function(function, (field,))


CALLERS = {bound.__code__: "tolerance", reference_outputs.__code__: "reference", Pair.make_arguments.__code__: "args"}
"""The code of each function that calls a function of the pair, with the field of the pair that it calls."""


def called_field(error: BaseException) -> str:
    """The field of the pair that was called when `error` was raised in a library; empty if that is not known."""
    frames = (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))
    return next((CALLERS[code] for code in frames if code in CALLERS), "")
