"""How a translated kernel lays out its counters and memory. Data only: the process that asks needs no LLVM."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, fields

EXACT_TRIPS = 64
"""Entries into a loop of fewer trips are counted by their number of trips."""
RESIDUES = 16
"""Entries of more trips are counted by their remainder: how many there were, and how many trips they made in all."""
BINS = EXACT_TRIPS + 2 * RESIDUES
"""Counters of a loop."""

PLAIN, SANITIZE, ADVERSARIAL = "plain", "sanitize", "adversarial"
"""Modes: as fast as it goes; watched (runtime/sanitize.py); and with a schedule that punishes a missing warp sync."""


@dataclass(frozen=True)
class Site:
    """One memory instruction: where its counters are (i64 slot) and what they count."""

    step: int
    slot: int
    space: str
    kind: str
    """load, store, atomic, or mma: of that, `space` is the type of A."""
    bytes: int
    """Bytes a lane; of mma, floating-point operations of the warp."""
    strength: int = 0
    """Of an access: how strong it is (races/layout.py)."""


@dataclass(frozen=True)
class ParamAddress:
    """An address in the kernel's parameters: known when the kernel is translated."""

    offset: int
    space_left: int


@dataclass(frozen=True)
class StepReport:
    """What the host needs to know of one instruction to read its counters."""

    line: int
    opcode: str
    counted: str
    flow: str
    block: int
    guard_slot: int | None
    """Counts the lanes whose guard was true; None without a guard."""
    divergent_slot: int | None
    """Counts the executions whose lanes left for more than one place."""
    number: int | None = None
    """The constant operand of an instruction in `NUMBERED`."""
    cycles: int = 0
    """By which it makes an execution of its block longer (dependences.py)."""
    function_in_loop: bool = False
    """Whether it is an approximate function, a division or a root within a loop."""

    @property
    def executed(self) -> str:
        """The opcode, with the number that belongs to it: `cp.async.wait_group 0`."""
        return self.opcode if self.number is None else f"{self.opcode} {self.number}"


NUMBERED = frozenset(
    ("nanosleep.u32", "cp.async.wait_group", "cp.async.bulk.wait_group", "cp.async.bulk.wait_group.read")
)
"""Opcodes whose cost depends on a number among their operands; divisions and remainders are the others."""


@dataclass(frozen=True)
class Translation:
    """The IR, and the layout of its counters and memory.

    Counter slots: for each block, executions and lanes; then what `steps` and `sites` say.
    """

    ir: str
    name: str
    steps: tuple[StepReport, ...]
    sites: tuple[Site, ...]
    block_count: int
    slots: int
    register_bytes: int
    shared_bytes: int
    """Static shared memory, with what is reserved inside of it."""
    local_bytes: int
    """Local memory of a thread."""
    order_reason: str | None
    """Why CTAs must run one after the other, by rank; None where they may run in parallel unless they share bytes."""
    granules: tuple[int, int, int] = (4, 4, 4)
    """Of a sanitized kernel: bytes of shared, of local and of global memory that share a shadow."""
    schedule_obstacle: str | None = None
    """Why another schedule may rightly give other results."""
    reserved_bytes: int = 0
    """The driver's bytes at the start of a CTA's shared memory, where the kernel may use them."""
    heap: int = 0
    """Address of the heap of malloc and free; 0 where there is none."""
    cooperates: bool = False
    """Whether the kernel may wait at a barrier of the whole grid."""
    queues: bool = False
    """Whether warps have queues of asynchronous copies."""
    stack_bytes: int = 0
    """Of a thread's local memory, what its call stack takes."""
    granule_shift: int = 0
    """The logarithm of the bytes of a granule in the records of global memory (runtime/records.py)."""
    mixed_params: tuple[int, ...] = ()
    """Offsets of the parameters whose pointers seem to be used in ways that clash between CTAs (provenance.py)."""
    mixed_addresses: tuple[int, ...] = ()
    """The same of the module's variables, by address."""
    rows: bool = False
    """Whether threads may order each other's accesses otherwise than by barriers of a whole CTA or warp."""
    messages: bool = False
    """Whether CTAs may."""
    loops: tuple[int, ...] = ()
    """The line of each loop (loops.py)."""
    irreducible: tuple[int, ...] = ()
    """Lines of branches back that make no loop which could be counted."""

    @property
    def own_shared_bytes(self) -> int:
        """The kernel's own static shared memory."""
        return self.shared_bytes - self.reserved_bytes


# ---- for the cache


def to_json(translation: Translation) -> str:
    """The layout without its IR: the fields by name, steps and sites as lists in the order of their fields."""
    document = {field.name: getattr(translation, field.name) for field in fields(Translation)}
    document |= {"ir": "", "steps": [astuple(step) for step in translation.steps]}
    return json.dumps(document | {"sites": [astuple(site) for site in translation.sites]})


def from_json(text: str) -> Translation:
    """What `to_json` wrote."""
    document = json.loads(text)
    steps = tuple(StepReport(*each) for each in document.pop("steps"))
    sites = tuple(Site(*each) for each in document.pop("sites"))
    lists = {name: tuple(value) for name, value in document.items() if isinstance(value, list)}
    return Translation(**{**document, **lists}, steps=steps, sites=sites)
