"""Predefined registers: what a kernel can read about the hardware and its launch. (PTX ISA, "Special Registers".)"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ptxbench import architecture
from ptxbench.emulator.emit import Value
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runtime import conditions, context
from ptxbench.emulator.types import LANES, U32, U64
from ptxbench.emulator.variables import WORKSPACE_REGISTERS
from ptxbench.errors import UnsupportedInstruction

if TYPE_CHECKING:
    from ptxbench.emulator.warp_ops import WarpOps


class RepresentativeGpu(NamedTuple):
    """A GPU of an architecture: its multiprocessors (%nsmid), and the warps per multiprocessor (%nwarpid)."""

    name: str
    multiprocessors: int
    warps: int


GPUS = {
    70: RepresentativeGpu("V100", 80, 64),
    72: RepresentativeGpu("Jetson AGX Xavier", 8, 64),
    75: RepresentativeGpu("T4", 40, 32),
    80: RepresentativeGpu("A100", 108, 64),
    86: RepresentativeGpu("GeForce RTX 3090", 82, 48),
    87: RepresentativeGpu("Jetson AGX Orin", 16, 48),
    89: RepresentativeGpu("L40S", 142, 48),
    90: RepresentativeGpu("H100 SXM", 132, 64),
    100: RepresentativeGpu("B200", 148, 64),
    110: RepresentativeGpu("Jetson AGX Thor", 20, 48),
    120: RepresentativeGpu("GeForce RTX 5090", 170, 48),
    121: RepresentativeGpu("GB10", 48, 48),
}
"""By architecture. An architecture that is not listed uses the next lower one."""

RESERVED_FROM = 80
RESERVED = {"begin": 0, "end": context.RESERVED_BYTES, "cap": context.RESERVED_BYTES, "0": 0, "1": 64}
"""%reserved_smem_offset_NAME. Cooperative groups keep the barriers of multi-warp tiles from offset 1 on."""

FIXED = {"WARP_SZ": LANES}
"""Registers that are constant."""
OF_CONDITIONS = {
    "gridid": conditions.GRID, "current_graph_exec": conditions.GRAPH, "nsmid": conditions.MULTIPROCESSORS,
    "nwarpid": conditions.WARPS,
}  # fmt: skip
"""Registers whose values come from the launch's conditions."""
LONG = ("gridid", "current_graph_exec", *(f"pm{k}_64" for k in range(8)))
"""The 64-bit registers among those with one value per launch."""
LANE_MASKS = {
    "lanemask_eq": [1 << i for i in range(LANES)],
    "lanemask_lt": [(1 << i) - 1 for i in range(LANES)],
    "lanemask_le": [(2 << i) - 1 for i in range(LANES)],
    "lanemask_gt": [0xFFFFFFFF ^ (2 << i) - 1 for i in range(LANES)],
    "lanemask_ge": [0xFFFFFFFF ^ (1 << i) - 1 for i in range(LANES)],
}


def gpu(arch: str) -> RepresentativeGpu:
    """The GPU that is modelled for an architecture."""
    least = min(GPUS)
    return GPUS[max((candidate for candidate in GPUS if candidate <= architecture.number(arch)), default=least)]


def reserved_bytes(arch: str) -> int:
    """Bytes of a CTA's shared memory that belong to the driver, below the kernel's own."""
    return context.RESERVED_BYTES if architecture.number(arch) >= RESERVED_FROM else 0


def shared_unit(arch: str) -> int:
    """The unit in bytes in which shared memory is allocated: %total_smem_size is a multiple."""
    return 128 if architecture.number(arch) >= RESERVED_FROM else 256


def is_reserved(name: str) -> bool:
    """Whether a register describes the driver's shared memory: a kernel that reads it may use that memory."""
    return name.startswith("%reserved_smem_offset_")


def read(ops: WarpOps, name: str) -> Value:
    """The value of %tid.x and similar registers, as u32, u64 or a predicate."""
    e = ops.e
    base, _, axis = name.removeprefix("%").partition(".")
    step = "xyz".find(axis) if axis else 0
    if base == "tid":
        at = e.op(f"getelementptr i8, ptr %warp, i64 {context.WARP_TID + 128 * step}")
        return Value(e.op(f"load {U32.vector}, ptr {at}, align 64"), U32)
    slots = {
        "ntid": context.BLOCK_X, "ctaid": context.CTA_X, "nctaid": context.GRID_X, "cluster_nctaid": context.CLUSTER_X,
        "cluster_nctarank": context.CLUSTER_SIZE, "cluster_ctarank": context.CLUSTER_RANK,
    }  # fmt: skip
    if base in slots:
        return of_context(ops, slots[base] + step)
    if base in IN_CLUSTERS:
        return in_clusters(ops, base, step)
    if base == "is_explicit_cluster":
        explicit = of_context(ops, context.CLUSTER_EXPLICIT)
        return e.compare("ne", explicit, e.constant(0, U32))
    if base == "laneid":
        return e.lane_numbers(U32)
    if base in LANE_MASKS:
        return e.lanes(LANE_MASKS[base], U32)
    if base.startswith(("clock", "globaltimer")):
        return clock(ops, base)
    if base.endswith("_smem_size"):
        return shared_size(ops, base)
    if base == "smid":
        return multiprocessor(ops)
    if base == "warpid":
        return warp_number(ops)
    if name in WORKSPACE_REGISTERS:
        return workspace(ops, base)
    if base.startswith(("pm", "envreg")) or base in OF_CONDITIONS:
        result = e.condition(OF_CONDITIONS.get(base, conditions.DRIVER), U64)
        return result if base in LONG else e.convert(result, U32)
    if (value := constant(ops, name, base)) is not None:
        result = e.constant(value, U64 if base in LONG else U32)
        return e.add(result, ops.own_rank(U32)) if is_reserved(name) and ops.clustered else result
    raise syntax_error(ops.line, f"unknown predefined register '{name}'.")


def constant(ops: WarpOps, name: str, base: str) -> int | None:
    """The value of a register that is the same in every launch; else None."""
    if is_reserved(name):
        return reserved_offset(ops, name)
    return FIXED.get(base)


def reserved_offset(ops: WarpOps, name: str) -> int | None:
    if architecture.number(ops.arch) < RESERVED_FROM:
        raise UnsupportedInstruction(f"line {ops.line}: '{name}' needs sm_{RESERVED_FROM}; this run is for {ops.arch}.")
    return RESERVED.get(name.rpartition("_")[2])


def of_context(ops: WarpOps, slot: int) -> Value:
    """A u32 from the context, the same in all lanes."""
    e = ops.e
    at = e.op(f"getelementptr i64, ptr %env, i64 {slot}")
    return e.splat(e.op(f"load i32, ptr {at}, align 8"), U32)


IN_CLUSTERS = {
    "clusterid": (context.CTA_X, "udiv"), "nclusterid": (context.GRID_X, "udiv"),
    "cluster_ctaid": (context.CTA_X, "urem"),
}  # fmt: skip
"""Registers that are a coordinate divided by the extent of a cluster, or the remainder."""


def in_clusters(ops: WarpOps, base: str, step: int) -> Value:
    e = ops.e
    coordinate_slot, operation = IN_CLUSTERS[base]
    parts = []
    for slot in (coordinate_slot, context.CLUSTER_X):
        at = e.op(f"getelementptr i64, ptr %env, i64 {slot + step}")
        parts.append(e.op(f"load i32, ptr {at}, align 8"))
    return e.splat(e.op(f"{operation} i32 {', '.join(parts)}"), U32)


def clock(ops: WarpOps, base: str) -> Value:
    """%clock, or %globaltimer in nanoseconds: they advance with each instruction that this warp executes."""
    e = ops.e
    at = e.op(f"getelementptr i8, ptr %warp, i64 {context.WARP_CLOCK}")
    now = e.op(f"sub i64 {e.op(f'load i64, ptr {at}')}, {ops.ahead}")
    now = e.op(f"mul i64 {now}, {e.op(conditions.CLOCK_STEP.load)}")
    start = conditions.CLOCK if base.startswith("clock") else conditions.TIMER
    now = e.op(f"add i64 {now}, {e.op(start.load)}")
    if base in ("clock64", "globaltimer"):
        return e.splat(now, U64)
    if base.endswith("_hi"):
        now = e.op(f"lshr i64 {now}, 32")
    return e.splat(e.op(f"trunc i64 {now} to i32"), U32)


def multiprocessor(ops: WarpOps) -> Value:
    """%smid: CTAs are assigned by rank, as if each multiprocessor had room for all its CTAs."""
    e = ops.e
    at = e.op(f"getelementptr i64, ptr %env, i64 {context.CTA}")
    rank = e.op(f"load i64, ptr {at}, align 8")
    return numbered(ops, rank, conditions.FIRST_MULTIPROCESSOR, conditions.MULTIPROCESSORS)


def warp_number(ops: WarpOps) -> Value:
    """%warpid: assigned by rank from the first on, as if there were no other CTA."""
    e = ops.e
    at = e.op(f"getelementptr i64, ptr %env, i64 {context.WARP}")
    rank = e.op(f"load i64, ptr {at}, align 8")
    return numbered(ops, rank, conditions.FIRST_WARP, conditions.WARPS)


def numbered(ops: WarpOps, rank: str, first: conditions.Field, count: conditions.Field) -> Value:
    """`rank` counted from `first` on, modulo `count`."""
    e = ops.e
    moved = e.op(f"add i64 {rank}, {e.op(first.load)}")
    number = e.op(f"urem i64 {moved}, {e.op(count.load)}")
    return e.splat(e.op(f"trunc i64 {number} to i32"), U32)


def workspace(ops: WarpOps, base: str) -> Value:
    """The upper or the lower half of the address of the grid's workspace; 0 in a launch that is not cooperative."""
    e = ops.e
    address = e.add(e.constant(ops.workspace, U64), e.condition(conditions.MODULE_SHIFT, U64))
    address = e.and_(address, e.condition(conditions.WORKSPACE, U64))
    return e.high_half(address, U32) if base == "envreg1" else e.convert(address, U32)


def shared_size(ops: WarpOps, base: str) -> Value:
    """%dynamic_smem_size; %total_smem_size, in units of allocation; %aggr_smem_size, which counts the driver's too."""
    e = ops.e
    at = e.op(f"getelementptr i64, ptr %env, i64 {context.SHARED_BYTES}")
    size = e.op(f"trunc i64 {e.op(f'load i64, ptr {at}')} to i32")
    if base == "dynamic_smem_size":
        return e.splat(e.op(f"sub i32 {size}, {ops.shared_bytes}"), U32)
    unit = e.op(f"trunc i64 {e.op(conditions.SHARED_UNIT.load)} to i32")
    padded = e.op(f"add i32 {size}, {e.op(f'sub i32 {unit}, {1 + ops.reserved_inside + ops.shared_zones}')}")
    total = e.op(f"and i32 {padded}, {e.op(f'sub i32 0, {unit}')}")
    if base == "aggr_smem_size":
        total = e.op(f"add i32 {total}, {reserved_bytes(ops.arch)}")
    return e.splat(total, U32)
