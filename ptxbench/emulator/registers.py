"""The registers and operands of one kernel: where they are stored, how they are read and written.

Inside a block a register is an SSA value; between blocks it is in the warp's register file.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from ptxbench.emulator import predefined, register_pool, warpgroups
from ptxbench.emulator.analysis import analyse
from ptxbench.emulator.bases import bases
from ptxbench.emulator.callgraph import NO_BODY, allocates
from ptxbench.emulator.definedness import MARK, Deferral, defer
from ptxbench.emulator.definitions import Definitions
from ptxbench.emulator.emit import Emitter, Value, literal
from ptxbench.emulator.fixed_registers import literal_bits, numbers_in, parameters_in
from ptxbench.emulator.flow import CARRY, Block, FlowStep, orders_partly
from ptxbench.emulator.frames import Frames, lay_out_frames, stack_base
from ptxbench.emulator.host_cpu import HostCpu
from ptxbench.emulator.interleaved import InterleavedVectors
from ptxbench.emulator.isa.table import Entry, OperandForm
from ptxbench.emulator.layout import PLAIN, SANITIZE, ParamAddress, StepReport
from ptxbench.emulator.limits import check_local
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runs import Runs
from ptxbench.emulator.runtime import access, short
from ptxbench.emulator.runtime.conditions import FUNCTION_SHIFT, LOCAL_ORIGIN
from ptxbench.emulator.runtime.context import HALVES, MASK, PARAM_WINDOW
from ptxbench.emulator.stack import CallStack, StackLayout
from ptxbench.emulator.syntax import (
    Address,
    Element,
    Function,
    Immediate,
    Module,
    Not,
    Operand,
    Register,
    Sink,
    Special,
    Sum,
    Symbol,
    Vector,
)
from ptxbench.emulator.types import B32, B64, LANES, PRED, U32, U64, Type, bits_of
from ptxbench.emulator.variables import (
    constant_ranges,
    function_addresses,
    lay_out_parameters,
    lay_out_provided,
    own_addresses,
)
from ptxbench.emulator.vector_calls import REGISTER_POINTER, Computed, Line, shape
from ptxbench.emulator.vector_functions import function, operand
from ptxbench.emulator.warp_ops import WarpOps
from ptxbench.emulator.zones import lay_out_own
from ptxbench.errors import UnsupportedInstruction

FRAME = "%frame"
"""The key, among a block's values, of the frame of the lanes' routine."""
DEFINED = "defined "
"""The prefix of a register's name for the mask of lanes that have written it."""


ACCESSES = ("ld", "ldu", "st", "atom", "red", "ldmatrix", "stmatrix", "wmma", "mbarrier")
"""Instructions whose addresses are generic, or in the single space that they name."""
GENERIC_SPACES = ("global", "shared", "local")
SENDERS = ("st.async", "red.async", "clusterlaunchcontrol.try_cancel")
"""Instructions that send messages to mbarriers of the cluster (runtime/messages.py)."""
OF_CLUSTERS = ("barrier.cluster", *SENDERS)
"""Instructions that need the state of a cluster, even if it has one CTA; so do those of `bulk_to_ctas`."""


def bulk_to_ctas(opcode: str) -> bool:
    """Whether it is a bulk copy to several CTAs, or between CTAs."""
    words = set(opcode.split("."))
    between = {"bulk", "shared::cluster", "shared::cta"} <= words
    return between or "multicast::cluster" in words


def is_access(step: FlowStep) -> bool:
    """Whether it is a load or a store, not of a parameter."""
    opcode = step.entry.opcode
    return opcode.startswith(("ld.", "ldu.", "st.")) and ".param" not in opcode


class KernelState:
    """One kernel's registers, parameters and variables, with the emitter of its code."""

    def __init__(self, module: Module, function: Function, arch: str, cpu: HostCpu, mode: str = PLAIN,
                 clustered: bool = False, vectors: bool = True) -> None:  # fmt: skip
        self.mode = mode
        provided = lay_out_provided(module, function)
        analysis = self.analysis = analyse(module, function)
        self.program, self.steps = analysis.program, analysis.steps
        self.blocks, self.loops = analysis.blocks, analysis.loops
        function = self.function = self.program.function
        self.loop_at = {loop.header: (i, loop) for i, loop in enumerate(self.loops.natural)}
        self.number = {block.first: number for number, block in enumerate(self.blocks)}
        self.e = Emitter(hardware_fma=cpu.fma, in_memory=not vectors)
        self.ops = WarpOps(self.e, arch, next_slot=2 * len(self.blocks), sanitize=mode == SANITIZE)
        self.ops.mergeable, self.ops.unused_atomics = analysis.mergeable, analysis.unused_atomics
        self.ops.permutes = cpu.permutes
        opcodes = self.opcodes = {entry.opcode for entry in analysis.entries}
        if vectors and mode == PLAIN and sum(map(is_access, self.steps)) <= access.MOST_INLINED:
            definitions = Definitions(self.e)
            self.ops.interleaved = InterleavedVectors(self.e, definitions)
            self.ops.runs = Runs(self.e, definitions)
        self.ops.clustered = clustered or any(
            opcode.startswith(OF_CLUSTERS) or bulk_to_ctas(opcode) for opcode in opcodes
        )
        self.ops.parallel = analysis.order_reason is None
        self.ops.queues = any(opcode.startswith(("cp.async", "cp.reduce")) for opcode in opcodes)
        self.ops.bulk = any(opcode.startswith(("cp.async.bulk", "cp.reduce")) for opcode in opcodes)
        self.ops.sends = any(opcode.startswith(SENDERS) for opcode in opcodes)
        variables = (*module.variables.values(), *function.params, *function.variables.values())
        self.spaces = {variable.name: variable.space for variable in variables}
        self.constants = numbers_in(self.steps, function.registers)
        self.params = self.lay_out_params()
        self.uniform = parameters_in(self.steps, self.blocks[0], function.registers, self.params)
        read = function.special_names
        if any(predefined.is_reserved(name) for name in read):
            self.ops.reserved_inside = predefined.reserved_bytes(arch)
        self.own = lay_out_own(module, function, reserved=self.ops.reserved_inside, zoned=mode == SANITIZE)
        self.local_bytes = self.own.local_bytes
        self.bases = bases(self.steps, self.own.by_name, function.registers) if self.own.variables else {}
        self.module_variables = own_addresses(module)
        self.functions = function_addresses(module)
        self.bodiless = {name for name, device_function in module.functions.items() if not device_function.defined}
        self.ops.shared_bytes, self.ops.shared_zones = self.own.shared_bytes, self.own.shared_zones
        self.ops.parameters = provided.parameters
        self.ops.workspace, _ = provided.workspace or (0, 0)
        self.heap = provided.heap
        self.ops.constant_variables = constant_ranges(module)
        self.ops.calls = bool(self.program.routines) or any(v.space == "param" for v in function.variables.values())
        self.clocked = any(name.startswith(("%clock", "%globaltimer")) for name in read)
        self.deferral = self.find_deferral(module)
        self.slots, self.register_bytes = self.lay_out_registers()
        self.defined = self.lay_out_defined() if mode == SANITIZE else {}
        self.cleared_bytes = self.local_bytes
        self.frames = self.lay_out_stack()
        self.trips_at = self.register_bytes
        """Where a warp's registers hold the trips of each loop so far (runtime/trips.py)."""
        self.register_bytes += -(-8 * len(self.loops.natural) // 64) * 64
        self.ops.fragments = warpgroups.lay_out(self.steps, self.slots, self.register_bytes)
        if self.ops.fragments is not None:
            self.register_bytes += self.ops.fragments.area.bytes
        self.pool = register_pool.lay_out(self, arch)
        if self.pool is not None:
            self.register_bytes += self.pool.zeroed[1]
        self.ops.register_bytes = self.register_bytes
        self.ops.local_moves = not self.ops.calls and self.ops.stack is None
        check_local(self.local_bytes - self.own.local_zones)
        self.values: dict[str, Value] = {}
        self.used_offsets: set[int] = set()
        """The offsets of `pointer`."""
        self.noted: set[str] = set()
        """The registers whose write by all lanes of the block is noted in their masks of lanes that wrote them."""
        self.dirty: set[str] = set()
        self.reports: list[StepReport] = []
        self.granules = (4, 4, 4)
        self.rows = orders_partly(analysis.entries) or self.ops.clustered

    def find_deferral(self, module: Module) -> Deferral | None:
        """When sanitizing: the reads whose report waits. Their marks become registers."""
        if self.mode != SANITIZE or self.program.sites:
            return None
        of_memory = not self.ops.reserved_inside
        unfit = self.constants.keys() | self.uniform.keys() | warpgroups.used(self.steps)
        is_optimised = "debug" not in module.target  # other code computes nothing before its condition
        unwritten = self.blocks[0].live_in - unfit if is_optimised else frozenset()
        deferral = defer(self.steps, self.blocks, unfit, unwritten, of_memory=of_memory)
        if deferral is not None:
            self.function, self.blocks = deferral.with_marks(self.function, self.blocks)
        return deferral

    def lay_out_params(self) -> dict[str, tuple[int, int]]:
        """Offset and bytes of each parameter."""
        placed = lay_out_parameters(self.function)[0]
        return {param.name: (placed[param.name], param.size_bytes) for param in self.function.params}

    def lay_out_registers(self) -> tuple[dict[str, int], int]:
        """The byte offset of every register that is live across blocks, and their total bytes."""
        computed = self.constants.keys() | self.uniform.keys()
        live = sorted(set().union(*(block.live_in for block in self.blocks)) - computed)
        placed, offset = {}, 0
        for name in live:
            kind = self.function.registers[name]
            size = 4 if kind is PRED else LANES * kind.bytes
            offset = -(-offset // min(size, 64)) * min(size, 64)
            placed[name] = offset
            offset += size
        return placed, max(64, -(-offset // 64) * 64)

    def lay_out_defined(self) -> dict[str, int]:
        """For each register that may be read before it is written: the offset of the mask of lanes that wrote it."""
        starts = [block for block in self.blocks if self.steps[block.first].entry.flow == "enter"]
        read_first = self.blocks[0].live_in.union(*(block.live_in for block in starts))
        names = sorted(name for name in (read_first & self.slots.keys()) - {CARRY} if not name.startswith(MARK))
        placed = {name: self.register_bytes + 4 * i for i, name in enumerate(names)}
        self.register_bytes += -(-4 * len(names) // 64) * 64
        return placed

    def lay_out_stack(self) -> Frames:
        """The routines' frames; adds the stack to the memory and the registers, if there are routines or alloca."""
        stacked = allocates(self.function)
        frames = lay_out_frames(self.program, self.saved_registers(), bounded=not stacked)
        if self.program.sites or stacked:
            base = self.cleared_bytes = stack_base(self.local_bytes, frames)
            self.local_bytes = base + frames.stack_bytes
            layout = StackLayout(base, frames.stack_bytes, frames.align, self.register_bytes)
            self.register_bytes += layout.register_bytes
            self.ops.stack = CallStack(self.e, layout, self.ops.function, sanitize=self.mode == SANITIZE)
        return frames

    def saved_registers(self) -> dict[int, list[tuple[int, str]]]:
        """Bytes and name of each value that a call saves, by the index of the instruction after the call.

        The values are the registers that are live there, and, for registers that may be unwritten, whether they were
        written.
        """
        result = {}
        for index, step in enumerate(self.steps):
            if step.entry.flow == "returned" and self.program.sites[index].comes_back:
                live = self.blocks[self.number[index]].live_in
                names = sorted((live & self.slots.keys()) - step.writes)
                result[index] = [(max(1, self.function.registers[name].bytes), name) for name in names]
                result[index] += [(1, DEFINED + name) for name in names if name in self.defined]
        return result

    def load_uniform(self, name: str) -> Value:
        """The value of a register that holds a parameter."""
        step = self.uniform[name]
        _, source = step.instruction.operands
        assert isinstance(source, Address)
        address = self.read_address(source, step.instruction.line)
        (value,) = self.ops.load("param", address, step.entry.arguments["type"])
        return extended(self.e, value, self.function.registers[name])

    # ---- operands

    def read(self, operand: Operand, form: OperandForm, line: int) -> Value | ParamAddress | tuple[Value, ...]:
        """The operand as a value of the form's type."""
        if form.kind == "address":
            assert isinstance(operand, Address)
            return self.read_address(operand, line)
        if isinstance(operand, Vector):
            part = form.type
            return tuple(self.read_value(element, part, line) for element in operand.parts)
        return self.read_value(operand, form.type, line)

    def read_value(self, operand: Operand, kind: Type | None, line: int) -> Value:
        if isinstance(operand, Not):
            return self.e.not_(self.read_value(operand.operand, kind, line))
        if isinstance(operand, Register):
            register_type = self.function.registers[operand.name]
            kind = kind or register_type
            if (register_type is PRED) != (kind is PRED):
                raise syntax_error(line, f"'{operand.name}' is .{register_type}, expected .{kind}.")
            return self.fit(self.get(operand.name), kind)
        if isinstance(operand, Immediate):
            kind = kind or B32
            return self.e.from_bits(literal_bits(operand, kind, floating=kind.floating), kind)
        if isinstance(operand, Special):
            return self.fit(self.ops.special(operand.name), kind or B32)
        if isinstance(operand, Symbol):
            if operand.name in self.frames.variables:
                return self.fit(self.frame_address(operand), kind or B64)
            return self.fit(self.symbol_address(operand, line), kind or B64)
        if isinstance(operand, Sum):
            return self.fit(self.read_sum(operand), kind or self.function.registers[operand.register.name])
        if isinstance(operand, Element):
            start = self.read_value(operand.symbol, U64, line)
            index = self.read_sum(operand.index) if isinstance(operand.index, Sum) else self.get(operand.index.name)
            offset = self.e.mul(self.fit(self.fit(index, U32), U64), self.e.constant(operand.scale, U64))
            return self.fit(self.e.add(start, offset), kind or B64)
        raise syntax_error(line, f"unexpected operand {operand!r}.")

    def read_sum(self, operand: Sum) -> Value:
        value = self.e.bits(self.get(operand.register.name))
        return self.e.add(value, self.e.constant(operand.offset, value.type))

    def fit(self, value: Value, kind: Type) -> Value:
        """`value` as type `kind`: the same bits, truncated or zero-extended to its width."""
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
            return ParamAddress(offset + total, base.name, total, size)
        if isinstance(base, Register):
            if self.function.registers[base.name] is PRED:
                raise syntax_error(line, f"expected an address, found the predicate '{base.name}'.")
            value = self.e.bits(self.get(base.name))
            return self.e.add(value, self.e.constant(address.offset, value.type)) if address.offset else value
        if isinstance(base, Symbol):
            if base.name in self.frames.variables:
                return self.frame_address(base, address.offset)
            return self.symbol_address(base, line, address.offset)
        if isinstance(base, Element):
            return self.read_value(base, U64, line)
        return self.e.constant(int(base.value) + address.offset, B64)

    def located(self, address: Address, value: Value | ParamAddress, entry: Entry, line: int) -> Value | ParamAddress:
        """Convert `value`, a variable's address in its own space, to the space that the instruction accesses.

        Raises PtxSyntaxError if the variable is in another space.
        """
        name = address.variable
        space = self.spaces.get(name, "")
        if not space or entry.opcode.split(".")[0] not in ACCESSES:
            return value
        if space not in (entry.spaces or GENERIC_SPACES):
            raise syntax_error(line, f"'{name}' is a .{space} variable, which '{entry.opcode}' does not access.")
        if entry.spaces or space not in ("shared", "local") or isinstance(value, ParamAddress):
            return value
        return self.e.add(self.fit(value, U64), self.ops.window(space, U64))

    def frame_address(self, symbol: Symbol, more: int = 0) -> Value:
        """The address of a variable in the current routine's frame, as u32."""
        assert self.ops.stack is not None
        if FRAME not in self.values:
            self.values[FRAME] = self.ops.stack.frame()
        offset = self.frames.variables[symbol.name] + symbol.offset + more
        return self.ops.stack.address(self.values[FRAME], offset)

    def symbol_address(self, symbol: Symbol, line: int, more: int = 0) -> Value:
        """The address of a variable in its own space, plus `more`; for a global variable it is the generic address too.
        For a function, a number that a call accepts."""
        e, name, more = self.e, symbol.name, symbol.offset + more
        if name in self.params and self.ops.parameters is not None:
            own = self.ops.parameters[0] - PARAM_WINDOW
            return self.ops.of_module(own + self.params[name][0] + more, B64)
        if name in self.own.shared:
            return e.add(e.constant(self.own.shared[name] + more, B32), self.ops.shared_origin(B32))
        if name in self.own.local:
            offset = self.own.local[name] + more
            moves = self.ops.local_moves
            return e.add(e.constant(offset, B32), e.condition(LOCAL_ORIGIN, B32)) if moves else e.constant(offset, B64)
        if name in self.module_variables:
            return self.ops.of_module(self.module_variables[name] + more, B64)
        if name in self.functions:
            return e.add(e.constant(self.functions[name], B64), e.condition(FUNCTION_SHIFT, B64))
        if symbol.name in self.bodiless:
            raise UnsupportedInstruction(f"line {line}: '{symbol.name}' {NO_BODY}.")
        raise syntax_error(line, f"'{symbol.name}' has no address in the emulator.")

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
        if name in self.uniform:
            return self.load_uniform(name)
        if name not in self.slots:
            return self.e.constant(0, bits_of(kind))
        at = self.register_pointer(name)
        if kind is PRED:
            bits = self.e.op(f"load i32, ptr {at}, align 4")
            return self.e.predicate(bits)
        bits_type = bits_of(kind)
        if self.e.in_memory:
            return Value(self.e.vector_line(shape(f"load {bits_type.vector}, ptr §, align 64"), [at]), bits_type)
        return Value(self.e.op(f"load {bits_type.vector}, ptr {at}, align 64"), bits_type)

    def register_pointer(self, name: str) -> str:
        """The pointer to a register in the register file."""
        return self.pointer(self.slots[name])

    def pointer(self, offset: int) -> str:
        """A pointer into the register file."""
        if not self.e.in_memory:
            return self.e.op(f"getelementptr i8, ptr %registers, i64 {offset}")
        self.used_offsets.add(offset)
        return f"{REGISTER_POINTER}{offset}"

    def register_pointers(self) -> str:
        """The lines that make those pointers at the start of the function, for code without vectors."""
        used = sorted(self.used_offsets)
        return "\n  ".join(
            f"{REGISTER_POINTER}{offset} = getelementptr i8, ptr %registers, i64 {offset}" for offset in used
        )

    def bits_type(self, name: str) -> Type:
        """The type of a register's bits."""
        return bits_of(self.function.registers[name])

    def defined_at(self, name: str) -> str:
        """The location of the mask of lanes that wrote a register."""
        return self.pointer(self.defined[name])

    def note_defined(self, name: str, operation: str, lanes: str) -> None:
        """Update that mask with `lanes`: "or" adds, "and" keeps."""
        if operation == "and":
            self.noted.discard(name)
        elif name in self.noted:
            return
        elif lanes == self.ops.mask:
            self.noted.add(name)
        at = self.defined_at(name)
        if self.e.in_memory and operation == "or":
            self.e.line(f"call void @{self.ops.function(short.NOTE_WRITTEN)}(ptr {at}, i32 {lanes})")
            return
        old = self.e.op(f"load i32, ptr {at}, align 4")
        self.e.line(f"store i32 {self.e.op(f'{operation} i32 {old}, {lanes}')}, ptr {at}, align 4")

    def put(self, operand: Operand, value: Value, guard: Value | None, line: int) -> None:
        """Write `value` to a register, sign-extended to its width for a signed type, else zero-extended.

        The old value stays if the guard is false.
        """
        if isinstance(operand, Sink):
            return
        if not isinstance(operand, Register):
            raise syntax_error(line, f"{operand!r} cannot be written.")
        kind = self.function.registers[operand.name]
        if kind.bits != value.type.bits:
            if PRED in (kind, value.type):
                raise syntax_error(line, f"'{operand.name}' is .{kind}, but .{value.type} is written to it.")
            value = extended(self.e, value, kind)
        if guard is not None:
            old = self.e.as_type(self.get(operand.name), value.type)
            value = self.e.choose(guard, value, old)
        self.values[operand.name] = value
        self.dirty.add(operand.name)

    def write_back(self, block: Block, *, together: bool = False) -> None:
        """Store the live-out registers of the lanes of the block's mask, or of all lanes if they run it `together`.

        A processor can load what a whole store has just stored without a delay, but not after a masked store.
        """
        names = sorted(self.dirty & block.live_out & self.slots.keys())
        if self.e.in_memory and not together:
            self.store_in_memory(names)
            return
        values = {name: self.e.bits(self.values[name]) for name in names}
        if not together:
            self.store_masked(values)
        elif self.mode == SANITIZE:  # never by halves
            self.store_whole(values)
        elif names:
            halves = self.e.op(f"getelementptr i64, ptr %env, i64 {HALVES}")
            whole, masked, on = (self.e.label(hint) for hint in ("whole", "masked", "on"))
            at_once = self.e.op(f"icmp eq i64 {self.e.op(f'load i64, ptr {halves}')}, 0")
            self.e.line(f"br i1 {at_once}, label %{whole}, label %{masked}")
            self.e.line(f"{whole}:")
            self.store_whole(values)
            self.e.line(f"br label %{on}")
            self.e.line(f"{masked}:")
            self.store_masked(values)
            self.e.line(f"br label %{on}")
            self.e.line(f"{on}:")

    def store_whole(self, values: Mapping[str, Value]) -> None:
        """Store registers of all lanes."""
        for name, value in values.items():
            at = self.register_pointer(name)
            if value.type is PRED:
                self.e.line(f"store i32 {self.e.lanes_where(value)}, ptr {at}, align 4")
            else:
                self.e.line(f"store {value.type.vector} {value.ir}, ptr {at}, align 64")

    def store_masked(self, values: Mapping[str, Value]) -> None:
        """Store registers of the lanes of the block's mask."""
        if self.e.in_memory:
            self.store_in_memory(values)
            return
        mask = self.ops.mask
        active = self.e.op(f"bitcast i32 {mask} to {MASK}") if values else ""
        for name, value in values.items():
            at = self.register_pointer(name)
            if value.type is PRED:
                bits = self.e.lanes_where(value)
                old = self.e.op(f"load i32, ptr {at}, align 4")
                self.e.line(f"store i32 {self.merge(mask, bits, old)}, ptr {at}, align 4")
            else:
                kind = value.type.vector
                old = self.e.op(f"load {kind}, ptr {at}, align 64")
                chosen = self.e.op(f"select {MASK} {active}, {kind} {value.ir}, {kind} {old}")
                self.e.line(f"store {kind} {chosen}, ptr {at}, align 64")

    def store_in_memory(self, names: Iterable[str]) -> None:
        """`store_masked` by one call for each register."""
        mask = self.ops.mask
        for name in names:
            at, value = self.register_pointer(name), self.values[name]
            if value.type is PRED:
                write = self.ops.function(short.WRITE_PREDICATE)
                self.e.line(f"call void @{write}(ptr {at}, i32 {mask}, i32 {self.e.lanes_where(value)})")
                continue
            if value.ir[0] == "<":  # a number for each lane
                value = self.e.result(f"freeze {value.type.vector} {value.ir}", value.type)
            is_number = value.constant is not None
            kind = value.type if value.raw or is_number else bits_of(value.type)
            self.e.lines.append(Line("", writing(kind, raw=value.raw, is_number=is_number), [at, mask, literal(value)]))

    def merge(self, mask: str, new: str, old: str) -> str:
        """The bits of `new` where `mask` is set, of `old` elsewhere (i32 names)."""
        differs = self.e.op(f"xor i32 {new}, {old}")
        return self.e.op(f"xor i32 {self.e.op(f'and i32 {differs}, {mask}')}, {old}")


@functools.cache
def writing(kind: Type, *, raw: bool, is_number: bool) -> Computed:
    """The write of some lanes of a register. Its tokens are the pointer, the lanes, and the vector or the number."""
    e = Emitter()
    parameter, e.lines = operand(2, kind.vector, is_number=is_number)
    new = e.bits(Value("%a2", kind, raw))
    old = e.op(f"load {new.type.vector}, ptr %p0, align 64")
    lanes = e.predicate("%p1")
    chosen = e.select(lanes, new, Value(old, new.type))
    e.line(f"store {new.type.vector} {chosen.ir}, ptr %p0, align 64")
    return Computed(function("write", ["ptr", "i32", parameter], e.lines, "", ""), "write")


def extended(e: Emitter, value: Value, kind: Type) -> Value:
    """`value` with the bits of a register of type `kind`."""
    if kind.bits == value.type.bits:
        return value
    return e.convert(e.bits(value) if value.type.floating else value, bits_of(kind))
