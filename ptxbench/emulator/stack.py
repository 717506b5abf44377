"""Code for the call stack of each lane: its two registers, its hidden half, memory on it, and its limit.

Offsets are from the stack's first byte, as i32 vectors. frames.py has the layout of a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.runtime import context
from ptxbench.emulator.runtime.context import MASK, V32, V64, RuntimeFunction
from ptxbench.emulator.runtime.stack import COPY_LOCAL, POISON_LOCAL, STACK_FAULT
from ptxbench.emulator.types import B64, LANES, PRED, TYPES, U32, U64, Type, bits_of

REGISTER_BYTES = 4 * LANES
CELL = 8
"""Bytes per lane in the hidden half, where lanes alternate; a hidden value never spans two cells."""
LEAST_ALIGNMENT = 8
"""The least alignment of memory from alloca, in bytes. (PTX ISA, "alloca".)"""


@dataclass(frozen=True)
class StackLayout:
    """`base`: the stack's first byte in local memory; `bytes`: per thread; `align`: of frames.

    `registers`: where the warp's registers hold each lane's frame, then the top of its stack, then the hidden half.
    """

    base: int
    bytes: int
    align: int
    registers: int

    @property
    def hidden(self) -> int:
        return self.registers + 2 * REGISTER_BYTES

    @property
    def register_bytes(self) -> int:
        """Bytes in the warp's registers for all of it."""
        return 2 * REGISTER_BYTES + LANES * self.bytes


class CallStack:
    """Emits stack operations. `add_function` adds a function to the module and returns its name. `sanitize`: keep the
    shadow up to date."""

    def __init__(
        self, e: Emitter, layout: StackLayout, add_function: Callable[[RuntimeFunction], str], *, sanitize: bool
    ) -> None:
        self.e, self.layout, self.add_function, self.sanitize = e, layout, add_function, sanitize

    @property
    def registers(self) -> tuple[tuple[int, int], ...]:
        """Offset and bytes of the registers that are 0 when a CTA starts."""
        return tuple((self.layout.registers + k * REGISTER_BYTES, REGISTER_BYTES) for k in (0, 1))

    # ---- the frame and the top of each lane: registers 0 and 1

    def register_pointer(self, number: int) -> str:
        return self.e.op(f"getelementptr i8, ptr %registers, i64 {self.layout.registers + REGISTER_BYTES * number}")

    def load(self, number: int) -> Value:
        return Value(self.e.op(f"load {V32}, ptr {self.register_pointer(number)}, align 64"), U32)

    def keep(self, number: int, value: Value, lanes: str) -> None:
        at = self.register_pointer(number)
        old = self.e.op(f"load {V32}, ptr {at}, align 64")
        chosen = self.e.predicate(lanes).ir
        new = self.e.op(f"select {MASK} {chosen}, {V32} {value.ir}, {V32} {old}")
        self.e.line(f"store {V32} {new}, ptr {at}, align 64")

    def frame(self) -> Value:
        return self.load(0)

    def top(self) -> Value:
        return self.load(1)

    def plus(self, offset: Value, more: int) -> Value:
        return self.e.add(offset, self.e.constant(more, U32)) if more else offset

    def address(self, offset: Value, more: int = 0) -> Value:
        """The local memory address of an offset in the stack."""
        return self.plus(offset, self.layout.base + more)

    # ---- the hidden half

    def pointers(self, offset: Value) -> str:
        """Pointers to the hidden bytes at an offset: lanes alternate cell by cell, so lanes of equal depth are
        neighbours."""
        e = self.e
        base = e.op(f"getelementptr i8, ptr %registers, i64 {self.layout.hidden}")
        wide = e.convert(offset, U64)
        within = e.and_(wide, e.constant(CELL - 1, U64))
        row = e.mul(e.sub(wide, within), e.constant(LANES, U64))
        lane_offsets = e.op(f"add {V64} {e.add(row, within).ir}, {context.multiples('i64', CELL)}")
        return e.op(f"getelementptr i8, ptr {base}, {V64} {lane_offsets}")

    def save(self, offset: Value, more: int, value: Value, lanes: str) -> None:
        """Save a value in the hidden half, at `offset` + `more` bytes."""
        if value.type.bits == 128:
            for k in (0, 1):
                shifted = self.e.op(f"lshr {value.type.vector} {value.ir}, splat (i128 {64 * k})")
                half = self.e.op(f"trunc {value.type.vector} {shifted} to {V64}")
                self.save(offset, more + CELL * k, Value(half, B64), lanes)
            return
        saved_as = self.saved_type(value.type)
        bits = self.e.bits(value)
        if value.type is PRED:
            bits = Value(self.e.op(f"zext {MASK} {bits.ir} to {saved_as.vector}"), saved_as)
        parameters = f"ptr %registers, {V32} %offset, i32 %lanes, {saved_as.vector} %value"
        name = self.once(f"stack_save_{saved_as.bits}", "void", parameters, lambda inside: inside.scatter(saved_as))
        total = self.plus(offset, more)
        self.e.line(f"call void @{name}(ptr %registers, {V32} {total.ir}, i32 {lanes}, {saved_as.vector} {bits.ir})")

    def restore(self, offset: Value, more: int, type: Type, lanes: str) -> Value:
        """Read a saved value; 0 in lanes outside `lanes`."""
        if type.bits == 128:
            return self.e.pair(*(self.restore(offset, more + CELL * k, B64, lanes) for k in (0, 1)))
        saved_as = self.saved_type(type)
        parameters = f"ptr %registers, {V32} %offset, i32 %lanes"
        name = self.once(
            f"stack_restore_{saved_as.bits}", saved_as.vector, parameters, lambda inside: inside.gather(saved_as)
        )
        total = self.plus(offset, more)
        saved = self.e.op(f"call {saved_as.vector} @{name}(ptr %registers, {V32} {total.ir}, i32 {lanes})")
        if type is PRED:
            return Value(self.e.op(f"trunc {saved_as.vector} {saved} to {MASK}"), PRED)
        return Value(saved, saved_as)

    def scatter(self, kind: Type) -> str:
        name = f"llvm.masked.scatter.v{LANES}i{kind.bits}.v{LANES}p0"
        self.e.declarations.add(f"declare void @{name}({kind.vector}, <{LANES} x ptr>, i32, {MASK})")
        active = self.e.op(f"bitcast i32 %lanes to {MASK}")
        pointers = self.pointers(Value("%offset", U32))
        self.e.line(
            f"call void @{name}({kind.vector} %value, <{LANES} x ptr> {pointers}, i32 {kind.bytes}, {MASK} {active})"
        )
        return "void"

    def gather(self, kind: Type) -> str:
        values = self.e.intrinsic(
            f"llvm.masked.gather.v{LANES}i{kind.bits}.v{LANES}p0",
            kind.vector,
            (f"<{LANES} x ptr>", self.pointers(Value("%offset", U32))),
            ("i32", str(kind.bytes)),
            (MASK, self.e.op(f"bitcast i32 %lanes to {MASK}")),
            (kind.vector, "zeroinitializer"),
        )
        return f"{kind.vector} {values}"

    def once(self, name: str, returns: str, parameters: str, build: Callable[[CallStack], str]) -> str:
        """Add the function `name` to the module once, to keep the code small. `build` emits its body and returns the
        typed result."""
        if name not in self.e.functions:
            self.e.functions[name] = ""
            e = Emitter(hardware_fma=self.e.hardware_fma)
            e.declarations, e.functions = self.e.declarations, self.e.functions
            result = build(CallStack(e, self.layout, self.add_function, sanitize=self.sanitize))
            body = "\n  ".join([*e.lines, f"ret {result}"])
            self.e.functions[name] = f"define internal {returns} @{name}({parameters}) noinline {{\n  {body}\n}}"
        return name

    @staticmethod
    def saved_type(type: Type) -> Type:
        """The type in which a value of `type` is saved."""
        return TYPES["b8"] if type is PRED else bits_of(type)

    # ---- frames

    def push(self, size: int, block: int, lanes: str, site: str) -> str:
        """Store the return address in a new frame of `size` bytes. Returns the lanes (i32 name) whose stack has no room
        for it; they end the launch."""

        def build(inside: CallStack) -> str:
            e, top = inside.e, inside.top()
            end = e.add(top, e.splat("%size", U32))
            over = inside.lanes_of(inside.too_far(end), "%lanes")
            inside.fault(context.STACK_OVERFLOW, "%site", over)
            fits = e.op(f"xor i32 %lanes, {over}")
            inside.save(top, 0, e.splat("%block", U32), fits)
            inside.save(top, 4, inside.frame(), fits)
            return f"i32 {over}"

        parameters = "ptr %registers, ptr %env, ptr %site, i32 %lanes, i32 %size, i32 %block"
        name = self.once("stack_push", "i32", parameters, build)
        return self.e.op(
            f"call i32 @{name}(ptr %registers, ptr %env, ptr {site}, i32 {lanes}, i32 {size}, i32 {block})"
        )

    def enter(self, size: int, lanes: str) -> None:
        """Make the frame on top, of `size` bytes, the lanes' current frame."""

        def build(inside: CallStack) -> str:
            top = inside.top()
            inside.keep(0, top, "%lanes")
            inside.keep(1, inside.e.add(top, inside.e.splat("%size", U32)), "%lanes")
            return "void"

        name = self.once("stack_enter", "void", "ptr %registers, i32 %lanes, i32 %size", build)
        self.e.line(f"call void @{name}(ptr %registers, i32 {lanes}, i32 {size})")

    def leave(self, lanes: str) -> str:
        """Release the lanes' frame; returns the blocks that they return to (i32 vector)."""

        def build(inside: CallStack) -> str:
            frame = inside.frame()
            target = inside.restore(frame, 0, U32, "%lanes")
            inside.keep(0, inside.restore(frame, 4, U32, "%lanes"), "%lanes")
            inside.keep(1, frame, "%lanes")
            return f"{V32} {target.ir}"

        name = self.once("stack_leave", V32, "ptr %registers, i32 %lanes", build)
        return self.e.op(f"call {V32} @{name}(ptr %registers, i32 {lanes})")

    # ---- memory on the stack

    def clear(self, address: Value, size: Value, lanes: str) -> None:
        """Mark bytes of local memory as never written."""
        function = self.add_function(POISON_LOCAL)
        self.e.line(f"call void @{function}(ptr %env, i32 {lanes}, {V32} {address.ir}, {V32} {size.ir})")
        if self.sanitize:
            self.e.line(f"call void @forget_local(ptr %env, i32 {lanes}, {V32} {address.ir}, {V32} {size.ir})")

    def copy(self, to: Value, source: Value, size: int, lanes: str) -> None:
        """Copy bytes of local memory with their shadow."""
        arguments = f"ptr %env, i32 {lanes}, {V32} {to.ir}, {V32} {source.ir}, {V32} splat (i32 {size})"
        self.e.line(f"call void @{self.add_function(COPY_LOCAL)}({arguments})")
        if self.sanitize:
            self.e.line(f"call void @copy_shadow({arguments})")

    def too_far(self, end: Value) -> Value:
        """Whether an offset is past the stack's end."""
        return self.e.compare("gt", end, self.e.constant(self.layout.bytes, end.type))

    def fault(self, kind: int, site: str, lanes: str, values: Value | None = None) -> None:
        """End the launch at `site` (ptr name) if any of `lanes` is set, and report `values` (64 bits per lane)."""
        reported = values.ir if values else "zeroinitializer"
        function = self.add_function(STACK_FAULT)
        self.e.line(f"call void @{function}(ptr %env, ptr {site}, i32 {lanes}, i64 {kind}, {V64} {reported})")

    # ---- alloca, stacksave, stackrestore

    def allocate(self, size: Value, align: int, lanes: str, site: str) -> Value:
        """The address of `size` new bytes on the stacks of `lanes`; if they do not fit, the launch ends."""
        e = self.e
        align = max(align, LEAST_ALIGNMENT)
        size = e.convert(e.as_type(size, U32) if size.type.bits == 32 else size, U64)
        start = e.convert(self.address(self.top()), U64)
        start = e.and_(e.add(start, e.constant(align - 1, U64)), e.constant(-align, U64))
        limit = e.constant(self.layout.bytes, U64)
        size = e.min(size, e.add(limit, limit))  # so that the sum cannot wrap
        end = e.sub(e.add(start, size), e.constant(self.layout.base, U64))
        end = e.and_(e.add(end, e.constant(self.layout.align - 1, U64)), e.constant(-self.layout.align, U64))
        beyond = self.too_far(end)
        over = self.lanes_of(beyond, lanes)
        self.fault(context.STACK_OVERFLOW, site, over)
        fits = e.op(f"xor i32 {lanes}, {over}")
        self.keep(1, e.convert(end, U32), fits)
        self.clear(e.convert(start, U32), e.convert(size, U32), fits)
        return e.as_type(start, B64)

    def release(self, address: Value, lanes: str, site: str) -> None:
        """Set the top of the stack to an address that `allocate` or `top` returned."""
        e = self.e
        wide = e.convert(e.as_type(address, U32) if address.type.bits == 32 else e.as_type(address, U64), U64)
        top = e.sub(wide, e.constant(self.layout.base, U64))
        over = self.lanes_of(self.too_far(top), lanes)
        self.fault(context.STACK_OVERFLOW, site, over)
        self.keep(1, e.convert(top, U32), e.op(f"xor i32 {lanes}, {over}"))

    def lanes_of(self, predicate: Value, lanes: str) -> str:
        return self.e.op(f"and i32 {lanes}, {self.e.lanes_where(predicate)}")
