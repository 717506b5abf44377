"""PTX ISA, Parallel Synchronization and Communication Instructions: within a warp.

An operand named `membermask` makes the lanes wait for each other (control.py) before the body runs.
"""

import functools

from ptxbench.emulator.emit import Computation
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import B32, LANES, PRED

instruction = Chapter("Parallel Synchronization Instructions: warp", counted="warp")

SHFL = "data-movement-and-conversion-instructions-shfl-sync"
VOTE = "parallel-synchronization-and-communication-instructions-vote-sync"
DEPRECATED_SHFL = "data-movement-and-conversion-instructions-shfl"
DEPRECATED_VOTE = "parallel-synchronization-and-communication-instructions-vote"
"""Without .sync, below sm_70: the active lanes take part."""
MATCH = "parallel-synchronization-and-communication-instructions-match-sync"
REDUX = "parallel-synchronization-and-communication-instructions-redux-sync"


@instruction("shfl.sync.mode.b32 d|p, a, b, c, membermask:u32", mode=("up", "down", "bfly", "idx"), flow="warp_sync",
             section=SHFL)  # fmt: skip
@instruction("shfl.mode.b32 d|p, a, b, c", mode=("up", "down", "bfly", "idx"), section=DEPRECATED_SHFL)
def shfl(e, ops, mode, a, b, c):
    """The source lane's value, and whether that lane is in the segment; else the own value. If the source is inactive,
    `of_inactive`."""
    active, of_inactive = ops.is_active(), ops.of_inactive(a)
    if b.constant is not None and c.constant is not None:
        lanes, valid = zip(*(shuffle_source(mode, lane, b.constant, c.constant) for lane in range(LANES)), strict=True)
        if ops.watches_sources:
            ops.note_sources(e.together("sources", SOURCES, lanes, functools.partial(partners, lanes), [active]))
        inside = e.constant(1, PRED)
        if not all(valid):
            inside = e.compare("ne", e.lanes([int(one) for one in valid], B32), e.constant(0, B32))
        return e.together("shfl", SHUFFLES, lanes, functools.partial(shuffled, lanes), [a, of_inactive, active]), inside
    source, inside = shuffle_lanes(e, mode, b, c)
    moved = ops.permute(a, source)
    partner = ops.permute(ones(e, active), source)
    if ops.watches_sources:
        ops.note_sources(partner)
    return e.select(e.compare("ne", partner, e.constant(0, B32)), moved, of_inactive), inside


SHUFFLES: dict[tuple[int, ...], Computation] = {}
"""The functions for known source lanes, by these."""


def shuffled(lanes, e, values):
    """The value of each lane's source, or another one if the source is not active."""
    a, of_inactive, active = values
    partner = partners(lanes, e, [active])
    return e.select(e.compare("ne", partner, e.constant(0, B32)), e.permute(a, lanes), of_inactive)


SOURCES: dict[tuple[int, ...], Computation] = {}
"""The functions for whether these source lanes are active."""


def partners(lanes, e, values):
    """1 in each lane whose source is active."""
    (active,) = values
    return e.permute(ones(e, active), lanes)


def ones(e, condition):
    """1 in each lane where the condition is true, 0 elsewhere."""
    return e.select(condition, e.constant(1, B32), e.constant(0, B32))


def shuffle_source(mode, lane, b, c):
    """Source lane and validity. (PTX ISA, shfl.sync, Description.)"""
    distance, clamp, segment = b & 31, c & 31, c >> 8 & 31
    low = lane & segment
    high = low | clamp & ~segment & 31
    if mode == "up":
        source, inside = lane - distance, lane - distance >= high
    elif mode == "down":
        source, inside = lane + distance, lane + distance <= high
    elif mode == "bfly":
        source, inside = lane ^ distance, lane ^ distance <= high
    else:
        source = low | distance & ~segment & 31
        inside = source <= high
    return (source if inside else lane), inside


def shuffle_lanes(e, mode, b, c):
    """`shuffle_source` for operands that are known only when the kernel runs."""
    lane = e.lane_numbers(B32)
    low_five_bits = e.constant(31, B32)
    distance, clamp = e.and_(b, low_five_bits), e.and_(c, low_five_bits)
    segment = e.and_(e.shr(c, e.constant(8, B32)), low_five_bits)
    outside = e.xor(segment, low_five_bits)
    low = e.and_(lane, segment)
    high = e.or_(low, e.and_(clamp, outside))
    source = {
        "up": lambda: e.sub(lane, distance),
        "down": lambda: e.add(lane, distance),
        "bfly": lambda: e.xor(lane, distance),
        "idx": lambda: e.or_(low, e.and_(distance, outside)),
    }[mode]()
    signed = e.signed(source)
    inside = e.compare("ge" if mode == "up" else "le", signed, e.signed(high))
    return e.and_(e.select(inside, source, lane), low_five_bits), inside


@instruction("vote.sync.mode.pred d, a, membermask:u32", mode=("all", "any", "uni"), flow="warp_sync", section=VOTE)
@instruction("vote.mode.pred d, a", mode=("all", "any", "uni"), section=DEPRECATED_VOTE)
def vote(e, ops, mode, a):
    yes = ops.ballot(a)
    every = e.op(f"icmp eq i32 {yes}, {ops.active}")
    none = e.op(f"icmp eq i32 {yes}, 0")
    if mode == "all":
        return ops.everywhere(every)
    if mode == "any":
        return ops.everywhere(e.op(f"xor i1 {none}, true"))
    return ops.everywhere(e.op(f"or i1 {every}, {none}"))


@instruction("vote.sync.ballot.b32 d, a:pred, membermask:u32", flow="warp_sync", section=VOTE)
@instruction("vote.ballot.b32 d, a:pred", section=DEPRECATED_VOTE)
def ballot(e, ops, a):
    return e.splat(ops.ballot(a), B32)


@instruction("redux.sync.op.type d, a, membermask:u32", op=("add", "min", "max"), type=("u32", "s32"), flow="warp_sync",
             section=REDUX)  # fmt: skip
def redux(ops, op, a):
    if op == "add":
        return ops.reduce("add", a, 0)
    least, greatest = (-(2**31), 2**31 - 1) if a.type.signed else (0, 2**32 - 1)
    sign = "s" if a.type.signed else "u"
    return ops.reduce(sign + op, a, greatest if op == "min" else least)


@instruction("redux.sync.op.b32 d:u32, a:u32, membermask:u32", op=("and", "or", "xor"), flow="warp_sync", section=REDUX)
def redux_logic(ops, op, a):
    return ops.reduce(op, a, 0xFFFFFFFF if op == "and" else 0)


@instruction("redux.sync.op{.abs}{.NaN}.f32 d, a, membermask:u32", op=("min", "max"), flow="warp_sync", section=REDUX)
def redux_f32(e, ops, op, abs, NaN, a):  # noqa: N803  the manual's spelling
    """As min and max of two: a number wins over NaN, or with .NaN, NaN wins; -0 is less than +0."""
    bits = e.bits(a)
    sign = e.constant(1 << 31, B32)
    if abs:
        bits = e.and_(bits, e.not_(sign))
    is_nan = e.compare("nan", a, a)
    key = e.xor(bits, e.or_(e.shr(e.signed(bits), e.constant(31, B32)), sign))  # ascending as unsigned integers
    key = e.select(is_nan, e.constant(0xFFFFFFFF if op == "min" else 0, B32), key)
    best = ops.reduce(f"u{op}", key, 0xFFFFFFFF if op == "min" else 0)
    back = e.or_(e.shr(e.signed(e.not_(best)), e.constant(31, B32)), sign)
    nans = ops.ballot(is_nan)
    spoiled = f"icmp ne i32 {nans}, 0" if NaN else f"icmp eq i32 {nans}, {ops.active}"
    result = e.select(ops.everywhere(e.op(spoiled)), e.constant(0x7FFFFFFF, B32), e.xor(best, back))
    return e.as_type(result, a.type)


@instruction("match.any.sync.type d:u32, a, membermask:u32", type=("b32", "b64"), flow="warp_sync", section=MATCH)
def match_any(ops, a):
    """The mask of the lanes with the same value as this one."""
    return ops.match(a)


@instruction("match.all.sync.type d|p:u32, a, membermask:u32", type=("b32", "b64"), flow="warp_sync", section=MATCH)
def match_all(e, ops, a):
    """The mask of all lanes, and true, if all have the same value; else 0 and false."""
    everyone = ops.active_lanes()
    all_equal = e.compare("eq", ops.match(a), everyone)
    return e.select(all_equal, everyone, e.constant(0, B32)), all_equal


@instruction("elect.sync d|p:u32, membermask:u32", flow="warp_sync",
             section="parallel-synchronization-and-communication-instructions-elect-sync")  # fmt: skip
def elect(e, ops):
    """The lowest lane is elected; PTX only requires that it is always the same lane. A variation elects the highest."""
    leader = ops.elected()
    return leader, e.compare("eq", e.lane_numbers(B32), leader)


@instruction("activemask.b32 d", section="parallel-synchronization-and-communication-instructions-activemask")
def activemask(ops):
    return ops.active_lanes()


@instruction("bar.warp.sync membermask:u32", flow="warp_barrier",
             section="parallel-synchronization-and-communication-instructions-bar-warp-sync")  # fmt: skip
def bar_warp_sync():
    """Only waits; memory is always in order here."""
