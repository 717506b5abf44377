"""Asynchronous products of warpgroups (wgmma): each warp has a queue of those that it has issued.

A product is computed only when the first of the four warps waits for its group, from the contents of shared memory at
that time (warpgroup_results.py). Until a warp's own wait its registers of D hold POISON. So a missing wait, or a stage
of shared memory that is filled again too early, gives wrong numbers. The inputs in registers are those at the warp's
last wgmma.fence.

The area of a warp lies behind its registers: a header, a count of pending products for each register that the kernel's
products use, the last products of the warpgroup (in the area of its first warp), the queue, and a copy of each register
at the last fence, which is also the accumulator of pending products. A table describes an instruction: see COUNT_D.
(PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions".)
"""

from __future__ import annotations

from dataclasses import dataclass

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import V32, RuntimeFunction, field, slot
from ptxbench.emulator.runtime.faults import FAULT

WARPS = 4
"""Warps of a warpgroup."""
CAPACITY, ENTRY_BYTES = 64, 64
"""Pending products of a warp, and the bytes of an entry. A full queue does its oldest product."""
METADATA, METADATA_WORDS = 64, 4
"""In a kernel with sparse products, an entry also has the metadata of each lane's rows (sparse.py), up to 4 vectors."""
RING, RING_BYTES = 64, 32
"""The operands of the last RING products of a warpgroup are kept, to compare them with those in its other warps."""
VECTOR_BYTES = 128
# The header: byte offsets. Groups committed, the first product of the queue and the end, whether there was a fence, the
# products issued, the first product of the queue that is not computed.
COMMITTED, HEAD, TAIL, FENCED, ISSUED, COMPUTED, HEADER_BYTES = 0, 4, 8, 12, 16, 24, 64
# An entry: byte offsets.
SITE, TABLE, PRODUCT, DESCRIPTOR_A, DESCRIPTOR_B, SCALE, GROUP, ORIGIN = 0, 8, 16, 24, 32, 40, 44, 48
# A table: i32 slots. Registers of D and A, columns, FLAGS, bytes of the operands in shared memory; then the numbers of
# the registers of D and of A.
COUNT_D, COUNT_A, COLUMNS, FLAGS, OPERAND_BYTES, NUMBERS = 0, 1, 2, 3, 4, 8
TRANSPOSED_A, TRANSPOSED_B, NEGATIVE_A, NEGATIVE_B, DOUBLE_B = 1, 2, 4, 8, 16
"""Flags of a table; the last: B has twice as many bytes of k as A."""
BASE_OFFSET_AT, START_MASK, UNUSED_BITS = 49, 0x3FFF, 0x3FF1_C000_C000_C000

# Reasons for MISUSED.
PARTIAL, NO_GROUP, NOT_UNIFORM, BASED, OUTSIDE, UNFENCED, UNORDERED, APART, OVERWRITTEN, NARROW = range(128, 138)
LEAVES, LEFT, UNUSED = 138, 139, 140
REGISTERS_MISUSED = (UNFENCED, UNORDERED, OVERWRITTEN)
"""Those that a sanitized launch survives: findings."""
COMPLAINTS = {
    PARTIAL: "needs all 32 threads of the warp",
    NO_GROUP: "needs four whole warps, of which the first has a rank that is a multiple of 4",
    NOT_UNIFORM: "has operands that are not the same in all threads of the warp",
    BASED: "has a matrix descriptor with a base offset (bits 49 to 51), which is not modelled",
    UNUSED: (
        "has a matrix descriptor with a bit that must be 0 (14, 15, 30, 31, 46 to 48, or 52 to 61): a start or an "
        "offset is too large, or it is a descriptor for tcgen05"
    ),
    OUTSIDE: "has a matrix descriptor that reaches outside the shared memory of the CTA",
    UNFENCED: "comes before the first wgmma.fence of its warp",
    UNORDERED: (
        "uses registers that were written after the last wgmma.fence, or while an earlier product still uses them"
    ),
    APART: "is not the same product, with the same operands, as in another warp of its warpgroup",
    LEAVES: "exits without a wgmma that another warp of its warpgroup has executed; all four must execute it",
    LEFT: "is not executed by another warp of its warpgroup, which has exited; all four must execute it",
    OVERWRITTEN: "has registers of A that were overwritten before wgmma.wait_group",
    NARROW: (
        "has a descriptor of B with a swizzle of 32 bytes, but B has 64 bytes of k: no document says where the second "
        "half is"
    ),
}


@dataclass(frozen=True)
class WarpgroupArea:
    """Where a warp's area begins in its register file (`base`, in bytes), and for how many registers it is (`numbers`).

    The properties are byte offsets in the area, except `entry_bytes`."""

    base: int
    numbers: int
    sparse: bool = False
    """Whether the kernel has sparse products."""

    @property
    def entry_bytes(self) -> int:
        return ENTRY_BYTES + METADATA_WORDS * VECTOR_BYTES * self.sparse

    @property
    def counts(self) -> int:
        return HEADER_BYTES

    @property
    def ring(self) -> int:
        return HEADER_BYTES + -(-4 * self.numbers // 64) * 64

    @property
    def entries(self) -> int:
        return self.ring + RING * RING_BYTES

    @property
    def copies(self) -> int:
        return self.entries + CAPACITY * self.entry_bytes

    @property
    def bytes(self) -> int:
        return self.copies + VECTOR_BYTES * self.numbers


def fault(reason: int) -> str:
    """A line that reports a misuse of wgmma."""
    return f"call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 0, i64 {reason})"


def registers_at(name: str, index: str) -> str:
    """Lines that point to what belongs to the register with the number in the table at %INDEX: %NAME.count, its pending
    products; %NAME.copy; %NAME.register, the register itself."""
    return f"""%{name}.number.at = getelementptr i32, ptr %table, i64 %{index}
  %{name}.number = load i32, ptr %{name}.number.at
  {of_register(name)}"""


def of_register(name: str) -> str:
    """The same for the register %NAME.number."""
    return f"""%{name}.wide = zext i32 %{name}.number to i64
  %{name}.count = getelementptr i32, ptr %counts, i64 %{name}.wide
  %{name}.copy = getelementptr {V32}, ptr %copies, i64 %{name}.wide
  %{name}.place.at = getelementptr i32, ptr %places, i64 %{name}.wide
  %{name}.place = load i32, ptr %{name}.place.at
  %{name}.place.wide = zext i32 %{name}.place to i64
  %{name}.register = getelementptr i8, ptr %registers, i64 %{name}.place.wide"""


def pointers(area: WarpgroupArea) -> str:
    """Lines that point %area to the warp's area, and %counts, %copies and %entries to its parts."""
    return f"""%area = getelementptr i8, ptr %registers, i64 {area.base}
  %counts = getelementptr i8, ptr %area, i64 {area.counts}
  %copies = getelementptr i8, ptr %area, i64 {area.copies}
  %entries = getelementptr i8, ptr %area, i64 {area.entries}"""


def entry_at(index: str, area: WarpgroupArea) -> str:
    """Lines that point %item to the entry number %INDEX of the queue."""
    return f"""%entry.index = and i32 %{index}, {CAPACITY - 1}
  %entry.index.wide = zext i32 %entry.index to i64
  %entry.offset = mul i64 %entry.index.wide, {area.entry_bytes}
  %item = getelementptr i8, ptr %entries, i64 %entry.offset"""


def name(operation: str, area: WarpgroupArea) -> str:
    """The name of the function for an operation, in kernels with this area."""
    return f"wgmma_{operation}_{area.base}_{area.numbers}" + "_sparse" * area.sparse


def fence(area: WarpgroupArea) -> RuntimeFunction:
    """`NAME(env, site, registers, places, active)`: copy the registers that no pending product uses."""
    text = f"""
define internal void @{name("fence", area)}(ptr %env, ptr %site, ptr %registers, ptr %places, i32 %active) noinline {{
entry:
  {whole_warp()}
go:
  {pointers(area)}
  %fenced = getelementptr i8, ptr %area, i64 {FENCED}
  store i32 1, ptr %fenced
  br label %next
next:
  %r.number = phi i32 [ 0, %go ], [ %i.next, %on ]
  %over = icmp eq i32 %r.number, {area.numbers}
  br i1 %over, label %done, label %look
look:
  {of_register("r")}
  %pending = load i32, ptr %r.count
  %free = icmp eq i32 %pending, 0
  br i1 %free, label %copy, label %on
copy:
  %value = load {V32}, ptr %r.register, align 64
  store {V32} %value, ptr %r.copy, align 64
  br label %on
on:
  %i.next = add i32 %r.number, 1
  br label %next
done:
  ret void
}}
"""
    return RuntimeFunction(name("fence", area), text, (FAULT,))


def whole_warp() -> str:
    """The head of a function: it returns if no lane is active, faults unless all are, and continues at %go."""
    return f"""%idle = icmp eq i32 %active, 0
  br i1 %idle, label %nothing, label %some
nothing:
  ret void
some:
  %whole = icmp eq i32 %active, -1
  br i1 %whole, label %go, label %part
part:
  {fault(PARTIAL)}
  ret void"""


def commit(area: WarpgroupArea) -> RuntimeFunction:
    """`NAME(env, site, registers, active)`: the products since the last group form a group."""
    text = f"""
define internal void @{name("commit", area)}(ptr %env, ptr %site, ptr %registers, i32 %active) noinline {{
entry:
  {whole_warp()}
go:
  {pointers(area)}
  {field("area", "committed", COMMITTED)}
  %more = add i32 %committed, 1
  store i32 %more, ptr %committed.at
  ret void
}}
"""
    return RuntimeFunction(name("commit", area), text, (FAULT,))


def group_area(register_bytes: int) -> str:
    """Lines that point %ring.first to the area of the group's first warp. %in.group: the warp's rank in the group."""
    return f"""%in.group = and i64 %warp, {WARPS - 1}
  %back = mul i64 %in.group, {-register_bytes}
  %ring.first = getelementptr i8, ptr %area, i64 %back"""


def ring_at(number: str, area: WarpgroupArea) -> str:
    """Lines that point %ring to the place of the product %NUMBER of the group."""
    return f"""%ring.index = and i64 %{number}, {RING - 1}
  %ring.offset = mul i64 %ring.index, {RING_BYTES}
  %ring.all = getelementptr i8, ptr %ring.first, i64 {area.ring}
  %ring = getelementptr i8, ptr %ring.all, i64 %ring.offset"""


def leave(area: WarpgroupArea, register_bytes: int) -> RuntimeFunction:
    """`NAME(env, site, registers, active)`: lanes exit. Their warp must have issued what the others of its group have.

    PTX ISA, wgmma.mma_async: all threads of the warpgroup must execute the same one.
    """
    text = f"""
define internal void @{name("leave", area)}(ptr %env, ptr %site, ptr %registers, i32 %active) noinline {{
entry:
  %idle = icmp eq i32 %active, 0
  br i1 %idle, label %done, label %go
go:
  {pointers(area)}
  {slot("warp", at.WARP)}
  {field("area", "issued", ISSUED, "i64")}
  %next = add i64 %issued, 1
  {group_area(register_bytes)}
  {ring_at("next", area)}
  {field("ring", "ring.number", 0, "i64")}
  %behind = icmp ugt i64 %ring.number, %issued
  br i1 %behind, label %bad, label %done
bad:
  {fault(LEAVES)}
  br label %done
done:
  ret void
}}
"""
    return RuntimeFunction(name("leave", area), text, (FAULT,))
