"""A kernel as one LLVM module: `run_ctas` schedules warps, and one function runs a warp.

A warp is vectors of 32 lanes, each with a program counter (a block number). `dispatch` takes the lowest one among
the lanes that can run and goes to its block with the mask of the lanes there: lowest first reconverges by itself.
A block ends by writing back the registers that live on, under its mask, so that a warp can stop and resume.
"""

from __future__ import annotations

from collections.abc import Sequence

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.flow import (
    CARRY,
    Block,
    Step,
    blocks,
    in_order,
    operand_reads,
    race_obstacle,
    schedule_obstacle,
    writes,
)
from ptxbench.emulator.inline import inline_calls
from ptxbench.emulator.isa import find, nearest
from ptxbench.emulator.isa.table import Entry, OperandForm
from ptxbench.emulator.isa.unsupported import why
from ptxbench.emulator.layout import StepReport, Translation
from ptxbench.emulator.machine import Machine, ParamAddress
from ptxbench.emulator.parse import float_bits, syntax_error
from ptxbench.emulator.runtime import barriers, context, sanitize
from ptxbench.emulator.runtime.context import MASK, V32
from ptxbench.emulator.runtime.scheduler import NEEDS, scheduler
from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Function,
    Immediate,
    Instruction,
    Module,
    Negated,
    Not,
    Operand,
    Register,
    Selected,
    Sink,
    Special,
    Symbol,
    Vector,
)
from ptxbench.emulator.types import B32, B64, LANES, PRED, U32, Type, bits_of
from ptxbench.emulator.variables import (
    lay_out_addressed_parameters,
    lay_out_local,
    lay_out_module,
    lay_out_parameters,
    lay_out_shared,
)
from ptxbench.errors import UnsupportedInstruction

NOWHERE = 0x7FFFFFFF
"""The program counter of a lane that has exited."""
PATIENCE = 4096
"""Blocks that lanes may run while others of their warp could."""


def resolve(function: Function) -> list[Step]:
    """Each instruction with its entry. Raises UnsupportedInstruction that lists all that have none."""
    steps, unknown = [], []
    for instruction in function.instructions:
        entry = find(instruction)
        if entry is None:
            unknown.append(instruction)
        else:
            steps.append(Step(instruction, entry))
    if unknown:
        raise UnsupportedInstruction("; ".join(describe_unknown(unknown)))
    return steps


def describe_unknown(unknown: Sequence[Instruction]) -> list[str]:
    """One sentence for each opcode, at the first line where it stands."""
    first = {instruction.opcode: instruction.line for instruction in reversed(unknown)}
    sentences = []
    for opcode, line in sorted(first.items(), key=lambda item: item[1]):
        missing, close = why(opcode), nearest(opcode)
        if missing:
            sentences.append(f"line {line}: '{opcode}' is not supported: {missing.reason}")
        elif opcode in close:
            sentences.append(f"line {line}: the emulator does not know '{opcode}' with these operands")
        else:
            hint = f"; nearest: {', '.join(close)}" if close else ""
            sentences.append(f"line {line}: the emulator does not know '{opcode}'{hint}")
    return sentences


PLAIN, SANITIZE, ADVERSARIAL = "plain", "sanitize", "adversarial"
"""Modes: as fast as it goes; watched (runtime/sanitize.py); and with a schedule that punishes a missing warp sync."""
ODD_LANES = sum(1 << lane for lane in range(LANES) if lane.bit_count() % 2)
"""Lanes whose number has an odd number of ones: a partner at a power of two is always in the other half."""


def translate(
    module: Module, function: Function, *, arch: str = "sm_90", hardware_fma: bool = True, mode: str = PLAIN
) -> Translation:
    """`function` as LLVM IR, for the architecture `arch`. Raises PtxSyntaxError and UnsupportedInstruction."""
    return Translator(module, function, arch, hardware_fma, mode).translate()


class Translator:
    def __init__(self, module: Module, function: Function, arch: str, hardware_fma: bool, mode: str = PLAIN) -> None:
        self.mode = mode
        parameters = lay_out_addressed_parameters(module, function)
        function = self.function = inline_calls(module, function)
        self.steps = resolve(function)
        function.registers[CARRY] = PRED
        self.blocks = blocks(function, self.steps)
        self.e = Emitter(hardware_fma=hardware_fma)
        self.machine = Machine(self.e, arch, next_slot=2 * len(self.blocks), sanitize=mode == SANITIZE)
        self.machine.parallel = not in_order(self.steps)
        self.machine.queues = any(step.entry.opcode.startswith("cp.async") for step in self.steps)
        self.constants = self.find_constants()
        self.params = self.lay_out_params()
        self.shared, self.shared_bytes = lay_out_shared(module, function)
        self.local, self.local_bytes = lay_out_local(function)
        self.module_variables = lay_out_module(module)[0]
        self.machine.shared_bytes = self.shared_bytes
        self.machine.parameters = parameters
        self.machine.constant_variables = [
            (self.module_variables[each.name], each.size_bytes)
            for each in module.variables.values()
            if each.space == "const"
        ]
        self.clocked = any(reads_clock(step.instruction) for step in self.steps)
        self.slots, self.register_bytes = self.lay_out_registers()
        self.defined = self.lay_out_defined() if mode == SANITIZE else {}
        self.values: dict[str, Value] = {}
        self.dirty: set[str] = set()
        self.reports: list[StepReport] = []

    # ---- layout

    def lay_out_params(self) -> dict[str, tuple[int, int]]:
        """Offset and bytes of each parameter."""
        placed = lay_out_parameters(self.function)[0]
        return {param.name: (placed[param.name], param.size_bytes) for param in self.function.params}

    def lay_out_registers(self) -> tuple[dict[str, int], int]:
        """Byte offset of every register that lives from one block into another, and the bytes of them all."""
        live = sorted(set().union(*(block.live_in for block in self.blocks)) - self.constants.keys())
        placed, offset = {}, 0
        for name in live:
            kind = self.function.registers[name]
            size = 4 if kind is PRED else LANES * kind.bytes
            offset = -(-offset // min(size, 64)) * min(size, 64)
            placed[name] = offset
            offset += size
        return placed, max(64, -(-offset // 64) * 64)

    def lay_out_defined(self) -> dict[str, int]:
        """Of each register that may be read before it is written: where the mask of the lanes that wrote it lies."""
        names = sorted((self.blocks[0].live_in & self.slots.keys()) - {CARRY})
        placed = {name: self.register_bytes + 4 * i for i, name in enumerate(names)}
        self.register_bytes += -(-4 * len(names) // 64) * 64
        return placed

    def find_constants(self) -> dict[str, int]:
        """Registers whose one write is an unguarded `mov` of a number: their value, wherever they are read.

        NVRTC keeps shuffle distances and masks in such registers.
        """
        writers: dict[str, list[Step]] = {}
        for step in self.steps:
            for name in writes(step):
                writers.setdefault(name, []).append(step)
        found = {}
        for name, (step, *others) in writers.items():
            instruction = step.instruction
            kind = self.function.registers[name]
            moved = instruction.opcode.startswith("mov.") and isinstance(instruction.operands[0], Register)
            if moved and not others and instruction.guard is None and kind is not PRED:
                source = instruction.operands[1]
                if isinstance(source, Immediate):
                    found[name] = literal_bits(source, kind, floating=instruction.opcode.endswith(("f32", "f64")))
        return found

    # ---- operands

    def read(self, operand: Operand, form: OperandForm, line: int) -> Value | ParamAddress | tuple[Value, ...]:
        """The operand as a value of the form's type."""
        if form.kind == "address":
            assert isinstance(operand, Address)
            return self.read_address(operand, line)
        if isinstance(operand, Vector):
            part = form.type
            return tuple(self.read_value(each, part, line) for each in operand.parts)
        return self.read_value(operand, form.type, line)

    def read_value(self, operand: Operand, kind: Type | None, line: int) -> Value:
        if isinstance(operand, Not):
            return self.e.not_(self.read_value(operand.operand, kind, line))
        if isinstance(operand, Register):
            held = self.function.registers[operand.name]
            kind = kind or held
            if (held is PRED) != (kind is PRED):
                raise syntax_error(line, f"'{operand.name}' is .{held} where .{kind} is wanted.")
            return self.fit(self.get(operand.name), kind)
        if isinstance(operand, Immediate):
            kind = kind or B32
            return self.e.from_bits(literal_bits(operand, kind, floating=kind.floating), kind)
        if isinstance(operand, Special):
            return self.fit(self.machine.special(operand.name), kind or B32)
        if isinstance(operand, Symbol):
            return self.e.constant(self.symbol_address(operand, line), kind or B64)
        raise syntax_error(line, f"{operand!r} cannot stand here.")

    def fit(self, value: Value, kind: Type) -> Value:
        """`value` read as `kind`: the same bits, cut or extended by zeros to its width."""
        if value.type == kind or (kind is PRED and value.type is PRED):
            return value
        if value.type.bits == kind.bits:
            return self.e.as_type(value, kind)
        return self.e.as_type(self.e.convert(self.e.bits(value), bits_of(kind)), kind)

    def read_address(self, address: Address, line: int) -> Value | ParamAddress:
        base = address.base
        if isinstance(base, Symbol) and base.name in self.params:
            offset, size = self.params[base.name]
            total = base.offset + address.offset
            return ParamAddress(offset + total, size - total)
        if isinstance(base, Register):
            value = self.e.bits(self.get(base.name))
            return self.e.add(value, self.e.constant(address.offset, value.type)) if address.offset else value
        if isinstance(base, Symbol):
            return self.e.constant(self.symbol_address(base, line) + address.offset, B64)
        return self.e.constant(int(base.value) + address.offset, B64)

    def symbol_address(self, symbol: Symbol, line: int) -> int:
        """The address of a variable in its own space; of a global or constant one or a parameter, generic too."""
        if symbol.name in self.params and self.machine.parameters is not None:
            return self.machine.parameters[0] + self.params[symbol.name][0] + symbol.offset
        for placed in (self.shared, self.local, self.module_variables):
            if symbol.name in placed:
                return placed[symbol.name] + symbol.offset
        raise syntax_error(line, f"'{symbol.name}' is no variable that the emulator has an address for.")

    # ---- registers

    def get(self, name: str) -> Value:
        if name not in self.values:
            self.values[name] = self.fetch(name)
        return self.values[name]

    def fetch(self, name: str) -> Value:
        """A register's value at the start of the block."""
        kind = self.function.registers[name]
        if name in self.constants:
            return self.e.from_bits(self.constants[name], kind)
        if name not in self.slots:
            return self.e.constant(0, bits_of(kind))
        at = self.e.op(f"getelementptr i8, ptr %registers, i64 {self.slots[name]}")
        if kind is PRED:
            bits = self.e.op(f"load i32, ptr {at}, align 4")
            return Value(self.e.op(f"bitcast i32 {bits} to {MASK}"), PRED)
        held = bits_of(kind)
        return Value(self.e.op(f"load {held.vector}, ptr {at}, align 64"), held)

    def put(self, operand: Operand, value: Value, guard: Value | None, line: int) -> None:
        """Write `value` to a register, extended by its sign to the register's width; the old value stays where
        the guard is false."""
        if isinstance(operand, Sink):
            return
        if not isinstance(operand, Register):
            raise syntax_error(line, f"{operand!r} cannot be written.")
        kind = self.function.registers[operand.name]
        if kind.bits != value.type.bits:
            if value.type.floating or PRED in (kind, value.type):
                raise syntax_error(line, f"'{operand.name}' is .{kind}, but .{value.type} is written to it.")
            value = self.e.convert(value, bits_of(kind))
        if guard is not None:
            old = self.e.as_type(self.get(operand.name), value.type)
            value = self.e.select(guard, value, old)
        self.values[operand.name] = value
        self.dirty.add(operand.name)

    def write_back(self, block: Block) -> None:
        """Store the registers that live on, under the block's mask."""
        mask = self.machine.mask
        names = sorted(self.dirty & block.live_out & self.slots.keys())
        active = self.e.op(f"bitcast i32 {mask} to {MASK}") if names else ""
        for name in names:
            value = self.e.bits(self.values[name])
            at = self.e.op(f"getelementptr i8, ptr %registers, i64 {self.slots[name]}")
            if value.type is PRED:
                bits = self.e.op(f"bitcast {MASK} {value.ir} to i32")
                old = self.e.op(f"load i32, ptr {at}, align 4")
                self.e.line(f"store i32 {self.merge(mask, bits, old)}, ptr {at}, align 4")
            else:
                kind = value.type.vector
                old = self.e.op(f"load {kind}, ptr {at}, align 64")
                chosen = self.e.op(f"select {MASK} {active}, {kind} {value.ir}, {kind} {old}")
                self.e.line(f"store {kind} {chosen}, ptr {at}, align 64")

    def merge(self, mask: str, new: str, old: str) -> str:
        """The bits of `new` where `mask` is set, of `old` elsewhere (i32 names)."""
        differs = self.e.op(f"xor i32 {new}, {old}")
        return self.e.op(f"xor i32 {self.e.op(f'and i32 {differs}, {mask}')}, {old}")

    # ---- the warp's state

    def state(self, offset: int) -> tuple[str, str]:
        """Address and value of an i32 of the warp's state."""
        at = self.e.op(f"getelementptr i8, ptr %warp, i64 {offset}")
        return at, self.e.op(f"load i32, ptr {at}, align 4")

    def include(self, offset: int, lanes: str) -> None:
        """Add `lanes` to a mask of the warp's state."""
        at, old = self.state(offset)
        self.e.line(f"store i32 {self.e.op(f'or i32 {old}, {lanes}')}, ptr {at}, align 4")

    def exclude_runnable(self, lanes: str) -> None:
        old = self.e.op("load i32, ptr %runnable, align 4")
        rest = self.e.op(f"and i32 {old}, {self.e.op(f'xor i32 {lanes}, -1')}")
        self.e.line(f"store i32 {rest}, ptr %runnable, align 4")

    def set_pc(self, lanes: str, block: int) -> None:
        old = self.e.op(f"load {V32}, ptr %warp, align 64")
        chosen = self.e.op(f"bitcast i32 {lanes} to {MASK}")
        new = self.e.op(f"select {MASK} {chosen}, {V32} splat (i32 {block}), {V32} {old}")
        self.e.line(f"store {V32} {new}, ptr %warp, align 64")

    def bump(self, slot: int, amount: str) -> None:
        """Add an i64 to a counter."""
        at = self.e.op(f"getelementptr i64, ptr %counters, i64 {slot}")
        old = self.e.op(f"load i64, ptr {at}")
        self.e.line(f"store i64 {self.e.op(f'add i64 {old}, {amount}')}, ptr {at}")

    def tick(self, instructions: int) -> None:
        """Advance the warp's clock by a block."""
        at = self.e.op(f"getelementptr i8, ptr %warp, i64 {context.WARP_CLOCK}")
        old = self.e.op(f"load i64, ptr {at}")
        self.e.line(f"store i64 {self.e.op(f'add i64 {old}, {instructions}')}, ptr {at}")

    def lane_count(self, mask: str) -> str:
        """How many lanes a mask names, as i64."""
        count = self.e.intrinsic("llvm.ctpop.i32", "i32", ("i32", mask))
        return self.e.op(f"zext i32 {count} to i64")

    # ---- control

    def go(self, target: int) -> None:
        """All lanes of the mask go to `target`: straight there if no other lane could run, else through dispatch."""
        mask = self.machine.mask
        if target == len(self.blocks):
            self.leave(mask)
            return
        runnable = self.e.op("load i32, ptr %runnable, align 4")
        alone = self.e.op(f"icmp eq i32 {mask}, {runnable}")
        others = self.e.label("others")
        self.e.line(f"br i1 {alone}, label %b{target}, label %{others}")
        self.e.line(f"{others}:")
        self.set_pc(mask, target)
        self.e.line("br label %dispatch")

    def leave(self, lanes: str) -> None:
        """`lanes` have exited."""
        self.machine.function(barriers.LEAVE)
        woken = self.e.op(f"call i32 @leave(ptr %env, ptr %warp, i32 {lanes})")
        self.exclude_runnable(lanes)
        runnable = self.e.op("load i32, ptr %runnable, align 4")
        self.e.line(f"store i32 {self.e.op(f'or i32 {runnable}, {woken}')}, ptr %runnable, align 4")
        self.e.line("br label %dispatch")

    def end(self, block: Block, number: int) -> None:
        """Leave the block as its last instruction says."""
        last = self.steps[block.last - 1]
        if last.entry.flow == "barrier":
            self.wait_at_barrier(last, number)
        elif last.entry.flow == "switch":
            self.switch(last, block, number)
        elif last.entry.flow not in ("branch", "exit"):
            self.go(number + 1)
        elif last.instruction.guard is None:
            if last.entry.flow == "exit":
                self.leave(self.machine.mask)
            else:
                self.go(block.successors[0])
        else:
            self.split(last, block, number)

    def split(self, last: Step, block: Block, number: int) -> None:
        """A guarded branch or exit: all go, none goes, or the lanes part."""
        e, mask, taken = self.e, self.machine.mask, self.machine.active
        report = self.reports[block.last - 1]
        staying = e.op(f"xor i32 {mask}, {taken}")
        all_go, some, none_go, part = (e.label(hint) for hint in ("all", "some", "none", "part"))
        e.line(f"br i1 {e.op(f'icmp eq i32 {staying}, 0')}, label %{all_go}, label %{some}")
        e.line(f"{some}:")
        e.line(f"br i1 {e.op(f'icmp eq i32 {taken}, 0')}, label %{none_go}, label %{part}")
        e.line(f"{all_go}:")
        if last.entry.flow == "exit":
            self.leave(mask)
        else:
            self.go(block.successors[0])
        e.line(f"{none_go}:")
        self.go(number + 1)
        e.line(f"{part}:")
        assert report.divergent_slot is not None
        self.bump(report.divergent_slot, "1")
        self.set_pc(staying, number + 1)
        if last.entry.flow == "exit" or block.successors[0] == len(self.blocks):
            self.leave(taken)
        else:
            self.set_pc(taken, block.successors[0])
            e.line("br label %dispatch")

    def switch(self, last: Step, block: Block, number: int) -> None:
        """Each active lane goes to the label that its index names; beyond the last, to the last (undefined in PTX)."""
        e, report = self.e, self.reports[block.last - 1]
        index = self.read_value(last.instruction.operands[0], U32, last.instruction.line)
        targets = block.successors if last.instruction.guard is None else block.successors[:-1]
        index = e.clamp_below(index, len(targets) - 1)
        staying = e.op(f"xor i32 {self.machine.mask}, {self.machine.active}")
        self.set_pc(staying, number + 1)
        assert report.divergent_slot is not None
        parted = "0"
        for place, target in enumerate(targets):
            here = self.machine.ballot(e.compare("eq", index, e.constant(place, U32)))
            self.set_pc(here, target)
            some = e.op(f"icmp ne i32 {here}, 0")
            rest = e.op(f"icmp ne i32 {here}, {self.machine.mask}")
            apart = e.op(f"and i1 {some}, {rest}")
            parted = e.op(f"or i64 {parted}, {e.op(f'zext i1 {apart} to i64')}")
        self.bump(report.divergent_slot, parted)
        e.line("br label %dispatch")

    def wait_at_barrier(self, last: Step, number: int) -> None:
        """The active lanes wait for the others that the barrier expects; all go on at the next block."""
        if self.mode == SANITIZE:
            self.check_barrier()
        self.set_pc(self.machine.mask, number + 1)
        self.exclude_runnable(self.machine.active)
        self.arrive(last, self.machine.active, barriers.WAITS)
        self.e.line("br label %dispatch")

    def arrive(self, step: Step, lanes: str, kind: int, predicates: str = "0") -> None:
        """`lanes` come to the barrier that the operands name."""
        operands = dict(zip((form.name for form in step.entry.operands), step.instruction.operands, strict=True))
        line = step.instruction.line
        count = operands.get("b")
        self.machine.arrive(
            self.read_value(operands["a"], U32, line),
            self.e.constant(barriers.EVERYONE, U32) if count is None else self.read_value(count, U32, line),
            lanes,
            kind,
            predicates,
        )

    def reduce_at_barrier(self, step: Step, number: int, mask: str) -> str:
        """Lanes that come to a bar.red wait for its answer and then come to it again; the mask of those that did."""
        e, instruction = self.e, step.instruction
        self.machine.step, self.machine.line = self.blocks[number].first, instruction.line
        guard = self.guard(instruction)
        active = mask
        if guard is not None:
            active = e.op(f"and i32 {mask}, {e.op(f'bitcast {MASK} {guard.ir} to i32')}")
        passed_at, passed = self.state(context.WARP_PASSED)
        back = e.op(f"and i32 {passed}, {active}")
        fresh = e.op(f"xor i32 {active}, {back}")
        arrive, on = e.label("arrive"), e.label("on")
        e.line(f"store i32 {e.op(f'xor i32 {passed}, {back}')}, ptr {passed_at}, align 4")
        rest = e.op(f"xor i32 {mask}, {fresh}")
        e.line(f"br i1 {e.op(f'icmp eq i32 {fresh}, 0')}, label %{on}, label %{arrive}")
        e.line(f"{arrive}:")
        self.set_pc(mask, number)
        self.exclude_runnable(fresh)
        predicate = self.read_value(instruction.operands[-1], PRED, instruction.line)
        self.arrive(step, fresh, barriers.REDUCES, e.op(f"bitcast {MASK} {predicate.ir} to i32"))
        e.line(f"store i32 {rest}, ptr %mask, align 4")
        e.line(f"br i1 {e.op(f'icmp eq i32 {rest}, 0')}, label %dispatch, label %{on}")
        e.line(f"{on}:")
        self.values.clear()
        return rest

    def check_barrier(self) -> None:
        """Findings where lanes of the warp are elsewhere, or have exited and can never come."""
        e, machine = self.e, self.machine
        _, valid = self.state(context.WARP_VALID)
        _, exited = self.state(context.WARP_EXITED)
        absent = e.op(f"xor i32 {e.op(f'or i32 {machine.mask}, {exited}')}, {valid}")
        machine.finding(sanitize.DIVERGENT_BARRIER, machine.mark("barrier"), absent)
        machine.finding(sanitize.BARRIER_AFTER_EXIT, machine.mark("barrier"), exited)

    def meet(self, step: Step, number: int, mask: str) -> str:
        """A bar.warp.sync: wait for the member mask, wherever its lanes execute one; the mask of those that go on.

        Lanes that wait elsewhere come to their own instruction again, and pass it.
        """
        e, instruction = self.e, step.instruction
        guard = self.guard(instruction)
        active = mask
        if guard is not None:
            active = e.op(f"and i32 {mask}, {e.op(f'bitcast {MASK} {guard.ir} to i32')}")
        passed_at, passed = self.state(context.WARP_PASSED)
        back = e.op(f"and i32 {passed}, {active}")
        fresh = e.op(f"xor i32 {active}, {back}")
        e.line(f"store i32 {e.op(f'xor i32 {passed}, {back}')}, ptr {passed_at}, align 4")
        arrive, park, whole, on = (e.label(hint) for hint in ("arrive", "park", "whole", "on"))
        e.line(f"store i32 {mask}, ptr %mask, align 4")
        e.line(f"br i1 {e.op(f'icmp eq i32 {fresh}, 0')}, label %{on}, label %{arrive}")
        e.line(f"{arrive}:")
        members = self.read_value(instruction.operands[0], B32, instruction.line)
        lane = e.intrinsic("llvm.cttz.i32", "i32", ("i32", fresh), ("i1", "true"))
        asked = e.op(f"extractelement {V32} {members.ir}, i32 {lane}")
        mask, fresh = self.of_one_mask(members, asked, fresh, mask, number)
        _, valid = self.state(context.WARP_VALID)
        _, exited = self.state(context.WARP_EXITED)
        parked_at, parked = self.state(context.WARP_PARKED)
        meeting_at, meeting = self.state(context.WARP_MEETING)
        arrived = e.op(f"or i32 {fresh}, {meeting}")
        needed = e.op(f"and i32 {asked}, {e.op(f'xor i32 {valid}, {exited}')}")
        missing = e.op(f"and i32 {needed}, {e.op(f'xor i32 {arrived}, -1')}")
        e.line(f"br i1 {e.op(f'icmp eq i32 {missing}, 0')}, label %{whole}, label %{park}")
        e.line(f"{park}:")
        e.line(f"store i32 {e.op(f'or i32 {parked}, {fresh}')}, ptr {parked_at}, align 4")
        e.line(f"store i32 {arrived}, ptr {meeting_at}, align 4")
        self.exclude_runnable(fresh)
        self.set_pc(mask, number)
        rest = e.op(f"xor i32 {mask}, {fresh}")
        e.line(f"store i32 {rest}, ptr %mask, align 4")
        e.line(f"br i1 {e.op(f'icmp eq i32 {rest}, 0')}, label %dispatch, label %{on}")
        e.line(f"{whole}:")
        freed = e.op(f"and i32 {meeting}, {asked}")
        e.line(f"store i32 {e.op(f'xor i32 {meeting}, {freed}')}, ptr {meeting_at}, align 4")
        e.line(f"store i32 {e.op(f'xor i32 {parked}, {freed}')}, ptr {parked_at}, align 4")
        runnable = e.op("load i32, ptr %runnable, align 4")
        e.line(f"store i32 {e.op(f'or i32 {runnable}, {freed}')}, ptr %runnable, align 4")
        pcs = e.op(f"load {V32}, ptr %warp, align 64")
        here = e.op(f"bitcast {MASK} {e.op(f'icmp eq {V32} {pcs}, splat (i32 {number})')} to i32")
        near = e.op(f"and i32 {here}, {freed}")
        self.include(context.WARP_PASSED, e.op(f"xor i32 {freed}, {near}"))
        e.line(f"store i32 {e.op(f'or i32 {mask}, {near}')}, ptr %mask, align 4")
        e.line(f"br label %{on}")
        e.line(f"{on}:")
        self.values.clear()
        return e.op("load i32, ptr %mask, align 4")

    def of_one_mask(self, members: Value, asked: str, lanes: str, mask: str, number: int) -> tuple[str, str]:
        """(mask, lanes) without those of `lanes` that name another member mask than `asked`: they come here again.

        So the tiles of a warp, each with a mask of its own, work on their own at one instruction.
        """
        e = self.e
        if members.constant is not None:
            return mask, lanes
        same = e.op(f"icmp eq {V32} {members.ir}, {self.e.splat(asked, B32).ir}")
        same_bits = e.op(f"bitcast {MASK} {same} to i32")
        others = e.op(f"and i32 {lanes}, {e.op(f'xor i32 {same_bits}, -1')}")
        apart, together = e.label("apart"), e.label("together")
        e.line(f"br i1 {e.op(f'icmp eq i32 {others}, 0')}, label %{together}, label %{apart}")
        e.line(f"{apart}:")
        self.set_pc(others, number)
        e.line(f"store i32 {e.op(f'xor i32 {mask}, {others}')}, ptr %mask, align 4")
        e.line(f"br label %{together}")
        e.line(f"{together}:")
        mask = e.op("load i32, ptr %mask, align 4")
        return mask, e.op(f"and i32 {lanes}, {mask}")

    def rendezvous(self, step: Step, number: int, mask: str) -> str:
        """Wait until every living lane of the member mask has come to this instruction; the mask of them all.

        An `aligned` instruction has no mask: the whole warp comes to it, whatever its guard says there.
        """
        e = self.e
        line = step.instruction.line
        aligned = step.entry.flow == "aligned"
        guard = None if aligned else self.guard(step.instruction)
        active = mask
        if guard is not None:
            active = e.op(f"and i32 {mask}, {e.op(f'bitcast {MASK} {guard.ir} to i32')}")
        if aligned:
            members = e.constant(0xFFFFFFFF, B32)
        else:
            operand = step.instruction.operands[[form.name for form in step.entry.operands].index("membermask")]
            members = self.read_value(operand, B32, line)
        lane = e.intrinsic("llvm.cttz.i32", "i32", ("i32", active), ("i1", "false"))
        some = e.op(f"icmp ne i32 {active}, 0")
        first = e.op(f"select i1 {some}, i32 {lane}, i32 0")
        asked = e.op(f"extractelement {V32} {members.ir}, i32 {first}")
        mask, active = self.of_one_mask(members, asked, active, mask, number)
        _, valid = self.state(context.WARP_VALID)
        _, exited = self.state(context.WARP_EXITED)
        parked_at, parked = self.state(context.WARP_PARKED)
        living = e.op(f"xor i32 {valid}, {exited}")
        pcs = e.op(f"load {V32}, ptr %warp, align 64")
        here = e.op(f"bitcast {MASK} {e.op(f'icmp eq {V32} {pcs}, splat (i32 {number})')} to i32")
        of_asked = e.op(f"select i1 {some}, i32 {asked}, i32 0")  # where no lane is active, none is waited for
        waiting = e.op(f"and i32 {e.op(f'and i32 {parked}, {here}')}, {of_asked}")
        arrived = e.op(f"or i32 {active}, {waiting}")
        needed = e.op(f"and i32 {asked}, {living}")
        missing = e.op(f"and i32 {needed}, {e.op(f'xor i32 {arrived}, -1')}")
        wanting = e.op(f"icmp ne i32 {missing}, 0")
        park, on = e.label("park"), e.label("on")
        e.line(f"br i1 {e.op(f'and i1 {wanting}, {some}')}, label %{park}, label %{on}")
        e.line(f"{park}:")
        e.line(f"store i32 {e.op(f'or i32 {parked}, {active}')}, ptr {parked_at}, align 4")
        self.exclude_runnable(active)
        self.set_pc(mask, number + 1)
        self.set_pc(active, number)
        e.line("br label %dispatch")
        e.line(f"{on}:")
        e.line(f"store i32 {e.op(f'xor i32 {parked}, {waiting}')}, ptr {parked_at}, align 4")
        runnable = e.op("load i32, ptr %runnable, align 4")
        e.line(f"store i32 {e.op(f'or i32 {runnable}, {waiting}')}, ptr %runnable, align 4")
        together = e.op(f"or i32 {mask}, {waiting}")
        e.line(f"store i32 {together}, ptr %mask, align 4")
        self.values.clear()
        return together

    def spend_fuel(self, number: int, mask: str) -> None:
        """A loop head: stop here when the warp's turn is over, or when a fault ended it."""
        e = self.e
        at = e.op(f"getelementptr i64, ptr %env, i64 {context.FUEL}")
        left = e.op(f"sub i64 {e.op(f'load i64, ptr {at}')}, 1")
        e.line(f"store i64 {left}, ptr {at}")
        dry, on = e.label("dry"), e.label("on")
        e.line(f"br i1 {e.op(f'icmp slt i64 {left}, 0')}, label %{dry}, label %{on}")
        e.line(f"{dry}:")
        self.set_pc(mask, number)
        self.include(context.WARP_SERVED, mask)
        block = e.op(f"getelementptr i64, ptr %env, i64 {context.YIELDED_AT}")
        e.line(f"store i64 {number}, ptr {block}")
        e.line("ret void")
        e.line(f"{on}:")

    # ---- instructions

    def guard(self, instruction: Instruction) -> Value | None:
        if instruction.guard is None:
            return None
        value = self.get(instruction.guard.name)
        return self.e.not_(value) if instruction.negated else value

    def block(self, number: int, block: Block) -> None:
        e, machine = self.e, self.machine
        self.values, self.dirty = {}, set()
        e.line(f"b{number}:")
        mask = e.op("load i32, ptr %mask, align 4")
        if block.loop_head:
            self.spend_fuel(number, mask)
        first = self.steps[block.first]
        if first.entry.flow in ("sync", "aligned"):
            mask = self.rendezvous(first, number, mask)
        if first.entry.flow == "meeting":
            mask = self.meet(first, number, mask)
        if first.entry.flow == "reduction":
            mask = self.reduce_at_barrier(first, number, mask)
        machine.mask = mask
        self.bump(2 * number, "1")
        self.bump(2 * number + 1, self.lane_count(mask))
        if self.clocked:
            self.tick(block.last - block.first)
        for index in range(block.first, block.last):
            self.step(index, number)
        self.write_back(block)
        self.end(block, number)

    def step(self, index: int, number: int) -> None:
        step, machine = self.steps[index], self.machine
        instruction, entry = step.instruction, step.entry
        machine.step, machine.line, machine.active = index, instruction.line, machine.mask
        machine.ahead = self.blocks[number].last - index
        guard = self.guard(instruction)
        guard_slot = divergent_slot = None
        if guard is not None:
            bits = self.e.op(f"bitcast {MASK} {guard.ir} to i32")
            machine.active = self.e.op(f"and i32 {bits}, {machine.mask}")
            guard_slot = machine.take(1)
            self.bump(guard_slot, self.lane_count(machine.active))
        if entry.flow == "switch" or (guard is not None and entry.flow in ("branch", "exit")):
            divergent_slot = machine.take(1)
        opcode = instruction.opcode
        self.reports.append(
            StepReport(instruction.line, opcode, entry.counted, entry.flow, number, guard_slot, divergent_slot)
        )
        self.check_defined(step)
        if entry.flow not in ("branch", "switch", "exit", "barrier"):
            self.execute(instruction, entry, guard)
        for name in sorted(writes(step) & self.defined.keys()):
            at = self.e.op(f"getelementptr i8, ptr %registers, i64 {self.defined[name]}")
            old = self.e.op(f"load i32, ptr {at}, align 4")
            self.e.line(f"store i32 {self.e.op(f'or i32 {old}, {machine.active}')}, ptr {at}, align 4")
        if self.mode == SANITIZE and instruction.opcode.startswith("bar.warp.sync"):
            self.note_warp_sync()

    def check_defined(self, step: Step) -> None:
        """Where a kernel is sanitised: a finding for a register that lanes read and have not written.

        A move may copy what nobody will use; guarded writes keep the old value, which is no read.
        """
        if not self.defined or step.instruction.opcode.split(".")[0] in ("mov", "selp"):
            return
        used = operand_reads(step)
        for name in sorted(used & self.defined.keys()):
            at = self.e.op(f"getelementptr i8, ptr %registers, i64 {self.defined[name]}")
            missing = self.e.op(f"xor i32 {self.e.op(f'load i32, ptr {at}, align 4')}, -1")
            lanes = self.e.op(f"and i32 {missing}, {self.machine.active}")
            self.machine.finding(sanitize.UNINITIALISED_REGISTER, self.machine.mark(name), lanes)

    def note_warp_sync(self) -> None:
        """Accesses before a bar.warp.sync are ordered before those after it, within the warp."""
        at = self.e.op(f"getelementptr i64, ptr %env, i64 {context.TIME}")
        time = self.e.op(f"add i64 {self.e.op(f'load i64, ptr {at}')}, 1")
        self.e.line(f"store i64 {time}, ptr {at}")
        for place in (
            self.e.op(f"getelementptr i64, ptr %env, i64 {context.TIME_OF_WARP}"),
            self.e.op(f"getelementptr i8, ptr %warp, i64 {context.WARP_SYNC}"),
        ):
            self.e.line(f"store i64 {time}, ptr {place}")

    def execute(self, instruction: Instruction, entry: Entry, guard: Value | None) -> None:
        """Read the operands, run the entry's body, write what it returns."""
        arguments = dict(entry.arguments)
        targets = []
        for form, operand in zip(entry.operands, instruction.operands, strict=True):
            if form.selector or form.sign:
                operand, arguments[f"{form.name}_sel"], arguments[f"{form.name}_negated"] = plain(operand)
            if form.kind == "target":
                targets.append((form, operand))
            elif form.name in entry.asks:
                arguments[form.name] = self.read(operand, form, instruction.line)
        if "e" in entry.asks:
            arguments["e"] = self.e
        if "machine" in entry.asks:
            arguments["machine"] = self.machine
        if "carry" in entry.asks:
            arguments["carry"] = self.get(CARRY)
        if "count" in entry.asks:  # how many registers a vector is taken apart into
            arguments["count"] = sum(len(operand.parts) for _, operand in targets if isinstance(operand, Vector))
        result = entry.body(**{name: value for name, value in arguments.items() if name in entry.asks})
        if entry.carry in ("out", "both"):
            result, carry = result
            self.put(Register(CARRY), carry, guard, instruction.line)
        for form, operand in targets:
            self.deliver(form, operand, result, guard, instruction.line)

    def deliver(self, form: OperandForm, operand: Operand, result: object, guard: Value | None, line: int) -> None:
        values = result if isinstance(result, tuple) else (result,)
        if isinstance(operand, Vector):
            if len(operand.parts) != len(values):
                raise syntax_error(line, f"gives {len(values)} values for {len(operand.parts)} registers.")
            parts: tuple[Operand, ...] = operand.parts
        elif isinstance(operand, Dual):
            parts = (operand.first, operand.second)
        else:
            parts = (operand,)
        for part, value in zip(parts, values, strict=False):
            assert isinstance(value, Value)
            self.put(part, value, guard, line)

    # ---- the module

    def translate(self) -> Translation:
        e = self.e
        for number, block in enumerate(self.blocks):
            self.block(number, block)
        e.line(f"b{len(self.blocks)}:")  # behind the last instruction
        self.leave(e.op("load i32, ptr %mask, align 4"))
        body = "\n  ".join(e.lines)
        cases = " ".join(f"i32 {i}, label %b{i}" for i in range(len(self.blocks) + 1))
        for function in NEEDS:
            self.machine.function(function)
        e.declarations.add(f"declare i32 @llvm.vector.reduce.umin.v{LANES}i32({V32})")
        warp = warp_function(body, cases, halves=self.mode == ADVERSARIAL)
        if self.mode == SANITIZE:
            self.add_watches()
        functions = "\n".join(function.text for function in self.machine.functions.values())
        zeroed = tuple(self.extent(name) for name in sorted(self.blocks[0].live_in & self.slots.keys()))
        zeroed += tuple((offset, 4) for offset in self.defined.values())
        schedule = scheduler(
            self.register_bytes, self.local_bytes, zeroed, reverse=self.mode == ADVERSARIAL, queues=self.machine.queues
        )
        return Translation(
            "\n".join([*sorted(e.declarations), *e.functions.values(), functions, warp, schedule]),
            self.function.name,
            tuple(self.reports),
            tuple(self.machine.sites),
            len(self.blocks),
            self.machine.next_slot,
            self.register_bytes,
            self.shared_bytes,
            self.local_bytes,
            in_order(self.steps),
            getattr(self, "granules", (4, 4)),
            race_obstacle(self.steps),
            schedule_obstacle(self.steps),
            self.machine.queues,
        )

    def add_watches(self) -> None:
        """The functions that watch memory, with granules as small as the kernel's smallest access."""
        sizes: dict[str, int] = {}
        for site in self.machine.sites:
            if site.space in ("shared", "local") and site.bytes:
                sizes[site.space] = min(site.bytes, sizes.get(site.space, 4))
        races = race_obstacle(self.steps) is None
        for kind, space, element_bytes, count in sorted(self.machine.watches):
            shared = sanitize.watch_shared(kind, element_bytes, count, sizes.get("shared", 4), races)
            local = sanitize.watch_local(kind, element_bytes, count, sizes.get("local", 4))
            generic = sanitize.watch_generic(kind, element_bytes, count, (shared, local))
            self.machine.function({"shared": shared, "local": local, "generic": generic}[space])
        if self.machine.pends:
            self.machine.function(sanitize.pend_copy(sizes.get("shared", 4)))
            self.machine.function(sanitize.settle_copy(sizes.get("shared", 4)))  # in place of the one that does nothing
        self.machine.function(sanitize.FAULT)  # in place of the other one: a bad access is a finding
        self.granules = (sizes.get("shared", 4), sizes.get("local", 4))

    def extent(self, name: str) -> tuple[int, int]:
        kind = self.function.registers[name]
        return self.slots[name], 4 if kind is PRED else LANES * kind.bytes


def warp_function(body: str, cases: str, *, halves: bool = False) -> str:
    """`warp(registers, warp, env)`: run one warp until every lane waits or has exited.

    `halves`: one half of the lanes runs as far as it can before the other starts, the highest counter first.
    """
    pool = (
        f"""%odd = and i32 %eligible, {ODD_LANES}
  %any.odd = icmp ne i32 %odd, 0
  %first = select i1 %any.odd, i32 %odd, i32 %eligible
  %half = select i1 %any.odd, i32 {ODD_LANES}, i32 -1
  %pool = and i32 %candidates, %half"""
        if halves
        else "%pool = or i32 %candidates, 0\n  %first = or i32 %eligible, 0"
    )
    return f"""
define internal void @warp(ptr %registers, ptr %warp, ptr %env) noinline {{
entry:
  %mask = alloca i32, align 4
  %runnable = alloca i32, align 4
  %served = getelementptr i8, ptr %warp, i64 {context.WARP_SERVED}
  %patience = alloca i32, align 4
  store i32 {PATIENCE}, ptr %patience
  {context.slot("counters", context.COUNTERS, "ptr")}
  {context.slot("params", context.PARAMS, "ptr")}
  %waiting.at = getelementptr i8, ptr %warp, i64 {context.WARP_WAITING}
  %waiting = load i32, ptr %waiting.at
  %exited.at = getelementptr i8, ptr %warp, i64 {context.WARP_EXITED}
  %exited = load i32, ptr %exited.at
  %parked.at = getelementptr i8, ptr %warp, i64 {context.WARP_PARKED}
  %parked = load i32, ptr %parked.at
  %valid.at = getelementptr i8, ptr %warp, i64 {context.WARP_VALID}
  %valid = load i32, ptr %valid.at
  %gone = or i32 %waiting, %exited
  %away = or i32 %gone, %parked
  %present = xor i32 %away, -1
  %ready = and i32 %valid, %present
  store i32 %ready, ptr %runnable
  br label %dispatch
dispatch:
  %candidates = load i32, ptr %runnable
  %none = icmp eq i32 %candidates, 0
  br i1 %none, label %done, label %choose
choose:
  %served.now = load i32, ptr %served
  %unserved.mask = xor i32 %served.now, -1
  %unserved = and i32 %candidates, %unserved.mask
  %all.served = icmp eq i32 %unserved, 0
  %eligible = select i1 %all.served, i32 %candidates, i32 %unserved
  {pool}
  %pcs = load {V32}, ptr %warp, align 64
  %eligible.vector = bitcast i32 %first to {MASK}
  %masked = select {MASK} %eligible.vector, {V32} %pcs, {V32} splat (i32 {NOWHERE})
  %lowest = call i32 @llvm.vector.reduce.umin.v{LANES}i32({V32} %masked)
  {context.splat("lowest.all", "i32", "%lowest")}
  %there = icmp eq {V32} %pcs, %lowest.all
  %there.mask = bitcast {MASK} %there to i32
  %chosen = and i32 %there.mask, %pool
  store i32 %chosen, ptr %mask
  %alone = icmp eq i32 %chosen, %candidates
  br i1 %alone, label %go, label %others
others:
  ; Those at the lowest program counter may be waiting for the others, which then get as long a turn.
  %patience.now = load i32, ptr %patience
  %patience.less = sub i32 %patience.now, 1
  store i32 %patience.less, ptr %patience
  %worn = icmp eq i32 %patience.less, 0
  br i1 %worn, label %pass, label %go
pass:
  store i32 {PATIENCE}, ptr %patience
  %served.kept = select i1 %all.served, i32 0, i32 %served.now
  %served.more = or i32 %served.kept, %chosen
  store i32 %served.more, ptr %served
  br label %dispatch
go:
  switch i32 %lowest, label %done [ {cases} ]
done:
  ret void
  {body}
}}
"""


def reads_clock(instruction: Instruction) -> bool:
    return any(
        isinstance(operand, Special) and operand.name.startswith(("%clock", "%globaltimer"))
        for operand in instruction.operands
    )


def plain(operand: Operand) -> tuple[Operand, str, bool]:
    """An operand without its selector and its sign, the selector ("" without), and whether it is negated."""
    negated = isinstance(operand, Negated)
    if isinstance(operand, Negated):
        operand = operand.operand
    if isinstance(operand, Selected):
        return operand.register, operand.selector, negated
    return operand, "", negated


def literal_bits(literal: Immediate, kind: Type, *, floating: bool) -> int:
    """The bit pattern of a number as an operand of type `kind`."""
    if kind is PRED:
        return int(bool(literal.value))
    if literal.bits == kind.bits:
        return int(literal.value)
    if floating or isinstance(literal.value, float) or literal.bits:
        return float_bits(literal, kind.bits)
    return int(literal.value) & (1 << kind.bits) - 1
