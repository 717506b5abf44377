"""Definitions shared by the generated functions: the layout of a thread's context and a warp's state, pieces of IR.

Each host thread has a context, passed as %env: i64 slots. Each warp has a state, passed as %warp. A memory
instruction has a site, passed as %site: its counters, and the buffer that it hit last.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptxbench.emulator.types import LANES

GLOBAL_BASE = 0x7F00_0000_0000 - (1 << 20)
"""Emulated address of the arena's first byte: global and generic addresses of arrays. Soon after it is a multiple of
2^32, where an address that is computed in two halves needs the carry."""
SHARED_WINDOW = 0x0100_0000_0000
"""Generic address of byte 0 of the CTA's shared memory."""
LOCAL_WINDOW = 0x0200_0000_0000
"""Generic address of byte 0 of the thread's local memory."""
CONST_WINDOW = GLOBAL_BASE - 256
"""Generic address of byte 0 of constant memory, whose variables are in the arena. No variable is at byte 0."""
PARAM_WINDOW = 0x7B00_0000_0000
"""Generic address of byte 0 of the space of a kernel's parameters, which are in the arena. A multiple of 2^32, so that
an address in 32 bits is the same in both. No memory is at the addresses that parameters have in their own space."""
FUNCTION_BASE, FUNCTION_BYTES = 0x0300_0000_0000, 128
"""Address of the module's first function, and the distance to the next, the alignment of functions on a GPU. There is
no memory at these addresses."""
RESERVED_BYTES = 1024
"""From sm_80 on the driver reserves this many bytes of each CTA's shared memory; the kernel's addresses start above."""
POISON = 0xFF
"""The initial value of every byte of shared and local memory."""

# Kinds of fault, as stored in FAULT_KIND.
(
    OUT_OF_BOUNDS, MISALIGNED, DEADLOCK, OUT_OF_FUEL, TRAPPED, NO_BARRIER, MISUSED, STACK_OVERFLOW, NO_FUNCTION,
    CONFLICTED, LEFT,
) = range(1, 12)  # fmt: skip

# One thread's context: i64 slots, by index.
(
    DELTA, SHARED, PARAMS, COUNTERS, BUFFERS, BUFFER_COUNT, SHARED_BYTES, WARPS, REGISTERS,
    FAULT_KIND, FAULT_SITE, FAULT_LANE, FAULT_ADDRESS, FAULT_CTA, FAULT_WARP, FUEL, FUEL_PER_WARP,
    GRID_X, GRID_Y, GRID_Z, BLOCK_X, BLOCK_Y, BLOCK_Z, FIRST_CTA, CTA_STEP, CTA_COUNT, CHUNK, NEXT_CHUNK,
    CTA, CTA_X, CTA_Y, CTA_Z, WARP, WARP_COUNT, PHASES, LOCAL, LOCAL_BYTES, ALL_LOCAL, HOST, TIME, TIME_OF_START,
    TIME_OF_BARRIER, TIME_OF_WARP, SHADOW, LOCAL_SHADOW, FINDINGS, FINDING_COUNT, FLAGS, THREADS,
    CTA_STATE, CTA_HEADERS, CTA_SLOTS, FIRST_WARPS, FIRST_REGISTERS, FIRST_LOCAL, FIRST_SHARED, SHARED_STRIDE, HURRY,
    YIELDED_AT, TESTED, BLOCKED, FIRST_QUEUES, QUEUES, QUEUE, PATTERNS, FIRST_SHADOW, SHADOW_STRIDE, FIRST_LOCAL_SHADOW,
    LOCAL_SHADOW_STRIDE, BY_TURNS, LAUNCH, RECORD_OWNERS, RECORD_USES, RECORD_PAGES, BUFFER_USES, CONFLICT_SITE,
    CONFLICT_AT, CONFLICT_CTA, CONFLICT_USE, STOP_AT_CONFLICT, EVENT, RACES, RESERVED_INSIDE, TRIPS,
    CLUSTER_X, CLUSTER_Y, CLUSTER_Z, CLUSTER_SIZE, CLUSTER_EXPLICIT, CLUSTER_HEADERS, CLUSTER_STATE, CLUSTER_RANK,
    CLUSTER_OWN, CLUSTER_SHARED, CLUSTER_SLOT, MESSAGE_LISTS, UNFINISHED, MBARRIER_PHASES, REGISTER_BYTES, LOOPS,
    TRIPS_AT, HALVES, RUN_WARP, PREPARE_WARP, ANNOUNCED, ENV_SLOTS,
) = range(106)  # fmt: skip

# One warp's state: byte offsets.
WARP_PC, WARP_WAITING, WARP_EXITED, WARP_VALID, WARP_PARKED, WARP_PASSED, WARP_FUEL = 0, 128, 132, 136, 140, 144, 152
WARP_CLUSTER_WAITING = 148
"""i32: lanes that wait at barrier.cluster.wait; they are parked too."""
WARP_CLOCK = 160
"""i64: instructions that the warp has executed; kept only if a kernel reads a clock."""
WARP_SYNC = 168
"""i64: the time of the warp's last bar.warp.sync."""
WARP_MEETING = 176
"""i32: lanes that wait at a bar.warp.sync."""
WARP_SERVED = 180
"""i32: lanes that have had their turn while other lanes of the warp could run."""
WARP_CLUSTER_ARRIVED, WARP_CLUSTER_PHASE = 184, 188
"""i32: lanes that have arrived at the cluster's barrier and not waited since; the parities of the phases in which they
arrived."""
WARP_TID = 192
WARP_BARRIERS, WARP_ANSWERS = 576, 640
"""For each lane: the barrier that it waits at (runtime/barriers.py); the result of its last barrier reduction."""
WARP_TESTS, WARP_FAILS = 608, 616
"""i64: the state of the random numbers that say which tests of mbarriers fail, and how many may still fail
(runtime/turns.py)."""
WARP_TESTED = 768
"""i32 for each lane: the mbarrier that it last tested without success, as its address plus 1; 0: none."""
WARP_ARRIVED = 896
"""i32 for each barrier of the CTA: the lanes that have arrived there in this phase."""
WARP_BYTES = 960

# One CTA's header: byte offsets; then an entry for each barrier, with the offsets of the second line.
CTA_RANK, CTA_LIVE, CTA_EXITED, CTA_OPEN, CTA_IDLE, CTA_START, CTA_BARRIER, CTA_GRID_KNOWN = (
    0,
    8,
    16,
    20,
    24,
    32,
    40,
    48,
)
CTA_POOL = 28
"""i32: registers that setmaxnreg.dec has given back (runtime/register_pool.py)."""
CTA_EXIT_LINE = 56
"""i64: the PTX line at which the CTA's last thread exited; only in clusters."""
CTA_BARRIERS = 64
BARRIER_LANES, BARRIER_WARPS, BARRIER_EXPECTED, BARRIER_TRUES, BARRIER_ASKED, BARRIER_BYTES = 0, 4, 8, 12, 16, 32
CTA_BYTES = CTA_BARRIERS + 16 * BARRIER_BYTES

# One cluster's header (runtime/clusters.py): byte offsets.
CLUSTER_ARRIVED, CLUSTER_EXITED, CLUSTER_PHASE, CLUSTER_GONE, CLUSTER_LIVE, CLUSTER_BYTES = 0, 4, 8, 12, 16, 128
RANK_BITS = 24
"""A shared::cluster address: the CTA's rank in its cluster, shifted by this, plus the address in its shared memory."""

# One memory site: i64 slots, by index. CACHED_LOW and CACHED_SPAN describe the buffer hit last: its first address, and
# the number of addresses in it at which an access may start (0: no hit yet). USE and RECORDED: see records.py. LINES:
# for global memory; WIDE_8, WIDE_16: for shared memory (counting.py). RUNS: accesses by all lanes of neighbouring bytes
# (spaces.UnitStrideAccess), in global memory from the start of a line on; they are not in the other counters yet.
# NOT_AWAITED: for asynchronous copies, those of bulk groups that were not complete when their threads exited.
REQUESTS, ACTIVE, WORK, EXTRA, CACHED_LOW, CACHED_SPAN, USE, RECORDED, LINES, WIDE_16, RUNS, SITE_SLOTS = range(12)
WIDE_8 = LINES
NOT_AWAITED = CACHED_LOW
PATTERN_SCALE = 4
"""Bytes of a stored pattern for each byte of a site: a vector of 32 i32 and its result (counting.py)."""

ALL = -1
V32, V64, MASK = f"<{LANES} x i32>", f"<{LANES} x i64>", f"<{LANES} x i1>"


def vector(bits: int) -> str:
    return f"<{LANES} x i{bits}>"


def splat(name: str, kind: str, value: str) -> str:
    """Lines that put the scalar `value` into every lane of %name."""
    full = f"<{LANES} x {kind}>"
    return (
        f"%{name}.first = insertelement {full} poison, {kind} {value}, i64 0\n"
        f"%{name} = shufflevector {full} %{name}.first, {full} poison, {V32} zeroinitializer\n"
    )


def multiples(kind: str, step: int) -> str:
    """A constant vector: lane i holds i * step."""
    return "<" + ", ".join(f"{kind} {i * step}" for i in range(LANES)) + ">"


def slot(name: str, index: int, kind: str = "i64") -> str:
    """Lines that load slot `index` of the context into %name."""
    return f"%{name}.at = getelementptr i64, ptr %env, i64 {index}\n%{name} = load {kind}, ptr %{name}.at\n"


def field(base: str, name: str, offset: int, kind: str = "i32") -> str:
    """Lines that load %NAME from `offset` bytes behind the pointer %BASE."""
    return f"%{name}.at = getelementptr i8, ptr %{base}, i64 {offset}\n  %{name} = load {kind}, ptr %{name}.at"


def bump(index: int, amount: str, name: str = "c") -> str:
    """Lines that add the i64 `amount` to slot `index` of the site. `name`: starts the names of their values."""
    name = f"%{name}{index}"
    return (
        f"{name}.at = getelementptr i64, ptr %site, i64 {index}\n{name} = load i64, ptr {name}.at\n"
        f"{name}.new = add i64 {name}, {amount}\nstore i64 {name}.new, ptr {name}.at\n"
    )


@dataclass(frozen=True)
class RuntimeFunction:
    """An out-of-line function: its name, LLVM text, and the declarations and functions that it needs."""

    name: str
    text: str
    needs: tuple[RuntimeFunction, ...] = ()
    declarations: tuple[str, ...] = ()


CTPOP = "declare i32 @llvm.ctpop.i32(i32)"
CTTZ = "declare i32 @llvm.cttz.i32(i32, i1)"


def next_bit(number: str, body: str, *, done: str = "done") -> str:
    """The head of a loop over the bits of the mask %rest, lowest first: the number of the bit, with NUMBER.wide as i64,
    %bit, and %rest.less without it. `body`: the label of the block that begins here."""
    return f"""  %rest.over = icmp eq i32 %rest, 0
  br i1 %rest.over, label %{done}, label %{body}
{body}:
  %{number} = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %bit = shl i32 1, %{number}
  %rest.less = xor i32 %rest, %bit
  %{number}.wide = zext i32 %{number} to i64"""


NEXT_LANE = next_bit("number", "lane")


def lane_loop(lanes: str, *after: str, before: str = "entry") -> str:
    """The head of a loop over the lanes of the mask `lanes`, up to NEXT_LANE.

    The loop is entered from the block `before`. The blocks `after`, by default the first one, branch to `next`.
    """
    back = "".join(f", [ %rest.less, %{block} ]" for block in after or ("lane",))
    return f"""  br label %next
next:
  %rest = phi i32 [ {lanes}, %{before} ]{back}
{NEXT_LANE}"""


def lane_of(name: str, kind: str, array: str | None = None) -> str:
    """Lines that load the lane's element of `array`, by default of the list %name.all, into %name."""
    return f"""%{name}.at = getelementptr {kind}, ptr {array or f"%{name}.all"}, i64 %number.wide
  %{name} = load {kind}, ptr %{name}.at"""


def put_fields(base: str, *fields: tuple[str, int, str, str]) -> str:
    """Lines that store values behind the pointer %BASE: (name, byte offset, type, value)."""
    return "\n  ".join(
        f"%p.{name} = getelementptr i8, ptr %{base}, i64 {offset}\n  store {kind} {value}, ptr %p.{name}"
        for name, offset, kind, value in fields
    )


def next_group(values: str, memory: str, value: str, bits: int, body: str, *, done: str = "done") -> str:
    """The head of a loop over the groups of lanes of the mask %rest with one element of the vector `values`, of `bits`.

    `memory` holds the vector too. %value is the element, %number.wide the first lane of the group; %members are its
    lanes, and %rest.less the others.
    """
    return f"""  %rest.over = icmp eq i32 %rest, 0
  br i1 %rest.over, label %{done}, label %{body}
{body}:
  %number = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %number.wide = zext i32 %number to i64
  %{value}.at = getelementptr i{bits}, ptr {memory}, i64 %number.wide
  %{value} = load i{bits}, ptr %{value}.at
  {splat(f"{value}.all", f"i{bits}", f"%{value}")}
  %equal = icmp eq {vector(bits)} {values}, %{value}.all
  %equal.mask = bitcast {MASK} %equal to i32
  %members = and i32 %equal.mask, %rest
  %rest.less = xor i32 %rest, %members"""


def loop(
    label: str, index: str, count: str, body: str, *, after: str, before: str = "entry", done: str = "done",
    kind: str = "i64",
) -> str:  # fmt: skip
    """The head of a loop over %index from 0 up to `count`: the block `label`, and the beginning of the block `body`.

    The loop is entered from the block `before`. The block `after` sets %index.next and branches to `label`.
    """
    return f"""{label}:
  %{index} = phi {kind} [ 0, %{before} ], [ %{index}.next, %{after} ]
  %{index}.over = icmp eq {kind} %{index}, {count}
  br i1 %{index}.over, label %{done}, label %{body}
{body}:"""


def loop_end(label: str, index: str, *, after: str, done: str = "done", kind: str = "i64") -> str:
    """The block `after` of a loop over %index whose head is `label`, and the function's end, the block `done`."""
    return f"""{after}:
  %{index}.next = add {kind} %{index}, 1
  br label %{label}
{done}:
  ret void"""


def keeping_loop(kind: str) -> str:
    """The head of a loop that removes entries from a list of %count entries. %remaining of those before %index stay."""
    return f"""  br label %next
next:
  %index = phi {kind} [ 0, %entry ], [ %index.next, %after ]
  %remaining = phi {kind} [ 0, %entry ], [ %remaining.new, %after ]
  %over = icmp eq {kind} %index, %count
  br i1 %over, label %done, label %look
look:"""


def end_with(call: str, condition: str, block: str, *, unless: bool = False, done: str = "done") -> str:
    """The end of a function that makes one more call, in the block `block`, if `condition` holds, or unless it does."""
    targets = f"label %{done}, label %{block}" if unless else f"label %{block}, label %{done}"
    return f"""br i1 {condition}, {targets}
{block}:
  {call}
  br label %{done}
{done}:
  ret void"""
