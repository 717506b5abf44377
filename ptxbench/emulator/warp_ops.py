"""What an instruction may do beyond its own lanes: memory, other lanes, the state of the warp.

A table body that asks for `ops` gets one of these, set to the current instruction.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ptxbench.emulator import predefined
from ptxbench.emulator.async_copies import AsyncCopies
from ptxbench.emulator.async_stores import AsyncStores
from ptxbench.emulator.bulk_ops import BulkCopies
from ptxbench.emulator.emit import Computation, Emitter, Value
from ptxbench.emulator.interleaved import InterleavedVectors
from ptxbench.emulator.lane_ops import LaneOps
from ptxbench.emulator.layout import ParamAddress, Site
from ptxbench.emulator.ordering import MemoryOrder
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.races import layout
from ptxbench.emulator.runs import Runs
from ptxbench.emulator.runtime import (
    access,
    atomics,
    barriers,
    clusters,
    conditions,
    context,
    host,
    lanes,
    sanitize,
    short,
    turns,
)
from ptxbench.emulator.runtime.context import V32, RuntimeFunction
from ptxbench.emulator.runtime.records import DISCARD
from ptxbench.emulator.runtime.spaces import SPACES
from ptxbench.emulator.stack import CallStack
from ptxbench.emulator.syntax import Instruction
from ptxbench.emulator.tensor_ops import TensorCopies
from ptxbench.emulator.types import B32, B64, U32, U64, Type, bits_of
from ptxbench.emulator.used_bytes import EVERY_BYTE, bit_mask, of_element
from ptxbench.emulator.warpgroups import FragmentRegisters, Warpgroups
from ptxbench.emulator.watching import Watching

STORED_IN = {"const": "global", "param": "local"}
"""Constants are in the arena like global memory; the .param variables of calls are in the thread's local memory."""


DISCARDED = 0xF5F5F5F5F5F5F5F5
"""The contents of discarded bytes: a large negative number when read as f16, bf16, f32 or f64."""

MOST_ALIGNMENT = 1 << 23
"""The largest alignment of alloca, in bytes. (PTX ISA, "alloca".)"""


DIFFERENCES: dict[tuple[str, str], Computation] = {}
"""The functions for distances of addresses from an origin, by the origin and the type of the address."""


@dataclass
class WarpOps(LaneOps):
    """`mask`: lanes at this program counter; `active`: the lanes of `mask` with a true guard (i32 names)."""

    e: Emitter
    arch: str = "sm_90"
    sites: list[Site] = field(default_factory=list)
    functions: dict[str, RuntimeFunction] = field(default_factory=dict)
    next_slot: int = 0
    step: int = 0
    line: int = 0
    ahead: int = 0
    """The number of instructions from this one to the end of the block."""
    shared_bytes: int = 0
    """Static shared memory in bytes, including bytes reserved inside it."""
    shared_zones: int = 0
    """The bytes of zones in it (zones.py)."""
    reserved_inside: int = 0
    """The driver's bytes at the start of the CTA's shared memory; 0 if the kernel cannot observe them."""
    workspace: int = 0
    """Address of the grid's workspace in the arena, if the kernel uses it."""
    clustered: bool = False
    """Whether CTAs run in clusters and may reach each other's shared memory (runtime/clusters.py)."""
    parameters: tuple[int, int] | None = None
    """Address and bytes of the kernel's parameters in the arena, if the kernel takes their addresses."""
    constant_variables: list[tuple[int, int]] = field(default_factory=list)
    """Address and bytes of the module's .const variables."""
    mask: str = ""
    active: str = ""
    parallel: bool = False
    """Whether other host threads may run CTAs at the same time. Then a global update must be one operation, and
    accesses to global memory are recorded (runtime/records.py)."""
    permutes: bool = False
    """Whether the processor has permutations (host_cpu.py)."""
    queues: bool = False
    """Whether the kernel has asynchronous copies."""
    bulk: bool = False
    """Whether the kernel has bulk copies."""
    sanitize: bool = False
    calls: bool = False
    """Whether the kernel has .param variables of calls."""
    local_moves: bool = False
    """Whether a launch may move the start of local memory away from address 0."""
    stack: CallStack | None = None
    """The lanes' call stacks, if the kernel has any."""
    order: MemoryOrder | None = None
    """How the current instruction orders memory, if it is a strong access that synchronizes threads; else None."""
    read_only: bool = False
    """Whether the current instruction promises that nothing writes, in this launch, what it loads: `.nc`."""
    strength: int = layout.WEAK
    """The strength of the current instruction's access (races/layout.py)."""
    is_strong: bool = False
    """Whether the current instruction is a strong access by its opcode."""
    waiting_load: int = 0
    """If the current instruction is a load whose report waits for a use of the value (definedness.py): its number, from
    1 on."""
    relaxed: bool = False
    """Whether the current instruction is `.relaxed`: it does not order other accesses."""
    last_arguments: str = ""
    """The result of the last `memory_arguments`; `last_address` is the address in it."""
    last_address: Value = field(default_factory=lambda: Value("", B64))
    sends: bool = False
    """Whether the kernel has asynchronous stores to the cluster (runtime/messages.py)."""
    instruction: Instruction | None = None
    """The current instruction."""
    operand_names: tuple[str, ...] = ()
    """The names of its operands in the table."""
    fragments: FragmentRegisters | None = None
    """The registers of wgmma, if the kernel has any."""
    register_bytes: int = 0
    """Bytes of a warp's register file: its registers, and the other state of the warp behind them."""
    interleaved: InterleavedVectors | None = None
    """The vectors of loads in the order of memory, if stores of the kernel may use them."""
    runs: Runs | None = None
    """Which addresses are runs, if the kernel's own code compares them."""
    mergeable: frozenset[int] = frozenset()
    """The steps whose shared accesses ptxas may merge (merging.py)."""
    unused_atomics: frozenset[int] = frozenset()
    """The steps of atomics whose result no instruction reads."""

    @functools.cached_property
    def copies(self) -> AsyncCopies:
        return AsyncCopies(self)

    @functools.cached_property
    def bulk_copies(self) -> BulkCopies:
        return BulkCopies(self)

    @functools.cached_property
    def tensors(self) -> TensorCopies:
        return TensorCopies(self)

    @functools.cached_property
    def messages(self) -> AsyncStores:
        return AsyncStores(self)

    @functools.cached_property
    def warpgroups(self) -> Warpgroups:
        return Warpgroups(self)

    @functools.cached_property
    def watching(self) -> Watching:
        return Watching(self)

    @property
    def is_reduction(self) -> bool:
        """Whether the current instruction is an atomic without a result: `red`."""
        return self.instruction is not None and self.instruction.opcode.startswith("red")

    # ---- memory

    def require_count(self, values: tuple[Value, ...], count: int) -> tuple[Value, ...]:
        """`values`, after a check that there are `count` of them."""
        if len(values) != count:
            raise syntax_error(self.line, f"expected {count} registers for .v{count}, found {len(values)}.")
        return values

    def load(
        self, space: str, address: Value | ParamAddress, type: Type, count: int = 1, *, padding: int = 0
    ) -> tuple[Value, ...]:
        """`count` values of `type` from consecutive addresses in `space`. The last `padding` of them are not used."""
        kind = bits_of(type)
        if isinstance(address, ParamAddress):
            return self.load_param(space, address, type, count)
        named_space = space
        is_local = address.type.bits == 32 or (address.constant is not None and address.constant < 1 << 32)
        if space == "param" and not is_local:  # the address of a kernel's parameter, or of a call's own variable
            space = "generic" if self.calls else "global"
            address = self.generic_parameter(address) if self.calls or self.parameters else address
        if space == "const":
            address = self.e.add(self.e.convert(address, U64), self.window(space, U64))
        space = self.stored_in(space)
        interleaves = self.interleaved is not None and count > 1 and space != "generic"
        chosen = (
            access.load_generic(type.bytes, count, recorded=self.parallel, clustered=self.clustered)
            if space == "generic"
            else access.load(
                SPACES[space],
                type.bytes,
                count,
                recorded=self.parallel,
                mergeable=self.is_mergeable(space),
                interleaves=interleaves,
                ordered=self.knows_runs(space),
                permutes=self.permutes,
            )
        )
        function = self.function(chosen)
        returns = kind.vector if count == 1 else "{ " + ", ".join([kind.vector] * count) + " }"
        arguments = self.memory_arguments(space, address, "load", type.bytes * count)
        in_order = self.in_order(space, type.bytes * count)
        varies = self.watching.begin_load(space, type.bytes * count)
        result = self.e.op(f"call {returns} @{function}({arguments}{in_order})")
        if varies:
            self.watching.end_load()
        if named_space in ("const", "param") and space == "global":  # in the arena, but not a load of global memory
            self.sites[-1] = replace(self.sites[-1], space=named_space)
        elif (named_space, type.bytes) != ("param", 1):  # may be padding: structures are returned byte by byte
            self.watching.load(space, type.bytes, count - padding, self.used_bytes)
        parts = [result] if count == 1 else [self.e.op(f"extractvalue {returns} {result}, {k}") for k in range(count)]
        if interleaves:
            assert self.interleaved is not None
            parts = self.interleaved.sorted(parts, kind)
        return tuple(self.e.as_type(self.with_unused(Value(part, kind), k), type) for k, part in enumerate(parts))

    @property
    def used_bytes(self) -> int:
        """Which bytes of the current load the kernel uses: all of a strong one, whose order matters too."""
        return EVERY_BYTE if self.instruction is None or self.is_strong else self.instruction.used_bytes

    def with_unused(self, value: Value, k: int) -> Value:
        """The bits of element `k` of the current load; its unused bytes are as in memory that was never written."""
        used = of_element(self.used_bytes, value.type.bytes, k)
        if used == of_element(EVERY_BYTE, value.type.bytes, k):
            return value
        byte = self.e.splat(self.e.op(conditions.MEMORY.load), U64)
        never_written = self.e.convert(self.e.mul(byte, self.e.constant(0x0101010101010101, U64)), value.type)
        bits = self.e.constant(bit_mask(used, value.type.bytes), value.type)
        return self.e.or_(self.e.and_(value, bits), self.e.and_(never_written, self.e.not_(bits)))

    def is_mergeable(self, space: str) -> bool:
        """Whether ptxas may merge this access with a neighbour."""
        return space == "shared" and self.step in self.mergeable

    def generic_parameter(self, address: Value) -> Value:
        """The generic address of a parameter. Parameters of calls are in local memory, those of the kernel in the
        arena, whose addresses a compiler may keep in 32 bits."""
        e, wide = self.e, self.e.as_type(address, U64)
        if self.parameters is not None and not self.calls:
            start = self.of_module(self.parameters[0], U64)
            return e.add(start, e.and_(e.sub(wide, start), e.constant(0xFFFFFFFF, U64)))
        local = e.compare("lt", wide, e.constant(1 << 32, U64))
        of_kernel = wide if self.parameters is None else e.add(wide, self.window("param", U64))
        return e.select(local, e.add(wide, self.window("local", U64)), of_kernel)

    def load_param(self, space: str, address: ParamAddress, type: Type, count: int) -> tuple[Value, ...]:
        if space != "param":
            raise syntax_error(self.line, "a parameter's own address needs ld.param.")
        if address.offset < 0 or address.at + type.bytes * count > address.size:
            raise syntax_error(
                self.line,
                f"reads {type.bytes * count} bytes at byte {address.at} of '{address.name}', which has {address.size}.",
            )
        values = []
        for k in range(count):
            at = self.e.op(f"getelementptr i8, ptr %params, i64 {address.offset + k * type.bytes}")
            values.append(self.e.splat(self.e.op(f"load {type.element}, ptr {at}, align {type.bytes}"), type))
        return tuple(values)

    def store(self, space: str, address: Value | ParamAddress, values: tuple[Value, ...], kind: str = "store") -> None:
        """Store `values`, all of one type, at consecutive addresses in `space`. `kind`: of the sites."""
        if isinstance(address, ParamAddress):
            raise syntax_error(self.line, "a kernel's parameters cannot be written.")
        space = self.stored_in(space)
        size = values[0].type.bytes
        count = len(values)
        vectors = [self.e.bits(value).ir for value in values]
        interleaved = None
        if self.interleaved is not None and count > 1 and space != "generic":
            interleaved = self.interleaved.of(vectors)
        chosen = (
            access.store_generic(size, count, recorded=self.parallel, clustered=self.clustered)
            if space == "generic"
            else access.store(
                SPACES[space],
                size,
                count,
                recorded=self.parallel,
                mergeable=self.is_mergeable(space),
                interleaves=interleaved is not None,
                ordered=self.knows_runs(space),
            )
        )
        function = self.function(chosen)
        bits = "".join(f", {bits_of(values[0].type).vector} {vector}" for vector in interleaved or vectors)
        arguments = self.memory_arguments(space, address, kind, size * count)
        self.watching.begin_store(space, size * count)
        self.watching.access("store", space, size, count, bits)
        self.e.line(f"call void @{function}({arguments}{bits}{self.in_order(space, size * count)})")

    def store_parts(
        self, space: str, address: Value | ParamAddress, values: tuple[Value, ...], present: tuple[int, ...], count: int
    ) -> None:
        """Store these elements of a vector of `count` elements in global memory, and leave the others."""
        assert not isinstance(address, ParamAddress)
        size = values[0].type.bytes
        chosen = (
            access.store_generic(size, count, recorded=self.parallel, clustered=self.clustered, present=present)
            if space == "generic"
            else access.store(SPACES[space], size, count, recorded=self.parallel, present=present)
        )
        function = self.function(chosen)
        bits = [f", {bits_of(value.type).vector} {self.e.bits(value).ir}" for value in values]
        arguments = self.memory_arguments(space, address, "store", size * count)
        self.watching.begin_store(space, size * count)
        for place, stored in zip(present, bits, strict=True):
            self.watching.part("store", space, place * size, size, stored)
        self.e.line(f"call void @{function}({arguments}{''.join(bits)})")

    def knows_runs(self, space: str) -> bool:
        """Whether accesses take an argument that says whether their addresses are a run, instead of comparing them."""
        return self.runs is not None and space != "generic" and SPACES[space].unit_stride is not None

    def in_order(self, space: str, size: int) -> str:
        """That argument, for the last `memory_arguments`; empty if accesses take none."""
        if self.runs is None or not self.knows_runs(space):
            return ""
        return f", i1 {self.runs.in_order(self.last_address, size)}"

    def discard(self, space: str, address: Value | ParamAddress) -> None:
        """A weak write of 128 bytes with unspecified values, as the manual says. It does not count as a store."""
        if isinstance(address, ParamAddress):
            raise syntax_error(self.line, "a kernel's parameters cannot be discarded.")
        wide, contents = self.e.as_type(address, U64), self.e.constant(DISCARDED, B64)
        for offset in range(0, 128, 32):
            self.store(space, self.e.add(wide, self.e.constant(offset, U64)), (contents,) * 4, DISCARD)

    def atomic(
        self, space: str, operation: str, address: Value | ParamAddress, b: tuple[Value, ...], c: Value | None = None
    ) -> tuple[Value, ...]:
        """Read, combine with `b` and write, at consecutive addresses and in ascending lane order. Returns the old
        values."""
        if isinstance(address, ParamAddress):
            raise syntax_error(self.line, "an atomic needs an address in global or shared memory.")
        kind, count = b[0].type, len(b)
        space = self.stored_in(space)
        parallel = self.parallel and space not in ("shared", "cluster")
        if space == "generic":
            function = self.function(
                atomics.atomic_generic(operation, kind, count, parallel=parallel, clustered=self.clustered)
            )
        else:
            function = self.function(atomics.atomic(SPACES[space], operation, kind, count, parallel=parallel))
        bits = bits_of(kind)
        returns = atomics.returns(kind, count)
        values = "".join(f", {bits.vector} {self.e.bits(value).ir}" for value in (*b, c or b[0]))
        arguments = self.memory_arguments(space, address, "atomic", kind.bytes * count)
        varies = self.watching.begin_atomic(space, operation, b if c is None else (*b, c), kind.bytes * count)
        old = self.e.op(f"call {returns} @{function}({arguments}{values})")
        if varies:
            self.watching.end_load()
        use = "overwrite" if self.watching.overwrites(operation, b) else "atomic"
        self.watching.access(use, space, kind.bytes, count)
        parts = [old] if count == 1 else [self.e.op(f"extractvalue {returns} {old}, {k}") for k in range(count)]
        return tuple(self.e.as_type(Value(part, bits), kind) for part in parts)

    def divide(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Quotient and remainder of integers; see runtime/lanes.py for the cases that C leaves open."""
        function = self.function(lanes.divide(a.type))
        kind = a.type.vector
        results = self.e.op(f"call {{ {kind}, {kind} }} @{function}({kind} {a.ir}, {kind} {b.ir})")
        quotient, remainder = (self.e.op(f"extractvalue {{ {kind}, {kind} }} {results}, {k}") for k in (0, 1))
        return Value(quotient, a.type), Value(remainder, a.type)

    def memory_arguments(self, space: str, address: Value, kind: str, size: int) -> str:
        """The first arguments of every memory function; reserves a site for each space that the access may touch."""
        slot, variable = self.next_slot, self.watching.bound.get(address.ir)
        for memory_space in access.generic_spaces(self.clustered) if space == "generic" else (SPACES[space],):
            self.sites.append(
                Site(self.step, self.reserve_counters(context.SITE_SLOTS), memory_space.name, kind, size, self.strength)
            )
        if space in ("shared", "local", "cluster"):
            if address.type.bits == 64:  # an address over 32 bits is out of bounds, and must stay so when truncated
                limit = self.e.constant(0xFFFFFFFF, U64)
                address = self.e.convert(self.e.min(self.e.as_type(address, U64), limit), B32)
            if space == "shared":  # the bytes below are not the kernel's: out of bounds
                address = self.from_shared_origin(address)
            if space == "cluster" and not self.reserved_inside:
                address = self.bytes_from(conditions.SHARED_ORIGIN, address)
            if space == "local" and self.local_moves:
                address = self.bytes_from(conditions.LOCAL_ORIGIN, address)
        else:
            address = self.e.convert(self.e.as_type(address, U32) if address.type.bits == 32 else address, B64)
        site = self.e.op(f"getelementptr i64, ptr %counters, i64 {slot}")
        self.last_address = address
        self.last_arguments = f"{address.type.vector} {address.ir}, i32 {self.active}, ptr %env, ptr {site}"
        if variable is not None and space in ("shared", "local", "cluster"):
            self.watching.within(variable, size)
        return self.last_arguments

    def finding(self, kind: int, site: str, lanes: str) -> None:
        """When sanitizing: report a finding at `site` (ptr name) if any of `lanes` (i32 name) is set."""
        if self.e.in_memory:
            function = self.function(short.FINDING_IN)
            self.e.line(f"call void @{function}(ptr %env, i64 {kind}, ptr {site}, i32 {lanes})")
            return
        self.function(sanitize.FINDING)
        any_lane = self.e.op(f"icmp ne i32 {lanes}, 0")
        found, on = self.e.label("found"), self.e.label("on")
        self.e.line(f"br i1 {any_lane}, label %{found}, label %{on}")
        self.e.line(f"{found}:")
        lane = self.e.intrinsic("llvm.cttz.i32", "i32", ("i32", lanes), ("i1", "false"))
        wide = self.e.op(f"zext i32 {lane} to i64")
        self.e.line(f"call void @finding(ptr %env, i64 {kind}, ptr {site}, i64 {wide}, i64 0, i64 0)")
        self.e.line(f"br label %{on}")
        self.e.line(f"{on}:")

    def site(self, kind: str, space: str = "none") -> str:
        """The pointer name of a new site that accesses no memory; without `space` it only marks the place of a
        finding, and counts nothing."""
        return self.e.op(f"getelementptr i64, ptr %counters, i64 {self.site_slot(kind, space)}")

    def site_slot(self, kind: str, space: str = "none") -> int:
        """The same by the index of its first counter."""
        slot = self.reserve_counters(context.SITE_SLOTS)
        self.sites.append(Site(self.step, slot, space, kind, 0))
        return slot

    def host(self, kind: str, *values: Value) -> Value:
        """Call the worker's Python code: "print", "assert", "allocate" or "release", with up to four values per lane.
        Returns one u64 per lane."""
        function = self.function(host.HOST_CALL)
        arguments = [self.e.convert(value, U64) for value in values]
        arguments += [self.e.constant(0, U64)] * (4 - len(arguments))
        site = self.site(kind, "host")
        numbers = {"print": host.PRINT, "assert": host.ASSERT, "allocate": host.ALLOCATE, "release": host.RELEASE}
        vectors = ", ".join(f"{value.type.vector} {value.ir}" for value in arguments)
        call = f"call {U64.vector} @{function}(i64 {numbers[kind]}, i32 {self.active}, ptr %env, ptr {site}, {vectors})"
        return Value(self.e.op(call), U64)

    def operand_error(self, problem: str) -> Exception:
        """The error with this text, at the line of the current instruction, for the caller to raise."""
        return syntax_error(self.line, f"{problem}.")

    def reserve_counters(self, slots: int) -> int:
        """Reserve counters; returns the index of the first."""
        slot, self.next_slot = self.next_slot, self.next_slot + slots
        return slot

    def function(self, function: RuntimeFunction) -> str:
        """Add `function` and the functions that it needs to the module; returns its name."""
        if self.functions.get(function.name) is function:
            return function.name
        for needed in function.needs:
            self.function(needed)
        self.functions[function.name] = function
        self.e.declarations.update(function.declarations)
        return function.name

    def arrive(self, ids: Value, counts: Value, lanes: str, kind: int, predicates: str = "0") -> None:
        """`lanes` (i32) arrive at the barriers `ids`, which expect `counts` lanes; see runtime/barriers.py."""
        site = self.site("arrive", "barrier")
        any_lane = self.e.op(f"zext i1 {self.e.op(f'icmp ne i32 {lanes}, 0')} to i64")
        old = self.e.op(f"load i64, ptr {site}")
        self.e.line(f"store i64 {self.e.op(f'add i64 {old}, {any_lane}')}, ptr {site}")
        if ids.constant is not None and ids.constant < 16 and counts.constant is not None:
            group = self.function(barriers.ARRIVE_GROUP)
            count = counts.constant - (1 << 32 if counts.constant >> 31 else 0)
            arguments = f"i32 {lanes}, i32 {ids.constant}, i32 {count}, i32 {predicates}, i32 {kind}"
            self.e.line(f"call void @{group}(ptr %env, ptr %warp, {arguments})")
            return
        self.e.line(
            f"call void @{self.function(barriers.ARRIVE)}(ptr %env, ptr %warp, ptr {site}, i32 {lanes}, "
            f"{V32} {ids.ir}, {V32} {counts.ir}, i32 {predicates}, i32 {kind})"
        )

    def arrive_at_cluster(self) -> None:
        """The active lanes arrive at the barrier of their cluster."""
        site = self.site("arrive", "barrier")
        self.watching.arrive_at_cluster()
        function = self.function(clusters.ARRIVE)
        self.e.line(f"call void @{function}(ptr %env, ptr %warp, ptr {site}, i32 {self.active})")

    def window(self, space: str, type: Type) -> Value:
        """The generic address of address 0 of a space; 0 if the space uses generic addresses."""
        local = conditions.LOCAL_APERTURE if self.local_moves else conditions.LOCAL_BASE
        if window := {"const": context.CONST_WINDOW, "param": context.PARAM_WINDOW}.get(space.partition("::")[0]):
            return self.e.constant(window, type)
        fields = {"shared": conditions.SHARED_APERTURE, "local": local}
        field = fields.get(space.partition("::")[0])
        return self.e.constant(0, type) if field is None else self.e.condition(field, type)

    def stored_in(self, space: str) -> str:
        """The space that an instruction accesses. If the CTA is a cluster of its own, its memory is the cluster's."""
        if space == "cluster" and not self.clustered:
            return "shared"
        return STORED_IN.get(space, space)

    def shared_origin(self, type: Type) -> Value:
        """The address of the first byte of the CTA's shared memory, in its own space."""
        origin = self.e.constant(0, type)
        if not self.reserved_inside:
            origin = self.e.condition(conditions.SHARED_ORIGIN, type)
        return self.e.add(origin, self.own_rank(type)) if self.clustered else origin

    def from_shared_origin(self, address: Value) -> Value:
        """The bytes from the start of the CTA's shared memory to an address."""
        if self.clustered or self.reserved_inside:
            return self.e.sub(address, self.shared_origin(address.type))
        return self.bytes_from(conditions.SHARED_ORIGIN, address)

    def bytes_from(self, origin: conditions.Field, address: Value) -> Value:
        """The bytes from an origin of the launch to an address."""

        def difference(e: Emitter, values: Sequence[Value]) -> Value:
            return e.sub(values[0], e.condition(origin, values[0].type))

        if address.constant is not None:
            return difference(self.e, [address])
        return self.e.together("behind", DIFFERENCES, (origin.load, address.type.name), difference, [address])

    def own_rank(self, type: Type) -> Value:
        """The CTA's rank in its cluster, where a shared::cluster address has it; 0 outside clusters."""
        if not self.clustered:
            return self.e.constant(0, type)
        at = self.e.op(f"getelementptr i64, ptr %env, i64 {context.CLUSTER_OWN}")
        return self.e.splat(self.e.op(f"load {type.element}, ptr {at}, align 8"), type)

    def of_module(self, address: int, type: Type) -> Value:
        """The address, in this launch, of a module variable or parameter (they precede the arrays in the arena)."""
        return self.e.add(self.e.constant(address, type), self.e.condition(conditions.MODULE_SHIFT, type))

    def poll(self) -> None:
        """Shorten the warp's turn: the active lanes may be waiting for stores of other threads."""
        self.e.line(f"call void @{self.function(turns.POLL)}(ptr %env, i32 {self.active})")

    def give_way(self, lanes: str, goes_on: int = 1) -> None:
        """If CTAs take turns: yield after a store that other CTAs may wait for, or before a swap. CTAs of even rank
        continue if `goes_on` is 0, else those of odd rank."""
        self.e.line(f"call void @{self.function(turns.GIVE_WAY)}(ptr %env, i32 {lanes}, i64 {goes_on})")

    def end_turn(self) -> None:
        """Yield to other warps at the next loop head, if any lane is active."""
        self.function(turns.END_TURN)
        self.e.line(f"call void @end_turn(ptr %env, i32 {self.active})")

    def wait_for_grid(self) -> None:
        """The active lanes wait for the launch before this one, if it may not have ended."""
        self.e.line(f"call void @{self.function(host.WAIT_FOR_GRID)}(ptr %env, i32 {self.active})")
        self.watching.waited_for_grid()

    def trap(self) -> None:
        """Stop the launch in the first active lane."""
        self.function(turns.TRAP)
        site = self.site("trap")
        self.e.line(f"call void @trap(ptr %env, ptr {site}, i32 {self.active})")

    def allocate(self, size: Value, align: Value | None) -> Value:
        """The local address of `size` new bytes on the active lanes' stacks."""
        assert self.stack is not None
        step = 1 if align is None else align.constant
        if step is None or step.bit_count() != 1 or step > MOST_ALIGNMENT:
            raise syntax_error(self.line, f"expected an alignment that is a power of 2 up to {MOST_ALIGNMENT:,}.")
        return self.stack.allocate(size, step, self.active, self.site("stack"))

    def stack_top(self) -> Value:
        """The local address where the active lanes' stacks end."""
        assert self.stack is not None
        return self.stack.address(self.stack.top())

    def release(self, address: Value) -> None:
        """Set the end of the active lanes' stacks to `address`."""
        assert self.stack is not None
        self.stack.release(address, self.active, self.site("stack"))

    def barrier_answer(self) -> Value:
        """The result of the last bar.red of each lane: how many predicates were true, and ALL_TRUE."""
        at = self.e.op(f"getelementptr i8, ptr %warp, i64 {context.WARP_ANSWERS}")
        return Value(self.e.op(f"load {V32}, ptr {at}, align 64"), U32)

    def special(self, name: str) -> Value:
        """The value of a predefined register."""
        return predefined.read(self, name)
