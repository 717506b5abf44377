"""How a translated kernel lays out its counters and memory. Data only: the parent process needs no LLVM to read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ptxbench.emulator.zones import PlacedVariable

EXACT_TRIPS = 64
"""Loop entries with fewer trips than this are counted by their exact number of trips."""
RESIDUES = 16
"""Loop entries with more trips are counted by trips modulo RESIDUES: the number of entries, and the sum of trips."""
BINS = EXACT_TRIPS + 2 * RESIDUES
"""Counters per loop."""

PLAIN, SANITIZE, ADVERSARIAL = "plain", "sanitize", "adversarial"
"""Modes: fastest; watched (runtime/sanitize.py); fast, on a schedule that exposes a missing warp synchronization."""


@dataclass(frozen=True)
class Site:
    """One memory instruction: its counters (i64 slot) and what they count."""

    step: int
    slot: int
    space: str
    kind: str
    """load, store, atomic, or mma, wgmma (then `space` is the type of A)."""
    bytes: int
    """Bytes per lane; for mma and wgmma, floating-point operations of the warp or warpgroup."""
    strength: int = 0
    """The strength of an access (races/layout.py)."""
    variable: str = ""
    """If sanitized: the variable from whose address the address is computed, if that is known."""


@dataclass(frozen=True)
class ParamAddress:
    """An address in the kernel's parameters, known at translation."""

    offset: int
    name: str
    at: int
    """The byte of this parameter."""
    size: int
    """The bytes that it has."""


@dataclass  # not frozen: a kernel has hundreds, and a frozen one takes longer to make
class StepReport:
    """The data that the host needs to read one instruction's counters. Not to be changed."""

    line: int
    opcode: str
    counted: str
    block: int
    guard_slot: int | None
    """Counts the lanes whose guard was true; None without a guard."""
    divergent_slot: int | None
    """Counts the executions whose lanes went to more than one place."""
    number: int | None = None
    """The constant operand of an instruction in `NUMBERED`."""
    cycles: int = 0
    """The cycles that it adds to an execution of its block (dependences.py)."""
    function_in_loop: bool = False
    """Whether it is an approximate function, a division or a root inside a loop."""

    @property
    def executed(self) -> str:
        """The opcode, with its number if it has one: `cp.async.wait_group 0`."""
        return self.opcode if self.number is None else f"{self.opcode} {self.number}"


NUMBERED = frozenset(
    (
        "nanosleep.u32",
        "cp.async.wait_group",
        "cp.async.bulk.wait_group",
        "cp.async.bulk.wait_group.read",
        "wgmma.wait_group.sync.aligned",
    )
)
"""Opcodes whose cost depends on a number in their operands, besides divisions and remainders."""


@dataclass(frozen=True, eq=False)  # equal only to itself: tables that depend on a translation are cached by it
class Translation:
    """The IR, and the layout of its counters and memory.

    Counter slots: executions and lanes of each block, then the slots of `steps` and `sites`.
    """

    ir: str
    """The kernel's own module."""
    functions: tuple[str, ...]
    """The modules of the functions that it shares with other kernels (modules.py)."""
    name: str
    steps: tuple[StepReport, ...]
    sites: tuple[Site, ...]
    slots: int
    register_bytes: int
    shared_bytes: int
    """Static shared memory in bytes, including bytes reserved inside it."""
    local_bytes: int
    """Bytes of local memory per thread."""
    order_reason: str | None
    """Why CTAs must run one after the other, by rank; None if they may run in parallel unless they share bytes."""
    granules: tuple[int, int, int] = (4, 4, 4)
    """If sanitized: bytes of shared, local and global memory per shadow granule."""
    schedule_obstacle: str | None = None
    """Why results may legitimately depend on the schedule; None if they may not."""
    reserved_bytes: int = 0
    """The driver's bytes at the start of a CTA's shared memory, if the kernel may use them."""
    heap: int = 0
    """Address of the heap of malloc and free; 0 if there is none."""
    heap_margin: int = 0
    """Bytes in front of each block of the heap that the kernel may use."""
    cooperates: bool = False
    """Whether the kernel may wait at a barrier of the whole grid."""
    queues: bool = False
    """Whether warps have queues of asynchronous copies."""
    stack_bytes: int = 0
    """Bytes of the call stack in a thread's local memory."""
    granule_shift: int = 0
    """The base-2 logarithm of a granule's bytes in the records of global memory (runtime/records.py)."""
    mixed_params: tuple[int, ...] = ()
    """Offsets of parameters whose pointers seem to be used in ways that conflict between CTAs (provenance.py)."""
    mixed_addresses: tuple[int, ...] = ()
    """Addresses of module variables that seem to be used in such ways."""
    rows: bool = False
    """Whether threads may order each other's accesses by means other than barriers of a whole CTA or warp."""
    messages: bool = False
    """Whether CTAs may order each other's accesses."""
    loops: tuple[int, ...] = ()
    """The line of each loop (loops.py)."""
    irreducible: tuple[int, ...] = ()
    """Lines of backward branches whose loops cannot be counted."""
    clustered: bool = False
    """Whether CTAs run in clusters."""
    sends: bool = False
    """Whether the kernel has asynchronous stores to the cluster."""
    pool: tuple[int, ...] = ()
    """If setmaxnreg has an effect: where a warp's registers hold its state, and its registers per thread at entry."""
    trips_at: int = 0
    """Where a warp's registers hold the trips of each loop (runtime/trips.py)."""
    variables: tuple[PlacedVariable, ...] = ()
    """If sanitized: the kernel's shared and local variables, with zones between them."""
    has_dynamic: bool = True
    """Whether accesses may reach dynamic shared memory: if sanitized, only if the kernel declares it."""
    stores_unwritten: bool = False
    """If sanitized: whether the kernel may store a value to shared or local memory that was never written."""
    read_first: tuple[str, int] | tuple[()] = ()
    """If so: a register that a line of the kernel reads before any line writes it, and this line."""

    @property
    def own_shared_bytes(self) -> int:
        """The kernel's own static shared memory."""
        return self.shared_bytes - self.reserved_bytes


# ---- for the cache


def to_json(translation: Translation, functions: Sequence[str] = ()) -> str:
    """The layout without its IR: fields by name; steps and sites as lists in field order. `functions`: the names of the
    shared functions, in place of their modules."""
    document = {field.name: getattr(translation, field.name) for field in fields(Translation)}
    document |= {"ir": "", "functions": functions, "steps": rows(translation.steps), "sites": rows(translation.sites)}
    document["variables"] = rows(translation.variables)
    return json.dumps(document)


def rows(records: Sequence[StepReport | Site | PlacedVariable]) -> list[list[Any]]:
    """The values of each record, in field order."""
    return [list(vars(record).values()) for record in records]


def from_json(text: str) -> Translation:
    """Read the text that `to_json` wrote."""
    document = json.loads(text)
    steps = tuple(StepReport(*row) for row in document.pop("steps"))
    sites = tuple(Site(*row) for row in document.pop("sites"))
    variables = tuple(PlacedVariable(*row) for row in document.pop("variables"))
    lists = {name: tuple(value) for name, value in document.items() if isinstance(value, list)}
    return Translation(**{**document, **lists}, steps=steps, sites=sites, variables=variables)
