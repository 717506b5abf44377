"""PTX ISA, asynchronous copies of a thread (sm_80) and in bulk (sm_90), and the mbarriers that they complete."""

from typing import Any

from ptxbench.emulator.emit import Value
from ptxbench.emulator.isa.memory import IN_ORDER, NO_CACHE, PREFETCH, space_of
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime import conditions, mbarriers
from ptxbench.emulator.runtime.copies import EVERYTHING
from ptxbench.emulator.runtime.watch import RELAXED
from ptxbench.emulator.types import PRED, U32, U64

instruction = Chapter("Data Movement and Conversion Instructions: cp.async", counted="async")
barrier = Chapter("Parallel Synchronization Instructions: mbarrier", counted="barrier")

CP = "data-movement-and-conversion-instructions-cp-async"
MBARRIER = "parallel-synchronization-and-communication-instructions-mbarrier"
SPACES = ("shared", "shared::cta")


# ---- copies


def copies(operands, hint=""):
    """Decorator: both cache operators, with `operands` after the addresses and the size."""
    ignored = {"cache": NO_CACHE, "space": "a cluster has one CTA", "prefetch": NO_CACHE}
    syntax = f"cp.async.cache.space.global{hint}{{.prefetch}} [a], [b], bytes:u32{operands}"
    return instruction(syntax, cache=("ca", "cg"), space=SPACES, prefetch=PREFETCH, ignored=ignored, section=CP)


@copies("")
@copies(", policy:u64", ".L2::cache_hint")
@copies(", extra")
@copies(", extra, policy:u64", ".L2::cache_hint")
def cp_async(e, ops, a, b, bytes, extra=None):
    """`extra` is how many bytes to take from the source, or a predicate to take none; the rest is zeros."""
    size = bytes.constant
    if size not in (4, 8, 16):
        raise ops.operand_error("copies 4, 8 or 16 bytes")
    counts = bytes
    if extra is not None:
        counts = e.select(extra, e.constant(0, U32), bytes) if extra.type is PRED else e.convert(e.bits(extra), U32)
    ops.copies.issue(a, b, size, counts)


@instruction("cp.async.commit_group ", section="data-movement-and-conversion-instructions-cp-async-commit-group")
def commit_group(ops):
    """The copies that a thread has issued since its last group form its next group."""
    ops.copies.commit()


@instruction("cp.async.wait_group groups:u32",
             section="data-movement-and-conversion-instructions-cp-async-wait-group")  # fmt: skip
def wait_group(ops, groups):
    """The copies are done here, not before; those of the latest groups stay pending."""
    ops.copies.wait(groups.constant)


@instruction("cp.async.wait_all ", section="data-movement-and-conversion-instructions-cp-async-wait-group")
def wait_all(ops):
    ops.copies.wait(EVERYTHING)


@instruction("cp.async.mbarrier.arrive{.noinc}{.space}.b64 [a]", space=SPACES,
             section="parallel-synchronization-and-communication-instructions-cp-async-mbarrier-arrive")  # fmt: skip
def copies_arrive(ops, noinc, space, a):
    """Arrives when the thread's copies are done: at their wait, or when a thread tests an mbarrier."""
    ops.copies.arrive(space_of(space), a, not noinc)


# ---- mbarriers


def mbarrier(name, operands, sems=(), **more):
    """Decorator: the lines of mbarrier.WHAT, with and without memory-order modifiers."""
    may_complete = "noComplete" not in name
    remote = name.startswith("arrive") or name in ("expect_tx", "complete_tx")
    spaces = (*SPACES, "shared::cluster") if remote and may_complete else SPACES
    scopes = ("cta", "cluster") if may_complete else ("cta",)

    def register(body):
        instruction_sets: dict[str, Any] = {"space": spaces, "section": MBARRIER, **more}
        barrier(f"mbarrier.{name}{{.space}}.b64 {operands}", **instruction_sets)(body)
        if sems:
            barrier(
                f"mbarrier.{name}.sem.scope{{.space}}.b64 {operands}", sem=sems, scope=scopes,
                ignored={"sem": IN_ORDER, "scope": IN_ORDER}, **instruction_sets
            )(body)  # fmt: skip
        return body

    return register


def typed(value: Value) -> str:
    return f"{value.type.vector} {value.ir}"


@mbarrier("init", "[a], n:u32")
def init(ops, space, a, n):
    """The phase is 0; n arrivals complete it."""
    ops.copies.mbarrier(mbarriers.INIT, space_of(space), a, typed(n))


@mbarrier("inval", "[a]")
def inval(ops, space, a):
    """The bytes become poison again."""
    ops.copies.mbarrier(mbarriers.INVALIDATE, space_of(space), a)


ARRIVING = ("release", "relaxed")


@mbarrier("arrive", "d:u64, [a]", ARRIVING)
@mbarrier("arrive", "d:u64, [a], n:u32", ARRIVING)
def arrive(e, ops, space, a, n=None):
    """Returns the state before the arrival; lanes arrive one after the other."""
    return arrival(e, ops, space, a, n, 0)


@mbarrier("arrive.noComplete", "d:u64, [a], n:u32", ("release",))
def arrive_no_complete(e, ops, space, a, n):
    return arrival(e, ops, space, a, n, mbarriers.KEEPS_PHASE)


@mbarrier("arrive_drop", "d:u64, [a]", ARRIVING)
@mbarrier("arrive_drop", "d:u64, [a], n:u32", ARRIVING)
def arrive_drop(e, ops, space, a, n=None):
    """Later phases expect n arrivals less."""
    return arrival(e, ops, space, a, n, mbarriers.DROPS)


@mbarrier("arrive_drop.noComplete", "d:u64, [a], n:u32", ("release",))
def arrive_drop_no_complete(e, ops, space, a, n):
    return arrival(e, ops, space, a, n, mbarriers.DROPS | mbarriers.KEEPS_PHASE)


@mbarrier("arrive.expect_tx", "d:u64, [a], n:u32", ARRIVING)
def arrive_expect(e, ops, space, a, n):
    """The phase expects n bytes more; then one arrival is counted."""
    return opaque(e, ops.copies.mbarrier(mbarriers.ARRIVE_EXPECTING, space_of(space), a, typed(n), flag(ops, 0)))


@mbarrier("arrive_drop.expect_tx", "d:u64, [a], n:u32", ARRIVING)
def arrive_drop_expect(e, ops, space, a, n):
    flags = flag(ops, mbarriers.DROPS)
    return opaque(e, ops.copies.mbarrier(mbarriers.ARRIVE_EXPECTING, space_of(space), a, typed(n), flags))


@mbarrier("expect_tx", "[a], n:u32", ("relaxed",))
def expect(ops, space, a, n):
    """The phase expects n bytes more."""
    ops.copies.mbarrier(mbarriers.EXPECT, space_of(space), a, typed(n), "i32 0")


@mbarrier("complete_tx", "[a], n:u32", ("relaxed",))
def complete(ops, space, a, n):
    """As if a copy of n bytes had completed."""
    ops.copies.mbarrier(mbarriers.COMPLETE, space_of(space), a, typed(n), "i32 0")


def flag(ops, flags):
    """The flags of an arrival, as an argument; a .relaxed arrival releases nothing."""
    return f"i32 {flags | (RELAXED if ops.relaxed else 0)}"


def arrival(e, ops, space, a, n, flags):
    count = e.constant(1, U32) if n is None else n
    return opaque(e, ops.copies.mbarrier(mbarriers.ARRIVE, space_of(space), a, typed(count), flag(ops, flags)))


def opaque(e, state):
    """A state as a register holds it, or the other way round. PTX does not specify its bits: they vary like the
    registers of the GPU."""
    return e.xor(state, e.condition(conditions.DRIVER, U64))


ACQUIRING = ("acquire", "relaxed")


@mbarrier("test_wait", "d:pred, [a], state:u64", ACQUIRING)
@mbarrier("try_wait", "d:pred, [a], state:u64", ACQUIRING)
@mbarrier("try_wait", "d:pred, [a], state:u64, hint:u32", ACQUIRING)
def test_wait(e, ops, space, a, state):
    """Whether the phase of `state` is complete; try_wait never suspends here."""
    return ops.copies.test_mbarrier(space_of(space), a, opaque(e, state))


@mbarrier("test_wait.parity", "d:pred, [a], parity:u32", ACQUIRING)
@mbarrier("try_wait.parity", "d:pred, [a], parity:u32", ACQUIRING)
@mbarrier("try_wait.parity", "d:pred, [a], parity:u32, hint:u32", ACQUIRING)
def test_wait_parity(e, ops, space, a, parity):
    """Whether the phase of that parity, the current one or the one before, is complete."""
    phase = e.shl(e.convert(parity, U64), e.constant(mbarriers.PHASE_AT, U64))
    return ops.copies.test_mbarrier(space_of(space), a, phase)


@barrier("mbarrier.pending_count.b64 d:u32, a:u64", section=MBARRIER)
def pending_count(e, a):
    """The arrivals that the phase was still waiting for."""
    return e.convert(e.and_(opaque(e, a), e.constant(mbarriers.MOST, U64)), U32)
