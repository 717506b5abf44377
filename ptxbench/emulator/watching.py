"""The reports of a sanitized kernel about its accesses and their order: calls of runtime/watch.py and watches.py."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ptxbench.emulator.emit import Value
from ptxbench.emulator.layout import ParamAddress, Site
from ptxbench.emulator.races import layout
from ptxbench.emulator.runtime import access, conditions, context, prefetches, sanitize, watch, watches
from ptxbench.emulator.runtime.context import MASK, V32, V64
from ptxbench.emulator.runtime.records import MOST_GRANULE
from ptxbench.emulator.types import B32, B64, PRED, TYPES, U64, Type, bits_of
from ptxbench.emulator.used_bytes import EVERY_BYTE, pieces
from ptxbench.emulator.zones import PlacedVariable

if TYPE_CHECKING:
    from ptxbench.emulator.warp_ops import WarpOps


def unit_of(operation: str, kind: Type) -> int | None:
    """The operand, as bits, with which an atomic leaves memory as it is; None if there is none."""
    if operation in ("min", "max") and kind.kind in "us":
        lowest = 1 << kind.bits - 1 if kind.signed else 0
        return lowest if operation == "max" else lowest ^ (1 << kind.bits) - 1
    return {"add": 0, "or": 0, "xor": 0, "and": (1 << kind.bits) - 1}.get(operation)


DYNAMIC_SPAN = 1 << context.RANK_BITS
"""In place of the bytes of dynamic shared memory, whose end is that of the CTA's memory."""


class Watching:
    """Emits the reports of the current instruction; nothing unless the kernel is sanitized. `ops` knows its lanes."""

    def __init__(self, ops: WarpOps) -> None:
        self.ops = ops
        self.spaces: set[tuple[str, str, int, int, int]] = set()
        """Watches of shared, global and generic memory (watches.py): the parts of their names."""
        self.locals: set[tuple[str, int, int]] = set()
        """Watches of local memory (kind, bytes of an element, count), whose text depends on all accesses of the
        kernel."""
        self.splits = False
        """Whether registers may be unwritten in part."""
        self.waiting: set[tuple[str, int, bool]] = set()
        """The marks that are made (runtime/marks.py): space, bytes, and whether it is their bits."""
        self.marks: list[Value] = []
        """Those of the last load whose report waits, one for each of its registers."""
        self.bits: list[Value | None] = []
        """The bits of its registers that were never written (unwritten_bits.py); None: all or none."""
        self.stored_bits: list[Value] = []
        """Those of the values of the current store, if memory takes them."""
        self.taken: set[tuple[str, int]] = set()
        """The marks that memory takes: space and bytes, as above."""
        self.parts: set[tuple[str, int]] = set()
        """The parts of accesses that are watched alone: space, one of three, and bytes."""
        self.bound: dict[str, PlacedVariable] = {}
        """The variable of each address of the current instruction (IR name) that is computed from it."""

    def within(self, variable: PlacedVariable, size: int) -> None:
        """Report lanes whose access of `size` bytes, with the last `memory_arguments`, does not stay in a variable."""
        span = max(0, variable.size - size + 1) if variable.size else DYNAMIC_SPAN
        name = self.ops.function(sanitize.WITHIN)
        self.ops.sites[-1] = replace(self.ops.sites[-1], variable=variable.name)
        self.ops.e.line(f"call void @{name}({self.ops.last_arguments}, i32 {variable.offset}, i32 {span})")

    def prefetch(self, address: Value | ParamAddress, size: Value | None = None) -> None:
        """When sanitizing: add a remark if the first or the last byte is outside every buffer."""
        if not self.ops.sanitize or isinstance(address, ParamAddress):
            return
        e, wide = self.ops.e, self.ops.e.as_type(address, U64)
        ends = [wide]
        if size is not None:
            length = e.convert(size, U64)
            ends.append(e.sub(e.add(wide, e.max(length, e.constant(1, U64))), e.constant(1, U64)))
        for end in ends:
            slot = self.ops.reserve_counters(context.SITE_SLOTS)
            self.ops.sites.append(
                Site(self.ops.step, slot, "global", "prefetch", MOST_GRANULE)
            )  # not to make granules small
            site = e.op(f"getelementptr i64, ptr %counters, i64 {slot}")
            check = self.ops.function(prefetches.CHECK)
            e.line(f"call void @{check}({V64} {e.convert(end, B64).ir}, i32 {self.ops.active}, ptr %env, ptr {site})")

    def load(self, space: str, element_bytes: int, count: int, used: int) -> None:
        """When sanitizing: watch a load, after it, with the arguments of the last `memory_arguments`. `used`: a mask of
        the bytes that the kernel uses."""
        if not self.ops.sanitize:
            return
        elements = [list(pieces(used, element_bytes, k)) for k in range(count)]
        if self.ops.waiting_load:
            self.marks = [self.marks_of(space, parts) for parts in elements]
            self.bits = [
                self.bits_of(space, element_bytes, k, parts) if self.splits else None
                for k, parts in enumerate(elements)
            ]
        if used == EVERY_BYTE:
            self.access("read_only_load" if self.ops.read_only else "load", space, element_bytes, count)
            return
        for first, size in itertools.chain(*elements):
            self.part("load", space, first, size)

    def access(self, kind: str, space: str, element_bytes: int, count: int, values: str = "") -> None:
        """When sanitizing: watch an access, with the arguments of the last `memory_arguments`.

        A store is watched before it happens, other accesses after.
        """
        if not self.ops.sanitize:
            return
        if space in ("local", "generic") and kind not in ("atomic", "overwrite"):
            self.locals.add((kind, element_bytes, count))
            self.ops.e.line(f"call void @watch_{kind}_local_{element_bytes}_{count}({self.in_local(space)}{values})")
        if space != "local" and self.ops.sanitize:
            key = (kind, space, element_bytes, count, self.ops.strength)
            self.spaces.add(key)
            self.ops.e.line(f"call void @{watches.name_of(*key)}({self.ops.last_arguments}{values})")
            if self.ops.order is not None:
                name = self.ops.function(watch.strong(space))
                arguments = self.ops.last_arguments.rsplit(", ", 1)[0]
                flags = self.ops.order.flags | watch.ranked(space, self.ops.clustered)
                self.ops.e.line(f"call void @{name}({arguments}, i64 {flags << layout.FLAGS_AT})")
        for k, bits in enumerate(self.stored_bits):
            if bits.constant != 0:
                self.take_bits(space, element_bytes, k, bits)

    def take_bits(self, space: str, size: int, k: int, bits: Value) -> None:
        """Let the bytes of value `k` of the last store with any of these bits count as unwritten."""
        self.taken.add((space, size))
        e, (_, lanes, env, _) = self.ops.e, self.ops.last_arguments.split(", ")
        address = e.add(self.ops.last_address, e.constant(k * size, B32))
        arguments = f"{V32} {address.ir}, {lanes}, {env}, {bits.type.vector} {bits.ir}"
        e.line(f"call void @store_marks_{space}_{size}({arguments})")

    def marks_of(self, space: str, parts: Sequence[tuple[int, int]]) -> Value:
        """The marks of the values that the last load reads for one register, from these bytes: (first, length)."""
        e, (_, lanes, env, site) = self.ops.e, self.ops.last_arguments.split(", ")
        marks = [e.constant(0, B32)]
        for first, size in parts:
            self.waiting.add((space, size, False))
            address = e.add(self.ops.last_address, e.constant(first, B32))
            arguments = f"{V32} {address.ir}, {lanes}, {env}, {site}, i32 {self.ops.waiting_load}"
            marks.append(Value(e.op(f"call {V32} @unwritten_{space}_{size}({arguments})"), B32))
        return marks[-1] if len(marks) <= 2 else functools.reduce(e.max, marks)

    def bits_of(self, space: str, size: int, k: int, parts: Sequence[tuple[int, int]]) -> Value:
        """The bits of element `k`, of `size` bytes, of the last load that were never written; of these bytes only."""
        e, (_, lanes, env, site) = self.ops.e, self.ops.last_arguments.split(", ")
        kind = TYPES[f"b{8 * size}"]
        result = e.constant(0, kind)
        for first, part_size in parts:
            self.waiting.add((space, part_size, True))
            address = e.add(self.ops.last_address, e.constant(first, B32))
            part_kind = TYPES[f"b{8 * part_size}"]
            arguments = f"{V32} {address.ir}, {lanes}, {env}, {site}, i32 0"
            bits = Value(e.op(f"call {part_kind.vector} @unwritten_bits_{space}_{part_size}({arguments})"), part_kind)
            shift = e.constant(8 * (first - k * size), kind)
            result = e.or_(result, e.shl(e.convert(bits, kind), shift))
        return result

    def part(self, kind: str, space: str, first: int, size: int, value: str = "") -> None:
        """When sanitizing: watch the `size` bytes from byte `first` on of the last access."""
        if not self.ops.sanitize:
            return
        whole, address = self.ops.last_arguments, self.ops.last_address
        part = self.ops.e.add(address, self.ops.e.constant(first, address.type))
        self.ops.last_arguments = whole.replace(
            f"{address.type.vector} {address.ir},", f"{part.type.vector} {part.ir},"
        )
        spaces = ("global", "local", "shared") if space == "generic" else ({"cluster": "shared"}.get(space, space),)
        self.parts.update((name, size) for name in spaces)
        self.access(kind, space, size, 1, value)
        self.ops.last_arguments = whole

    def begin_load(self, space: str, size: int) -> bool:
        """When sanitizing: before a load of `size` bytes, with the arguments of the last `memory_arguments`. Returns
        whether it may give old values; then `end_load` follows it."""
        varies = self.values_vary(space)
        if varies:
            name = self.ops.function(watch.values("old_values", layout.OLD_VALUES, space, size))
            self.ops.e.line(f"call void @{name}({self.ops.last_arguments})")
        return varies

    def begin_store(self, space: str, size: int) -> None:
        """When sanitizing: before a store of `size` bytes whose old value a load may give."""
        self.replace_values(space, size, "replaced", 0)

    def begin_atomic(self, space: str, operation: str, values: Sequence[Value], size: int) -> bool:
        """When sanitizing: before an atomic of `size` bytes whose old value a load may give. `values`: its operands.
        Returns whether it may itself give an old value, as a load does; then `end_load` follows it."""
        if self.ops.is_reduction:
            self.replace_values(space, size, "updated", layout.UPDATES)
            return False
        varies = self.values_vary(space)
        if varies:
            e, active = self.ops.e, self.ops.active
            kept = e.op(f"and i32 {e.lanes_where(self.kept(operation, values))}, {active}")
            alike = e.op(f"icmp eq i32 {kept}, {active}")
            readers = e.op(f"select i1 {alike}, i32 {active}, i32 0")
            writers = e.op(f"select i1 {alike}, i32 0, i32 {active}")
            for name, flags, lanes in (("old_values", 0, readers), ("old_values_changed", layout.UPDATES, writers)):
                kind = layout.OLD_VALUES | flags << layout.FLAGS_AT
                function = self.ops.function(watch.values(name, kind, space, size))
                e.line(f"call void @{function}({self.ops.last_arguments.replace(f'i32 {active},', f'i32 {lanes},')})")
        name, flags = "exchanged", layout.UPDATES | layout.RETURNS
        if self.overwrites(operation, values):
            name, flags = "overwritten", flags | layout.OVERWRITES
        self.replace_values(space, size, name, flags)
        return varies

    def overwrites(self, operation: str, values: Sequence[Value]) -> bool:
        """Whether the current atomic leaves the same value whatever memory has, and no instruction reads its result: a
        store, in effect. `values`: its operands."""
        if self.ops.step not in self.ops.unused_atomics and not self.ops.is_reduction:
            return False
        fixed = {"and": 0, "or": (1 << values[0].type.bits) - 1}.get(operation)
        return operation == "exch" or (fixed is not None and all(value.constant == fixed for value in values))

    def kept(self, operation: str, values: Sequence[Value]) -> Value:
        """The lanes whose atomic leaves memory as it is, whatever memory has."""
        e, kinds = self.ops.e, [bits_of(value.type) for value in values]
        bits = [e.bits(value) for value in values]
        if operation == "cas":
            return e.compare("eq", *bits)
        unit = unit_of(operation, values[0].type)
        if unit is None:
            return e.constant(0, PRED)
        alike = [e.compare("eq", value, e.constant(unit, kind)) for value, kind in zip(bits, kinds, strict=True)]
        return functools.reduce(e.and_, alike)

    def replace_values(self, space: str, size: int, name: str, flags: int) -> None:
        """`begin_store` and `begin_atomic`; `name`: of the function; `flags`: as in races/layout.py."""
        if self.values_vary(space):
            event_kind = layout.VALUES_REPLACED | flags << layout.FLAGS_AT
            name = self.ops.function(watch.values(name, event_kind, space, size))
            self.ops.e.line(f"call void @{name}({self.ops.last_arguments})")

    def values_vary(self, space: str) -> bool:
        """Whether this is a strong access in global memory of a sanitized kernel."""
        return self.ops.sanitize and self.ops.is_strong and space in ("global", "generic")

    def end_load(self) -> None:
        """When sanitizing: after a load that may give old values."""
        self.ops.e.line(f"call void @{self.ops.function(watch.NEW_VALUES)}(ptr %env)")

    def in_local(self, space: str) -> str:
        """The arguments of the last `memory_arguments`, for local memory only."""
        if space == "local":
            return self.ops.last_arguments
        address, lanes, _, site = self.ops.last_arguments.split(", ")
        offset = self.ops.e.op(f"sub {address}, {self.ops.e.op(conditions.LOCAL_BASE.load)}")
        inside = self.ops.e.op(f"icmp ult {V64} {offset}, splat (i64 4294967296)")
        mask = self.ops.e.op(f"and {lanes}, {self.ops.e.op(f'bitcast {MASK} {inside} to i32')}")
        short = self.ops.e.op(f"trunc {V64} {offset} to {V32}")
        index = [memory_space.name for memory_space in access.generic_spaces(self.ops.clustered)].index("local")
        local_site = self.ops.e.op(f"getelementptr i64, {site}, i64 {context.SITE_SLOTS * index}")
        return f"{V32} {short}, i32 {mask}, ptr %env, ptr {local_site}"

    def tell(self, name: str, arguments: str, lanes: str = "") -> None:
        """When sanitizing: report an event of `lanes` (i32 name), by default the active ones, which are %lanes.wide in
        `arguments`."""
        if self.ops.sanitize:
            function = self.ops.function(watch.reporter(name, ", i32 %lanes", arguments, watch.wide("lanes")))
            self.ops.e.line(f"call void @{function}(ptr %env, i32 {lanes or self.ops.active})")

    def waited_for_grid(self) -> None:
        """When sanitizing: the active lanes have waited for the launch before this one."""
        self.tell("grid_waited", f"i64 {layout.GRID_WAIT}, i64 %lanes.wide, i64 0, i64 0, i64 0")

    def arrive_at_cluster(self) -> None:
        """When sanitizing: the active lanes are about to arrive at the barrier of their cluster."""
        released = int(not self.ops.relaxed)
        arguments = f"i64 {layout.CLUSTER_ARRIVE}, i64 %lanes.wide, i64 0, i64 0, i64 {released}"
        self.tell(f"cluster_arrived_{released}", arguments)

    def waited_for_cluster(self, lanes: str) -> None:
        """When sanitizing: `lanes` have waited at the barrier of their cluster."""
        self.tell("cluster_waited", f"i64 {layout.CLUSTER_WAIT}, i64 %lanes.wide, i64 0, i64 0, i64 0", lanes)

    def fence(self, order: int) -> None:
        """When sanitizing: the active lanes execute a fence; races/layout.py has the values of `order`."""
        self.tell(f"fence_{order}", f"i64 {layout.FENCE}, i64 %lanes.wide, i64 0, i64 {order}, i64 0")

    def proxy_fence(self, order: int) -> None:
        """When sanitizing: the active lanes execute a proxy fence; `order`: see ordering.proxy_fence_of."""
        self.tell(f"proxy_fence_{order}", f"i64 {layout.PROXY_FENCE}, i64 %lanes.wide, i64 0, i64 {order}, i64 0")

    def meet_in_warp(self, members: str) -> None:
        """When sanitizing: the lanes of the mask `members` (i32 name) have synchronized."""
        if self.ops.sanitize:
            arguments = f"i64 {layout.WARP_SYNC}, i64 %lanes.wide, i64 0, i64 0, i64 0"
            function = self.ops.function(watch.reporter("warp_met", ", i32 %lanes", arguments, watch.wide("lanes")))
            self.ops.e.line(f"call void @{function}(ptr %env, i32 {members})")
