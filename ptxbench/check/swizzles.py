"""Tiles in shared memory that a swizzled tensor copy fills or takes, and that start within a pattern of the swizzle.

Where a row's bytes are depends on the bits of the address, so the pattern begins only at multiples of its period. (CUDA
programming guide, "Tensor Memory Access", table of swizzle patterns; PTX ISA, "Swizzling Modes".)
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping

from ptxbench.check.lint_subject import LintSubject
from ptxbench.check.offsets import definitions, distance
from ptxbench.check.roots import Roots
from ptxbench.emulator.syntax import Function
from ptxbench.emulator.variables import assign_offsets, shared_variables
from ptxbench.kernel_names import demangled
from ptxbench.pair import TensorMap

TENSOR_COPY = re.compile(r"cp\.(reduce\.)?async\.bulk\.tensor\.")
TO_GLOBAL = re.compile(r"\.global\.shared\b")
FILLED, TAKEN = 0, 2
"""The place of the tile among the operands: [tile], [map, {coordinates}] or [map, {coordinates}], [tile]."""
ROW_BYTES = 128
"""The bytes of all banks of shared memory. An atom has another place in each row."""

HINT = (
    "In line {line}, a tensor copy with a swizzle of {swizzle} bytes uses {tile}. The pattern repeats every "
    "{period:,} bytes. Align {what} to {period:,} bytes, or compute the pattern from the bits of the address."
)


def misplaced_tile(subject: LintSubject, maps: Mapping[str, TensorMap], kernel: Function) -> str:
    """The hint for the first copy to or from a tile that starts within a pattern; empty if there is none.

    `maps`: the tensor maps of the pair, by the kernel's parameter names. An array whose address the text rounds, by an
    `and`, may start anywhere. A tile whose distance from the start of its array is not constant is taken for one at
    that start.
    """
    starts, _ = assign_offsets(shared_variables(subject.module, kernel))
    fixed = starts.keys() - rounded(subject)
    defined = definitions(subject.function)
    for instruction, used in subject.rooted:
        if not TENSOR_COPY.match(instruction.opcode) or len(used.operands) <= TAKEN:
            continue
        place = TAKEN if TO_GLOBAL.search(instruction.opcode) else FILLED
        tiles = used.operands[place] & fixed
        variable, offset = distance(instruction.operands[place], defined, subject.constants) or ("", 0)
        named = union(used.operands) & maps.keys()
        for name, tensor_map in itertools.product(sorted(tiles), (maps[name] for name in sorted(named))):
            within = offset if name == variable else 0
            start = starts[name] + within
            if tensor_map.swizzle and start % period(tensor_map):
                shown = f"'{demangled(name)}'"
                return HINT.format(
                    line=instruction.line, swizzle=tensor_map.swizzle, period=period(tensor_map),
                    tile=f"byte {within} of {shown}, which is byte {start} of shared memory" if within
                    else f"{shown}, which starts at byte {start} of shared memory",
                    what="that byte" if within else shown,
                )  # fmt: skip
    return ""


def period(tensor_map: TensorMap) -> int:
    """The bytes after which the pattern of a swizzled map repeats: a row for each place of an atom."""
    return tensor_map.swizzle // tensor_map.atom * ROW_BYTES


def rounded(subject: LintSubject) -> Roots:
    """What the operands of each `and` are computed from."""
    return union(union(used.operands) for instruction, used in subject.rooted if instruction.opcode.startswith("and."))


def union(roots: Iterable[Roots]) -> Roots:
    return frozenset().union(*roots)
