"""Calls that are not inlined: a routine's first and last instruction, the call, and the instruction after it.

Each lane has a stack of frames (frames.py, stack.py). A call stores the parameters, the return block and, if the caller
may be re-entered meanwhile, its registers in the frame on top, and goes to the routine; the routine's last instruction
returns each lane. Lanes may be in different functions, or in one function at different depths.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ptxbench.emulator.control import ControlFlow
from ptxbench.emulator.emit import Value
from ptxbench.emulator.flow import Block, FlowStep
from ptxbench.emulator.frames import lay_out_formals
from ptxbench.emulator.inline import CallSite
from ptxbench.emulator.layout import SANITIZE
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.registers import DEFINED, FRAME, KernelState
from ptxbench.emulator.runtime import conditions, context, kinds
from ptxbench.emulator.runtime.context import MASK, V32, V64
from ptxbench.emulator.stack import CallStack
from ptxbench.emulator.syntax import Register, Symbol
from ptxbench.emulator.types import B64, LANES, PRED, U32


class Calls:
    """The instructions that inline.py adds for the functions that it does not inline."""

    def __init__(self, kernel: KernelState, control: ControlFlow) -> None:
        self.kernel, self.e, self.ops, self.control = kernel, kernel.e, kernel.ops, control
        self.target_functions: dict[tuple[str, ...], str] = {}
        """The names of the functions that `function_of_targets` has made."""

    @property
    def stack(self) -> CallStack:
        assert self.ops.stack is not None
        return self.ops.stack

    def between_functions(self, index: int, block: Block) -> None:
        """Emit the ENTER or RETURNED at `index`, the first instruction of its block."""
        if self.kernel.steps[index].entry.flow == "enter":
            self.enter(self.routine_of(index), self.kernel.steps[index], block)
        else:
            self.returned(self.kernel.program.sites[index], self.kernel.frames.saved.get(index, []))

    def end(self, block: Block, number: int) -> None:
        """End a block whose last instruction is a call or a return."""
        last = block.last - 1
        flow = self.kernel.steps[last].entry.flow
        if flow == "call":
            self.call(self.kernel.program.sites[last], self.kernel.frames.saved.get(block.last, []), number)
        else:
            self.leave_routine(self.routine_of(last), self.kernel.steps[last])

    def routine_of(self, index: int) -> str:
        """The routine of the ENTER or RETURN at `index`."""
        starts = self.starts
        return starts[max(start for start in starts if start <= index)]

    @functools.cached_property
    def starts(self) -> dict[int, str]:
        """The routines by the index of their first instruction."""
        return {
            self.kernel.function.labels[routine.label]: name for name, routine in self.kernel.program.routines.items()
        }

    def block_of(self, name: str) -> int:
        """The first block of a routine."""
        return self.kernel.number[self.kernel.function.labels[self.kernel.program.routines[name].label]]

    def enter(self, name: str, step: FlowStep, block: Block) -> None:
        """Make the frame on top the lanes' own: its variables are cleared, its registers count as never written."""
        stack, mask, frame = self.stack, self.ops.mask, self.kernel.frames.of[name]
        top = stack.top()
        self.kernel.values[FRAME] = top
        stack.enter(frame.bytes, mask)
        start, end = frame.cleared
        if end > start:
            stack.clear(stack.address(top, start), self.e.constant(end - start, U32), mask)
        for register in sorted(block.live_in & self.kernel.slots.keys()):
            self.write(register, self.e.constant(0, self.kernel.bits_type(register)))
        for register in sorted(block.live_in & self.kernel.defined.keys()):
            self.kernel.note_defined(register, "and", self.e.op(f"xor i32 {mask}, -1"))
        self.take_formals(name, step, top)

    def take_formals(self, name: str, step: FlowStep, frame: Value) -> None:
        """Load the parameters that are registers from the frame."""
        offsets = self.formal_offsets(name)
        for operand in step.instruction.operands:
            assert isinstance(operand, Register)
            kind = self.kernel.bits_type(operand.name)
            self.write(operand.name, self.stack.restore(frame, offsets[operand.name], kind, self.ops.mask))

    def formal_offsets(self, name: str) -> dict[str, int]:
        """The offset in the routine's frame of each formal parameter and returned value, by name."""
        formals = self.kernel.program.routines[name].formals
        return {
            formal.name: offset for formal, offset in zip(formals, self.kernel.frames.of[name].formals, strict=True)
        }

    def leave_routine(self, name: str, step: FlowStep) -> None:
        """Each lane returns to the block in its frame, and to its caller's frame."""
        e, stack, mask = self.e, self.stack, self.ops.mask
        frame = self.kernel.values[FRAME] = stack.frame()
        offsets = self.formal_offsets(name)
        for operand in step.instruction.operands:
            assert isinstance(operand, Register)
            stack.save(frame, offsets[operand.name], self.kernel.get(operand.name), mask)
        self.control.set_pcs(mask, stack.leave(mask))
        e.line("br label %dispatch")

    def call(self, site: CallSite, saved: Sequence[tuple[int, str]], number: int) -> None:
        """Fill the frame on top and jump to the routine."""
        e, stack, mask = self.e, self.stack, self.ops.mask
        top = stack.top()
        targets = self.targets_of(site, number)
        size = max((self.kernel.frames.of[name].bytes for name in site.targets), default=0)
        self.stop_if(stack.push(size, number + 1, mask, self.ops.site("call")), number)
        offsets, _ = lay_out_formals(site)
        params, _ = site.signature
        for offset, argument, (_, bytes_) in zip(offsets, site.arguments, params, strict=False):
            if isinstance(argument, Register):
                stack.save(top, offset, self.kernel.get(argument.name), mask)
            else:
                stack.copy(stack.address(top, offset), self.local_address(argument), bytes_, mask)
        frame = stack.frame()
        for offset, register in saved:
            stack.save(frame, offset, self.saved_value(register), mask)
        if targets is None:
            self.control.go(number, self.block_of(site.targets[0]))
        else:
            self.control.set_pcs(mask, targets.ir)
            e.line("br label %dispatch")

    def saved_value(self, register: str) -> Value:
        if register.startswith(DEFINED):
            bits = self.e.op(f"load i32, ptr {self.kernel.defined_at(register.removeprefix(DEFINED))}, align 4")
            return self.e.predicate(bits)
        return self.kernel.get(register)

    def returned(self, site: CallSite, saved: Sequence[tuple[int, str]]) -> None:
        """Load the results from the frame just left, and restore the registers that the call saved."""
        stack, mask = self.stack, self.ops.mask
        top = stack.top()
        offsets, _ = lay_out_formals(site)
        params, returns = site.signature
        for offset, result, (_, bytes_) in zip(offsets[len(params) :], site.results, returns, strict=True):
            if isinstance(result, Register):
                self.write(result.name, stack.restore(top, offset, self.kernel.bits_type(result.name), mask))
            else:
                stack.copy(self.local_address(result), stack.address(top, offset), bytes_, mask)
        if saved:
            frame = self.kernel.values[FRAME] = stack.frame()
        for offset, register in saved:
            if register.startswith(DEFINED):
                name = register.removeprefix(DEFINED)
                defined = stack.restore(frame, offset, PRED, mask)
                self.kernel.note_defined(name, "and", self.e.op(f"xor i32 {mask}, -1"))
                self.kernel.note_defined(name, "or", self.e.lanes_where(defined))
            else:
                self.write(register, stack.restore(frame, offset, self.kernel.bits_type(register), mask))

    def local_address(self, symbol: Symbol) -> Value:
        """The local memory address of a .param variable of the caller, as u32."""
        if symbol.name in self.kernel.frames.variables:
            return self.kernel.frame_address(symbol)
        if symbol.name not in self.kernel.own.local:
            raise syntax_error(self.ops.line, f"expected a .param variable in the call, found '{symbol.name}'.")
        return self.e.constant(self.kernel.own.local[symbol.name] + symbol.offset, U32)

    def write(self, register: str, value: Value) -> None:
        self.kernel.values[register] = value
        self.kernel.dirty.add(register)

    # ---- calls through registers

    def targets_of(self, site: CallSite, number: int) -> Value | None:
        """The block that each lane goes to in a call through a register. An address that is not a target's ends the
        launch."""
        if site.address is None:
            return None
        e, ops = self.e, self.ops
        address = self.kernel.read_value(site.address, B64, ops.line)
        name = self.function_of_targets(site.targets)
        unmoved = e.sub(address, e.condition(conditions.FUNCTION_SHIFT, B64))
        value = Value(e.op(f"call {V32} @{name}({V64} {unmoved.ir})"), U32)
        no_target = ops.ballot(e.compare("eq", value, e.constant(-1, U32)))
        self.stack.fault(context.NO_FUNCTION, ops.site("call"), no_target, address)
        self.stop_if(no_target, number)
        slot = self.kernel.reports[ops.step].divergent_slot
        assert slot is not None
        first = e.intrinsic("llvm.cttz.i32", "i32", ("i32", ops.mask), ("i1", "false"))
        target_of_first = e.op(f"extractelement {V32} {value.ir}, i32 {e.op(f'and i32 {first}, {LANES - 1}')}")
        other_lanes = ops.ballot(e.compare("ne", value, e.splat(target_of_first, U32)))
        if site.uniform and self.kernel.mode == SANITIZE:
            ops.finding(kinds.NOT_UNIFORM, ops.site("branch"), other_lanes)
        diverges = e.op(f"icmp ne i32 {other_lanes}, 0")
        self.control.bump(slot, e.op(f"zext i1 {diverges} to i64"))
        return value

    def function_of_targets(self, targets: tuple[str, ...]) -> str:
        """`targets_N(addresses)`: the block of the routine at each address; -1 if it is not one of `targets`."""
        if targets in self.target_functions:
            return self.target_functions[targets]
        name = self.target_functions[targets] = f"targets_{len(self.target_functions)}"
        lines, last = [], f"{V32} splat (i32 -1)"
        for k, target in enumerate(targets):
            lines.append(f"%is{k} = icmp eq {V64} %a, splat (i64 {self.kernel.functions[target]})")
            lines.append(f"%t{k} = select {MASK} %is{k}, {V32} splat (i32 {self.block_of(target)}), {last}")
            last = f"{V32} %t{k}"
        body = "\n  ".join([*lines, f"ret {last}"])
        self.e.functions[name] = f"define internal {V32} @{name}({V64} %a) noinline {{\n  {body}\n}}"
        return name

    def stop_if(self, lanes: str, number: int) -> None:
        """Stop the warp if one of `lanes` (i32 name) is set; it has ended the launch."""
        e = self.e
        stop, on = e.label("stop"), e.label("on")
        e.line(f"br i1 {e.op(f'icmp eq i32 {lanes}, 0')}, label %{on}, label %{stop}")
        e.line(f"{stop}:")
        self.control.set_pc(self.ops.mask, number)
        e.line("ret void")
        e.line(f"{on}:")
