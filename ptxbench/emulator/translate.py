"""A kernel as LLVM IR: one function runs a warp. kernel_module.py adds what schedules the warps.

A warp is vectors of 32 lanes, each with a program counter (a block number); control.py moves them.
A block ends by writing back the live-out registers, under its mask, so that a warp can stop and resume.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ptxbench.emulator.bases import base_of_address
from ptxbench.emulator.calls import Calls
from ptxbench.emulator.control import ControlFlow
from ptxbench.emulator.definedness import COPIES, passes_structure
from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.flow import CARRY, Block, FlowStep
from ptxbench.emulator.host_cpu import USUAL, HostCpu
from ptxbench.emulator.inline import CALL_THROUGH
from ptxbench.emulator.isa.table import Entry
from ptxbench.emulator.kernel_module import whole_module
from ptxbench.emulator.layout import NUMBERED, PLAIN, SANITIZE, ParamAddress, StepReport, Translation
from ptxbench.emulator.marks import Marks
from ptxbench.emulator.ordering import MemoryOrder, fence_of, order_of, proxy_fence_of
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.races import layout
from ptxbench.emulator.registers import KernelState, extended
from ptxbench.emulator.runtime import (
    bulk_exit,
    kinds,
    short,
)
from ptxbench.emulator.runtime.context import V32
from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Function,
    Immediate,
    Instruction,
    Module,
    Operand,
    Register,
    Vector,
    plain,
    registers,
)
from ptxbench.emulator.types import B32, PRED
from ptxbench.emulator.vector_calls import without_vectors
from ptxbench.emulator.vector_functions import Unknown
from ptxbench.emulator.zones import PlacedVariable


def translate(
    module: Module, function: Function, *, arch: str = "sm_90", cpu: HostCpu = USUAL, mode: str = PLAIN,
    clustered: bool = False, vectors: bool = True,
) -> Translation:  # fmt: skip
    """`function` as LLVM IR, for the architecture `arch`, on the processor `cpu`. `clustered`: for clusters of several
    CTAs. `vectors`: whether the kernel's own code may have vectors (see vector_calls.py).

    Raises PtxSyntaxError and UnsupportedInstruction.
    """
    if not vectors:
        with contextlib.suppress(Unknown):
            return Translator(module, function, arch, cpu, mode, clustered, False).translate()
    return Translator(module, function, arch, cpu, mode, clustered, True).translate()


WAITS = (
    "warp_sync", "aligned", "warpgroup", "register_pool", "warp_barrier", "barrier_reduction", "cluster_wait",
)  # fmt: skip
"""How an instruction can start a block with a wait for other lanes."""


NUMBERS = ("immLut",)
"""Operands whose numbers determine what an instruction computes."""


def replaced(argument: Any, values: Iterator[Value]) -> Any:
    """An argument with the next of these values in place of its own."""
    if isinstance(argument, tuple):
        return tuple(next(values) for _ in argument)
    return next(values) if isinstance(argument, Value) else argument


def member_mask(step: FlowStep) -> Operand:
    """The operand of a .sync instruction that names the lanes."""
    return step.instruction.operands[[form.name for form in step.entry.operands].index("membermask")]


class Translator:
    """The instructions of a kernel, block by block."""

    def __init__(
        self, module: Module, function: Function, arch: str, cpu: HostCpu, mode: str, clustered: bool,
        vectors: bool,
    ) -> None:  # fmt: skip
        kernel = self.kernel = KernelState(module, function, arch, cpu, mode, clustered, vectors)
        self.e, self.ops = kernel.e, kernel.ops
        self.control = ControlFlow(kernel)
        self.calls = Calls(kernel, self.control)
        self.marks = None if kernel.deferral is None else Marks(kernel, kernel.deferral)

    def block(self, number: int, block: Block) -> None:
        e, ops = self.e, self.ops
        self.kernel.values, self.kernel.dirty, self.kernel.noted = {}, set(), set()
        e.line(f"b{number}:")
        mask = e.op("load i32, ptr %mask, align 4")
        if block.loop_head:
            self.control.spend_fuel(number, mask)
        first = self.kernel.steps[block.first]
        ops.step, ops.line = block.first, first.instruction.line
        if first.entry.flow in ("warp_sync", "aligned", "warpgroup", "register_pool"):
            mask = self.control.rendezvous(first, number, mask)
        if first.entry.flow == "register_pool":
            self.control.wait_for_registers(first, number, mask)
        if first.entry.flow == "warpgroup":
            self.control.wait_for_products(first, number, mask)
        if first.entry.flow == "warp_barrier":
            mask = self.control.meet(first, number, mask)
        if first.entry.flow == "barrier_reduction":
            mask = self.control.reduce_at_barrier(first, number, mask)
        if first.entry.flow == "cluster_wait":
            mask = self.control.wait_for_cluster(first, number, mask)
        ops.mask = mask
        self.control.count_trip(number)
        self.control.count_block(number, mask)
        if self.kernel.clocked:
            self.control.tick(self.counted_steps(block.first, block.last))
        for index in range(block.first, block.last):
            self.step(index, number)
        following = [self.kernel.blocks[after] for after in block.successors if after < len(self.kernel.blocks)]
        if any(after.after_others for after in following):
            ops.give_way(ops.mask)  # other CTAs change what will be swapped or loaded
        if any(after.announces for after in following):
            ops.give_way(ops.mask, 0)  # other CTAs update before this one announces its update
        self.kernel.write_back(block, together=self.together(number))
        ending = self.calls if self.kernel.steps[block.last - 1].entry.flow in ("call", "return") else self.control
        ending.end(block, number)

    def together(self, number: int) -> bool:
        """Whether all lanes of a warp run the block at once, unless it runs by halves: the first block, if they never
        come back to it."""
        block = self.kernel.blocks[number]
        waits = self.kernel.steps[block.first].entry.flow in WAITS
        return number == 0 and not block.loop_head and not waits

    def step(self, index: int, number: int) -> None:
        step, ops = self.kernel.steps[index], self.ops
        instruction, entry = step.instruction, step.entry
        ops.step, ops.line, ops.active = index, instruction.line, ops.mask
        ops.ahead = self.counted_steps(index, self.kernel.blocks[number].last) if self.kernel.clocked else 0
        guard = self.control.guard(instruction)
        guard_slot = divergent_slot = None
        if guard is not None:
            bits = self.e.lanes_where(guard)
            ops.active = self.e.op(f"and i32 {bits}, {ops.mask}")
            guard_slot = ops.reserve_counters(1)
            self.control.count_lanes(guard_slot, ops.active)
        if (
            entry.flow == "switch"
            or instruction.opcode == CALL_THROUGH
            or (guard is not None and entry.flow in ("branch", "exit"))
        ):
            divergent_slot = ops.reserve_counters(1)
        self.kernel.reports.append(
            StepReport(
                instruction.line,
                entry.opcode,
                entry.counted,
                number,
                guard_slot,
                divergent_slot,
                self.constant_of(instruction, entry),
                self.kernel.analysis.cycles[index],
                index in self.kernel.analysis.functions_in_loops,
            )
        )
        self.check_defined(index)
        if self.marks is not None:
            self.marks.before(index, guard)
        self.check_products(step)
        order = order_of(entry.opcode)
        ops.order = order if self.kernel.rows else None
        ops.strength, ops.is_strong = self.strength(step, order), order is not None
        ops.read_only = "nc" in step.entry.words
        ops.instruction, ops.operand_names, ops.relaxed = instruction, entry.names, entry.is_relaxed
        if entry.flow == "exit" and ops.fragments is not None:
            ops.warpgroups.leave()
        if entry.flow == "exit" and ops.bulk:
            unfinished = bulk_exit.REPORT if self.kernel.mode == SANITIZE else bulk_exit.COUNT
            self.e.line(f"call void @{ops.function(unfinished)}(ptr %env, i32 {ops.active})")
        if entry.flow in ("enter", "returned"):
            self.calls.between_functions(index, self.kernel.blocks[number])
        elif entry.flow not in ("branch", "switch", "exit", "barrier", "call", "return"):
            self.execute(instruction, entry, guard)
        if self.marks is not None:
            self.marks.after(step, guard)
        if self.kernel.mode == SANITIZE:
            for name in sorted(step.writes & self.kernel.defined.keys()):
                self.kernel.note_defined(name, "or", ops.active)
            self.note_order(index)

    def constant_of(self, instruction: Instruction, entry: Entry) -> int | None:
        """The number that determines an instruction's cost: a sleep time, a number of copies left, a divisor."""
        divides = entry.opcode.startswith(("div.u", "div.s", "rem.u", "rem.s"))
        if not (divides or entry.opcode in NUMBERED) or not instruction.operands:
            return None
        last = instruction.operands[-1]
        if isinstance(last, Immediate):
            return int(last.value)
        return self.kernel.constants.get(last.name) if isinstance(last, Register) else None

    def counted_steps(self, first: int, last: int) -> int:
        """How many of these instructions are in the text."""
        return sum(1 for step in self.kernel.steps[first:last] if step.entry.counted)

    def check_defined(self, index: int) -> None:
        """When sanitizing: report a register that lanes read before they wrote it, unless the report waits (marks.py).

        A move may copy a value that is never used; guarded writes keep the old value, which does not count as a read.
        """
        if not self.kernel.defined:
            return
        step = self.kernel.steps[index]
        waiting = self.marks.waiting(index) if self.marks is not None else frozenset()
        if step.entry.words[0] in COPIES or passes_structure(step, self.kernel.function):
            return
        self.check_written(step.operand_reads - waiting, self.ops.active)
        if step.entry.flow == "warpgroup" and step.writes:  # D is read where its scale is not zero
            names = [form.name for form in step.entry.operands]
            operand = step.instruction.operands[names.index("scale")]
            scale = self.kernel.read_value(operand, PRED, step.instruction.line)
            self.check_written(step.writes, self.e.op(f"and i32 {self.ops.active}, {self.e.lanes_where(scale)}"))

    def check_written(self, names: frozenset[str], lanes: str) -> None:
        """Report the registers of `names` that these lanes read before they wrote them."""
        for name in sorted(names & self.kernel.defined.keys() - self.kernel.noted):
            at = self.kernel.defined_at(name)
            if self.e.in_memory:
                function, slot = self.ops.function(short.CHECK_WRITTEN), self.ops.site_slot(name)
                self.e.line(f"call void @{function}(ptr %env, ptr {at}, i64 {slot}, i32 {lanes})")
                continue
            missing = self.e.op(f"xor i32 {self.e.op(f'load i32, ptr {at}, align 4')}, -1")
            unwritten = self.e.op(f"and i32 {missing}, {lanes}")
            self.ops.finding(kinds.UNINITIALISED_REGISTER, self.ops.site(name), unwritten)

    def check_products(self, step: FlowStep) -> None:
        """When sanitizing: report a register that a pending product of a warpgroup fills, or writes to one it reads."""
        fragment_registers = self.ops.fragments
        if fragment_registers is None or self.kernel.mode != SANITIZE or step.entry.flow == "warpgroup":
            return
        names = sorted((step.operand_reads & self.filled) | (step.writes & set(fragment_registers.names)))
        if not names:
            return
        uses = "0"
        for name in names:
            at = self.e.op(f"getelementptr i8, ptr %registers, i64 {fragment_registers.count_of(name)}")
            uses = self.e.op(f"or i32 {uses}, {self.e.op(f'load i32, ptr {at}, align 4')}")
        pending = self.e.op(f"icmp ne i32 {uses}, 0")
        lanes = self.e.op(f"select i1 {pending}, i32 {self.ops.active}, i32 0")
        quoted_names = ", ".join(f"'{name}'" for name in names)
        self.ops.finding(kinds.PRODUCT_REGISTER, self.ops.site(quoted_names), lanes)

    @functools.cached_property
    def filled(self) -> set[str]:
        """The registers of D of all products."""
        products = [step for step in self.kernel.steps if step.entry.flow == "warpgroup" and step.instruction.operands]
        return set().union(*(registers(step.instruction.operands[0]) for step in products))

    def strength(self, step: FlowStep, order: MemoryOrder | None) -> int:
        """The strength of an access. A plain load of the value that an atom.cas compares with counts as relaxed: the
        value is only a guess, which the atom.cas checks, as in the loops of the CUDA C++ Programming Guide."""
        if order is not None:
            return order.strength
        if self.compared and step.entry.opcode.startswith("ld.") and step.writes & self.compared:
            return layout.STRONG_GPU
        return layout.WEAK

    @functools.cached_property
    def compared(self) -> set[str]:
        """The registers that the kernel's atom.cas compare with, and those that are moved there."""
        result: set[str] = set()
        for step in self.kernel.steps:
            if step.entry.opcode.startswith("atom.") and "cas" in step.entry.opcode.split("."):
                result.update(registers(step.instruction.operands[2]))
        moves = [step for step in self.kernel.steps if step.entry.opcode.startswith("mov.")]
        before = -1
        while len(result) > before:
            before = len(result)
            result.update(*(step.operand_reads for step in moves if step.writes & result))
        return result

    def note_order(self, index: int) -> None:
        """Report the memory order after a fence, a bar.warp.sync or another instruction with a member mask.

        According to the manual, only bar.warp.sync orders memory. Cooperative groups rely on vote.sync too.
        """
        step = self.kernel.steps[index]
        if step.entry.flow in ("warp_barrier", "warp_sync") and not self.met_before(index):
            members = self.kernel.read_value(member_mask(step), B32, step.instruction.line)
            any_active = self.e.op(f"icmp ne i32 {self.ops.active}, 0")
            mask_bits = str(members.constant)
            if members.constant is None:
                lane = self.e.intrinsic("llvm.cttz.i32", "i32", ("i32", self.ops.active), ("i1", "false"))
                first = self.e.op(f"select i1 {any_active}, i32 {lane}, i32 0")
                mask_bits = self.e.op(f"extractelement {V32} {members.ir}, i32 {first}")
            self.ops.watching.meet_in_warp(self.e.op(f"select i1 {any_active}, i32 {mask_bits}, i32 0"))
        if (fence_order := fence_of(step.entry.opcode)) is not None:
            self.ops.watching.fence(fence_order)
        if (proxy_order := proxy_fence_of(step.entry.opcode)) is not None:
            self.ops.watching.proxy_fence(proxy_order)

    @functools.cached_property
    def branched_to(self) -> set[int]:
        """The instructions that lanes can reach by a branch."""
        return {
            self.kernel.blocks[to].first
            for number, block in enumerate(self.kernel.blocks)
            for to in block.successors
            if number + 1 != to < len(self.kernel.blocks)
        }

    def met_before(self, index: int) -> bool:
        """Whether the same lanes met just before, with no memory access in between: as in a chain of shuffles."""
        step = self.kernel.steps[index]
        while index > 0 and index not in self.branched_to:
            index -= 1
            earlier = self.kernel.steps[index]
            if earlier.entry.flow == step.entry.flow and member_mask(earlier) == member_mask(step):
                mask = member_mask(step)
                constant = isinstance(mask, Immediate) or (
                    isinstance(mask, Register) and mask.name in self.kernel.constants
                )
                return constant and earlier.instruction.guard is None
            if earlier.entry.flow or earlier.entry.counted in ("memory", "async", "barrier", "matrix"):
                return False
        return False

    def execute(self, instruction: Instruction, entry: Entry, guard: Value | None) -> None:
        """Read the operands, run the entry's body, write its results."""
        arguments: dict[str, Any] = {}
        targets = []
        self.ops.watching.bound.clear()
        for form, operand in zip(entry.operands, instruction.operands, strict=True):
            if form.selector or form.sign:
                operand, selected, negated = plain(operand)
                selection = {f"{form.name}_sel": selected, f"{form.name}_negated": negated}
                arguments |= {name: value for name, value in selection.items() if name in entry.asks}
            if form.kind == "target":
                targets.append((form, operand))
            elif form.name in entry.asks:
                value = self.kernel.read(operand, form, instruction.line)
                if isinstance(operand, Address) and not isinstance(value, tuple):
                    value = self.kernel.located(operand, value, entry, instruction.line)
                    self.bind(operand, value)
                arguments[form.name] = value
        if "carry" in entry.asks:
            arguments["carry"] = self.kernel.get(CARRY)
        if self.e.in_memory and entry.computes and len(targets) == 1:
            target = targets[0][1]
            if isinstance(target, Register) and (computed := self.computed(entry, arguments, target)) is not None:
                computed_value, carry = computed
                if carry is not None:
                    self.kernel.put(Register(CARRY), carry, guard, instruction.line)
                self.kernel.put(target, computed_value, guard, instruction.line)
                return
        if "e" in entry.asks:
            arguments["e"] = self.e
        if "ops" in entry.asks:
            arguments["ops"] = self.ops
        if "count" in entry.asks:  # how many registers a vector operand is split into
            arguments["count"] = sum(len(operand.parts) for _, operand in targets if isinstance(operand, Vector))
        result = entry.body(**{**entry.arguments, **arguments})
        if entry.flow == "warpgroup":  # its result is in the register file, later
            return
        if entry.carry in ("out", "both"):
            result, carry = result
            self.kernel.put(Register(CARRY), carry, guard, instruction.line)
        for _, operand in targets:
            self.deliver(operand, result, guard, instruction.line)

    def bind(self, address: Address, value: Value | ParamAddress) -> None:
        """When sanitizing: note the variable in which an access by this address must stay, if that is known."""
        variable = self.variables.get(base_of_address(address, self.kernel.bases) or "")
        if variable is not None and isinstance(value, Value):
            self.ops.watching.bound[value.ir] = variable

    @functools.cached_property
    def variables(self) -> dict[str, PlacedVariable]:
        return self.kernel.own.by_name

    def computed(
        self, entry: Entry, operands: Mapping[str, Any], target: Register
    ) -> tuple[Value, Value | None] | None:
        """The first result of an instruction that only computes, with the bits of its register, and its carry, from one
        call of a shared function; None if the result is known at translation, or no such call is possible."""
        target_type = self.kernel.bits_type(target.name)
        key: list[Any] = [target_type.bits, self.e.hardware_fma]
        values: list[Value] = []
        constant_arguments = []
        for name, operand in operands.items():
            if isinstance(operand, Value):
                if name in NUMBERS:
                    constant_arguments.append(len(values))
                    key.append(operand.constant)
                values.append(operand)
            elif isinstance(operand, tuple):
                values += operand
                key.append(len(operand))
            else:
                key.append(operand)
        varies = False
        for value in values:
            key += value.type.name, value.raw, value.constant is None
            varies |= value.constant is None
            if value.ir[0] == "<":
                return None
        if not varies:
            return None

        def build(e: Emitter, inputs: Sequence[Value]) -> Value | tuple[Value, Value]:
            remaining = iter(inputs)
            inputs_by_name = {name: replaced(operand, remaining) for name, operand in operands.items()}
            result = entry.body(e=e, **entry.arguments, **inputs_by_name)
            first: Value = result[0] if isinstance(result, tuple) else result
            if entry.carry in ("out", "both"):
                return first, result[1]
            return first if PRED in (first.type, target_type) else extended(e, first, target_type)

        label = entry.opcode.partition(".")[0]
        return self.e.compute_both(label, entry.computations, tuple(key), build, values, constant_arguments)

    def deliver(self, operand: Operand, result: object, guard: Value | None, line: int) -> None:
        values = result if isinstance(result, tuple) else (result,)
        if isinstance(operand, Vector):
            if len(operand.parts) != len(values):
                raise syntax_error(
                    line, f"expected {len(values)} registers for the result, found {len(operand.parts)}."
                )
            parts: tuple[Operand, ...] = operand.parts
        elif isinstance(operand, Dual):
            parts = (operand.first, operand.second)
        else:
            parts = (operand,)
        for part, value in zip(parts, values, strict=False):
            assert isinstance(value, Value)
            self.kernel.put(part, value, guard, line)

    def translate(self) -> Translation:
        e = self.e
        starts = []
        for number, block in enumerate(self.kernel.blocks):
            starts.append(len(e.lines))
            self.block(number, block)
        starts.append(len(e.lines))
        e.line(f"b{len(self.kernel.blocks)}:")  # after the last instruction
        self.control.leave(e.op("load i32, ptr %mask, align 4"))
        calls: Collection[str] = ()
        if not e.in_memory:
            body, pointers = "\n  ".join(e.lines), ""
        else:
            body, pointers, calls = without_vectors(
                e.lines[start:end] for start, end in itertools.pairwise([*starts, len(e.lines)])
            )
            pointers = f"{self.kernel.register_pointers()}\n  {pointers}"
            e.gather()
        return whole_module(self.kernel, body, pointers, calls)
