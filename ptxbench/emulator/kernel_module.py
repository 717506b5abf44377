"""The LLVM module around the code of a kernel: the functions that prepare, schedule and watch its warps."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from operator import itemgetter

from ptxbench.emulator.definedness import MARK
from ptxbench.emulator.dispatch import CHOOSE_LANES, warp_function
from ptxbench.emulator.flow import FlowStep
from ptxbench.emulator.heap import COUNT_BYTES
from ptxbench.emulator.layout import SANITIZE, Translation
from ptxbench.emulator.modules import split, without_empty
from ptxbench.emulator.ordering import sends_messages
from ptxbench.emulator.registers import KernelState
from ptxbench.emulator.runtime import bulk_clusters, clusters, marks, messages, records, sanitize, watch, watches
from ptxbench.emulator.runtime.context import RuntimeFunction
from ptxbench.emulator.runtime.cta_states import joined, prepare_warp
from ptxbench.emulator.runtime.scheduler import scheduler
from ptxbench.emulator.runtime.stack import copy_shadow, forget_local
from ptxbench.emulator.syntax import Address
from ptxbench.emulator.types import LANES, PRED, TYPES
from ptxbench.emulator.warp_ops import WarpOps
from ptxbench.emulator.zones import finest


def whole_module(kernel: KernelState, body: str, pointers: str, calls: Collection[str]) -> Translation:
    """The module of the kernel whose blocks are `body`. `pointers`: lines that make pointers into the register file, at
    the start of the warp's function; `calls`: the texts of the functions that the blocks call in place of vectors."""
    e, ops = kernel.e, kernel.ops
    for function in (scheduler(ops.clustered), CHOOSE_LANES, *(of_clusters(ops) if ops.clustered else ())):
        ops.function(function)
    warp = warp_function(body, len(kernel.blocks) + 1, pointers)
    granule_shift = add_records(ops)
    if kernel.mode == SANITIZE:
        add_watches(kernel)
    tables: tuple[str, ...] = ()
    if ops.fragments is not None:
        tables = (ops.fragments.table, *ops.warpgroups.tables.values())
    own_code, shared = without_empty(
        "\n".join([*tables, warp, preparation(kernel)]),
        [*calls, *e.functions.values(), *(function.text for function in ops.functions.values())],
    )
    ir, functions = split(own_code, shared, e.declarations)
    mixed_params, mixed_addresses = mixed(kernel)
    return Translation(
        ir=ir,
        functions=functions,
        name=kernel.function.name,
        steps=tuple(kernel.reports),
        sites=tuple(ops.sites),
        slots=ops.next_slot,
        register_bytes=kernel.register_bytes,
        shared_bytes=kernel.own.shared_bytes,
        local_bytes=kernel.local_bytes,
        order_reason=kernel.analysis.order_reason,
        granules=kernel.granules,
        schedule_obstacle=kernel.analysis.schedule_obstacle,
        reserved_bytes=ops.reserved_inside,
        heap=(kernel.heap or (0, 0))[0],
        heap_margin=COUNT_BYTES if kernel.heap and any(map(stores_count, kernel.steps)) else 0,
        cooperates=ops.workspace != 0,
        queues=ops.queues,
        stack_bytes=kernel.local_bytes - kernel.cleared_bytes,
        granule_shift=granule_shift,
        mixed_params=mixed_params,
        mixed_addresses=mixed_addresses,
        rows=kernel.rows,
        messages=sends_messages(kernel.opcodes),
        loops=tuple(loop.line for loop in kernel.loops.natural),
        irreducible=kernel.loops.irreducible,
        clustered=ops.clustered,
        sends=ops.sends,
        pool=() if kernel.pool is None else (kernel.pool.offset, kernel.pool.initial),
        trips_at=kernel.trips_at,
        variables=kernel.own.variables,
        has_dynamic=kernel.own.has_dynamic,
        stores_unwritten=bool(ops.watching.taken),
        read_first=min(reads_without_a_write(kernel), key=itemgetter(1), default=()),
    )


def reads_without_a_write(kernel: KernelState) -> Iterator[tuple[str, int]]:
    """Each register that may be unwritten where a line reads it, if no line above writes it; and this line."""
    written: set[str] = set()
    found: set[str] = set()
    for step in kernel.steps:
        for name in sorted((step.operand_reads & kernel.defined.keys()) - written - found):
            found.add(name)
            yield name, step.instruction.line
        written |= step.writes


def preparation(kernel: KernelState) -> str:
    """The function that prepares a warp: it clears what must be zero when the warp starts."""
    ops = kernel.ops
    at_start = kernel.blocks[0].live_in & kernel.slots.keys()
    unwritten = joined(extent(kernel, name) for name in at_start if not name.startswith(MARK))
    zeroed = joined((offset, 4) for offset in kernel.defined.values())
    zeroed += joined(extent(kernel, name) for name in at_start if name.startswith(MARK))
    if ops.stack is not None:
        zeroed += ops.stack.registers
    if ops.fragments is not None:
        zeroed += ops.fragments.zeroed
    if kernel.pool is not None:
        zeroed += (kernel.pool.zeroed,)
    return prepare_warp(kernel.local_bytes, kernel.cleared_bytes, unwritten, zeroed, ops.queues)


def stores_count(step: FlowStep) -> bool:
    """Whether an instruction may store the number of elements of a `new T[n]` (heap.COUNT_BYTES)."""
    if step.entry.words[0] != "st" or TYPES[step.entry.words[-1]].bytes != COUNT_BYTES:
        return False
    address = step.instruction.operands[0]
    return isinstance(address, Address) and address.offset == -COUNT_BYTES


def extent(kernel: KernelState, name: str) -> tuple[int, int]:
    """The offset of a register in the register file, and its bytes."""
    kind = kernel.function.registers[name]
    return kernel.slots[name], 4 if kind is PRED else LANES * kind.bytes


def of_clusters(ops: WarpOps) -> tuple[RuntimeFunction, ...]:
    """What the scheduler of clusters needs."""
    parts = (messages.CLOSED,) if ops.sends else ()
    cta_left = watch.SILENT["cta_left"]
    if not ops.bulk:
        return clusters.WAKE, clusters.closed(*parts), cta_left
    closed = clusters.closed(*parts, bulk_clusters.CLOSED)
    return clusters.WAKE, closed, cta_left, *bulk_clusters.replacing(ops.functions)


def add_watches(kernel: KernelState) -> None:
    """Add the real functions of a sanitized kernel in place of the empty ones, and the watches of local memory."""
    ops = kernel.ops
    sizes: dict[str, int] = {}
    for site in ops.sites:
        space = "shared" if site.space == "cluster" else site.space
        if space in ("global", "shared", "local") and site.bytes:
            sizes[space] = min(site.bytes, sizes.get(space, 4))
    bytewise = [(space, 1) for space, _ in ops.watching.taken if ops.watching.splits]  # a stored value has padding
    for space, size in (*ops.watching.taken, *ops.watching.parts, *bytewise):
        sizes[space] = min(size, sizes.get(space, size))
    for space in sizes.keys() & {"shared", "local"}:
        sizes[space] = finest(kernel.own.variables, space, sizes[space])
    kernel.granules = (sizes.get("shared", 4), sizes.get("local", 4), sizes.get("global", 4))
    zoned = kernel.own.local_zones > 0
    for kind, element_bytes, count in sorted(ops.watching.locals):
        ops.function(sanitize.watch_local(kind, element_bytes, count, kernel.granules[1], zoned))
    for space, size, of_bits in sorted(ops.watching.waiting):
        granule = kernel.granules[("shared", "local").index(space)]
        ops.function(marks.unwritten(space, size, granule, of_bits=of_bits))
    for space, size in sorted(ops.watching.taken):
        ops.function(marks.store_marks(space, size, kernel.granules[("shared", "local").index(space)]))
    for key in sorted(ops.watching.spaces):
        ops.function(watches.watches(*key, granules=sizes, clustered=ops.clustered))
    for function in watch.REPORTERS if ops.sanitize else ():
        ops.function(function)
    if ops.stack is not None:
        ops.function(forget_local(sizes.get("local", 4)))
        ops.function(copy_shadow(sizes.get("local", 4)))
    ops.function(sanitize.FAULT)  # replaces the other one: a bad access is a finding


def mixed(kernel: KernelState) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The offsets of parameters and the addresses of module variables that mixed_pointers finds."""
    params, variables = [], []
    for name, offset in kernel.analysis.mixed_pointers:
        if name in kernel.params:
            params.append(kernel.params[name][0] + offset)
        elif name in kernel.module_variables:
            variables.append(kernel.module_variables[name])
    return tuple(params), tuple(variables)


def add_records(ops: WarpOps) -> int:
    """Write the functions that record accesses to global memory; returns log2 of their granule's bytes."""
    shift = records.granule_shift(site.bytes for site in ops.sites if site.space in ("global", "const"))
    planned = [name for name in ops.functions if name.startswith("record_")] if ops.parallel else []
    for name in planned:
        ops.function(records.record(name, shift))
    return shift
