"""Indices that are cut to fewer bits than a size of the pair needs, such as 24 bits, or to the precision of a float.

The sizes that are launched are small, so that such an index has all its bits. Here the text says which instructions
cut an index. Before each of them a check is inserted that traps where bits are lost, and the last CTA alone is launched
at the sizes that the pair names, on zeros, which take no memory. A kernel may have other use for the lost bits, so
only a launch at such a size can reject it.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ptxbench.check.launching import POISON, THREADS, CheckKernel
from ptxbench.check.roots import LOADS, NO_RESULT, constants, value_of, written_registers
from ptxbench.check.space import SizeSpace
from ptxbench.emulator.chain import run_steps
from ptxbench.emulator.memory import ZeroArray
from ptxbench.emulator.process import stop_process
from ptxbench.emulator.syntax import Address, Function, Instruction, Module, Register, registers
from ptxbench.errors import KernelError, KernelTrap, LaunchError
from ptxbench.pair import ArrayArgument, Out, Pair, Scalar, Scratch, Size, declared

LEAST_BITS = 8
"""An index of fewer bits is too narrow for the check sizes too, or the low bits of a number that is used whole."""

MOST_BITS = 31
"""No array that the pairs name has more elements than indices of so many bits can tell apart."""

FUEL = 1 << 16
"""Loop iterations of a warp in such a launch: a CTA that loops over much of the array does so elsewhere too."""

MOST_TICKETS = 64
"""Elements of an array from which CTAs draw numbers."""

KEEPS = re.compile(r"(?:and|bfe|cvt)\.")
CUTS = re.compile(
    r"and\.b(?P<and>32|64)"
    r"|bfe\.[us](?P<bfe>32|64)"
    r"|cvt\.(?P<sign>[us])(?P<to>8|16)\.[us](?P<from>32|64)"
    r"|(?P<mul>mul24|mad24)\.lo\.[us]32"
    r"|cvt\.r[nzmp]i\.[us](?:32|64)\.(?P<float>f32)"
)
ADDRESSED = re.compile(r"(?:ld|st|atom|red|cp|prefetch)\b(?!.*\.(?:shared|param|const|local)\b)")
STATEMENT = re.compile(r"(?:^|(?<=[;:{}]))\s*(?=(?:@!?\s*[%\w$]+\s+)?(?P<opcode>[a-z][\w.:]*)\s)")
"""The start of an instruction in a line."""


@dataclass(frozen=True)
class Cut:
    """An instruction that cuts an index. `bits`: how many are left. `check`: PTX that sets %cut_lost to what is lost,
    as declared in `declares`."""

    instruction: Instruction
    bits: int
    declares: str
    check: str

    @property
    def line(self) -> int:
        return self.instruction.line

    def inserted(self) -> str:
        """The check, in one line: a trap if bits are lost by a thread that executes the instruction."""
        guard = self.instruction.guard
        condition = "" if guard is None else f", {'!' if self.instruction.negated else ''}{guard.name}"
        test = "setp.ne.and" if guard is not None else "setp.ne"
        width = "64" if ".b64 %cut_lost" in self.declares else "32"
        return (
            f"{{ .reg .pred %cut_now; {self.declares} {self.check} "
            f"{test}.u{width} %cut_now, %cut_lost, 0{condition}; @%cut_now trap; }} "
        )


def cuts_of(module: Module, entry: str) -> list[Cut]:
    """The instructions of a kernel that cut what an address in global memory is computed from."""
    function = module.functions.get(entry)
    if function is None:
        return []
    matches = [(instruction, kind_of_cut(instruction.opcode)) for instruction in function.instructions]
    known = constants(function) if any(match for _, match in matches) else {}
    every = [cut_of(instruction, match, known) for instruction, match in matches if match]
    cuts = [cut for cut in every if cut is not None and LEAST_BITS <= cut.bits < MOST_BITS]
    if not cuts:
        return []
    used, high = addressing(function), high_parts(function, known)
    return [
        cut
        for cut in cuts
        if not used.isdisjoint(written_registers(cut.instruction.operands[0])) and not has_rest(cut, high)
    ]


def has_rest(cut: Cut, high: Mapping[str, Sequence[int]]) -> bool:
    """Whether the bits that are cut off are used elsewhere; `high`: as from `high_parts`."""
    source = cut.instruction.operands[1]
    shifts = high.get(source.name, ()) if isinstance(source, Register) else ()
    return bool(KEEPS.match(cut.instruction.opcode)) and any(shift <= cut.bits for shift in shifts)


@functools.cache
def kind_of_cut(opcode: str) -> re.Match[str] | None:
    return CUTS.fullmatch(opcode)


def addressing(function: Function) -> set[str]:
    """The registers that addresses in global memory may be computed from, wherever in the kernel."""
    sources: dict[str, set[str]] = {}
    waiting: list[str] = []
    for instruction in function.instructions:
        if ADDRESSED.match(instruction.opcode):
            for operand in instruction.operands:
                if isinstance(operand, Address):
                    waiting += registers(operand)
        if not instruction.operands or instruction.opcode.startswith((*NO_RESULT, *LOADS)):
            continue
        target, *others = instruction.operands
        for name in written_registers(target):
            sources.setdefault(name, set()).update(name for operand in others for name in registers(operand))
    found: set[str] = set()
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += sources.get(name, ())
    return found


def high_parts(function: Function, known: Mapping[str, int]) -> dict[str, list[int]]:
    """The registers whose high bits are taken too, with the shifts: with them the low bits are the whole number."""
    found: dict[str, list[int]] = {}
    for instruction in function.instructions:
        if instruction.opcode.startswith(("shr.", "bfe.")) and isinstance(instruction.operands[1], Register):
            shift = value_of(instruction.operands[2], known)
            if shift:
                found.setdefault(instruction.operands[1].name, []).append(shift)
    return found


def cut_of(instruction: Instruction, match: re.Match[str], known: Mapping[str, int]) -> Cut | None:
    """What an instruction cuts; None if it is not known to keep only the low bits."""
    operands = instruction.operands
    sources = [operand.name for operand in operands[1:3] if isinstance(operand, Register)]
    if match["and"]:
        masks = [mask for operand in operands[1:3] if (mask := value_of(operand, known)) is not None]
        mask = masks[0] & (1 << int(match["and"])) - 1 if len(masks) == 1 and sources else 0
        return above(instruction, sources, mask.bit_length(), match["and"]) if mask else None
    if match["bfe"]:
        position, length = (value_of(operand, known) for operand in operands[2:4])
        return above(instruction, sources[:1], length, match["bfe"]) if position == 0 and length and sources else None
    if match["to"] and sources:
        return above(instruction, sources[:1], int(match["to"]), match["from"], signed=match["sign"] == "s")
    if match["mul"] and sources:
        return above(instruction, sources, 24, "32", signed=".s32" in instruction.opcode)
    if match["float"] and sources:  # from 2^24 on a float is even
        declares = ".reg .b32 %cut_lost; .reg .pred %cut_even;"
        check = f"setp.ge.f32 %cut_even, {sources[0]}, 0f4B800000; selp.b32 %cut_lost, 1, 0, %cut_even;"
        return Cut(instruction, 24, declares, check)
    return None


def above(instruction: Instruction, sources: Sequence[str], bits: int, width: str, *, signed: bool = False) -> Cut:
    """A cut that keeps the low `bits` of each source; what is above them is lost, or for a signed number any bit that
    is not that of its sign."""
    rest = (1 << int(width)) - (1 << bits)
    check = f"mov.b{width} %cut_lost, 0;"
    for name in sources:
        moved = f"add.s{width} %cut_part, {name}, {1 << bits - 1};" if signed else f"mov.b{width} %cut_part, {name};"
        check += f" {moved} and.b{width} %cut_part, %cut_part, {rest}; or.b{width} %cut_lost, %cut_lost, %cut_part;"
    return Cut(instruction, bits, f".reg .b{width} %cut_lost, %cut_part;", check)


def with_checks(ptx: str, cuts: Sequence[Cut]) -> str | None:
    """The text with a check before each cut, in the same lines; None if it is not clear where a cut is in its line."""
    lines = ptx.split("\n")
    for cut in cuts:
        line = lines[cut.line - 1]
        starts = [match.end() for match in STATEMENT.finditer(line) if match["opcode"] == cut.instruction.opcode]
        if len(starts) != 1:
            return None
        lines[cut.line - 1] = line[: starts[0]] + cut.inserted() + line[starts[0] :]
    return "\n".join(lines)


def zeros_for(pair: Pair, size: Size, tickets: int) -> dict[str, Any]:
    """The arguments at a size: its scalars, and arrays of zeros. `tickets`: what small arrays that only the kernel
    needs hold instead, from which it may draw what a CTA does."""
    values: dict[str, Any] = {}
    for arg in pair.args:
        if isinstance(arg, Scalar):
            values[arg.name] = arg.dtype.type(declared(arg, size))
        elif isinstance(arg, Scratch) and math.prod(arg.shape(**size)) <= MOST_TICKETS:
            values[arg.name] = np.full(arg.shape(**size), tickets, arg.dtype)
        elif isinstance(arg, ArrayArgument):
            values[arg.name] = np.zeros(arg.shape(**size), arg.dtype).view(ZeroArray)
        else:
            values[arg.name] = pair.tiled_map(arg, size)
    return values


@dataclass(frozen=True)
class CutProbe:
    """Launches a kernel with checks before its cuts, for one pair. `kernel`: with the checks."""

    pair: Pair
    kernel: CheckKernel

    def lost_at(self, size: Size) -> int | None:
        """The line of a cut that loses bits at a size, in the last CTA; None if none does, or if that is not known.

        Raises MemoryError if the arrays take more memory than this process may have."""
        launch = self.pair.launch(**size)
        draws = any(isinstance(arg, Scratch) for arg in self.pair.args)
        for tickets in (0, math.prod(launch.grid_xyz) - 1) if draws else (0,):
            with contextlib.suppress(KernelError):
                try:
                    run_steps(
                        self.kernel.ptx,
                        self.kernel.entry,
                        **launch.emulated(zeros_for(self.pair, size, tickets)),
                        arch=self.kernel.arch,
                        most_threads=THREADS,
                        fuel=FUEL,
                        ctas="last alone",
                    )
                except LaunchError as error:
                    raise MemoryError(str(error)) from None
                except KernelTrap as trap:
                    if line := re.match(r"line (\d+): ", str(trap)):
                        return int(line[1])
        return None

    def smallest_losing(self) -> tuple[Size, int] | None:
        """A size at which bits are lost, and the line; the smallest that halving a bench size gives."""
        for size in sorted(self.pair.bench_sizes, key=self.pair.compulsory_bytes):
            size, line = self.lost_at_or_below(size)
            if line is not None:
                return self.halved(size, line)
        return None

    def lost_at_or_below(self, size: Size) -> tuple[Size, int | None]:
        """As `lost_at`, at half of the size, or half of that, if the memory is not enough for it; and that size."""
        space = SizeSpace.of(self.pair)
        while True:
            with contextlib.suppress(MemoryError):
                return size, self.lost_at(size)
            halves = [{**size, name: int(size[name]) // 2 // step * step} for name, step in space.steps.items()]
            smaller = [half for half in halves if half != size and space.takes(half)]
            if not smaller:
                return size, None
            size = min(smaller, key=self.pair.compulsory_bytes)

    def halved(self, size: Size, line: int) -> tuple[Size, int]:
        """A size with dimensions halved in turn as often as bits are still lost, then perhaps a little less, and the
        line."""
        space = SizeSpace.of(self.pair)
        todo = [(name, 1 / 2) for name in space.steps] + [(name, 5 / 8) for name in space.steps]
        while todo:
            name, share = todo.pop(0)
            value = int(share * size[name]) // space.steps[name] * space.steps[name]
            smaller = {**size, name: value}
            if value < max(space.low[name], 1) or not space.takes(smaller):
                continue
            if (lost := self.lost_at(smaller)) is not None:
                size, line = smaller, lost
                if share == 1 / 2:
                    todo.insert(len(todo) - len(space.steps), (name, share))
        return size, line


def unwritten(pair: Pair, kernel: CheckKernel, size: Size) -> str | None:
    """An element of an output that a launch on zeros leaves as it was, in words; None if there is none.

    Raises KernelError as a launch does."""
    arguments = zeros_for(pair, size, 0)
    names = [arg.name for arg in pair.args if isinstance(arg, Out)]
    for name in names:
        arguments[name] = np.full(arguments[name].nbytes, POISON, np.uint8).view(arguments[name].dtype)
    run_steps(
        kernel.ptx,
        kernel.entry,
        **kernel.launch_at(size, pair.launch(**size)).emulated(arguments),
        arch=kernel.arch,
        most_threads=THREADS,
    )
    for name in names:
        old = arguments[name].view(np.uint8).reshape(-1, arguments[name].itemsize)
        left = (old == POISON).all(axis=1)
        if left.any():
            return f"{int(left.sum()):,} of {left.size:,} elements of '{name}', from {int(left.argmax()):,} on"
    return None


def probe(pair: Pair, module: Module, kernel: CheckKernel) -> tuple[Size, Cut] | None:
    """A size that the pair allows at which an index loses bits, and where; None if none is found."""
    by_line = {cut.line: cut for cut in cuts_of(module, kernel.entry)}
    try:
        return probed(pair, kernel, by_line)
    except MemoryError:
        return None
    finally:
        if by_line:
            stop_process()  # it keeps as much memory as the largest launch took


def probed(pair: Pair, kernel: CheckKernel, by_line: dict[int, Cut]) -> tuple[Size, Cut] | None:
    """`probe`, for the cuts by their lines."""
    while by_line and (checked := with_checks(kernel.ptx, [*by_line.values()])) is not None:
        launches = CutProbe(pair, replace(kernel, ptx=checked))
        # What is lost at the largest check size already is of no use: that launch has the right results.
        if (line := launches.lost_at(max(pair.check_sizes, key=pair.compulsory_bytes))) is None:
            found = launches.smallest_losing()
            return (found[0], by_line[found[1]]) if found and found[1] in by_line else None
        if line not in by_line:
            return None
        del by_line[line]
    return None
