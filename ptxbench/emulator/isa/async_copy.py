"""PTX ISA, asynchronous copies of the sm_80 form, and the mbarriers that they and threads arrive at."""

from typing import Any

from ptxbench.emulator.emit import Value
from ptxbench.emulator.isa.memory import IN_ORDER, NO_CACHE, PREFETCH, place
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime import mbarriers
from ptxbench.emulator.runtime.copies import EVERYTHING
from ptxbench.emulator.types import PRED, U32, U64

instruction = Chapter("Data Movement and Conversion Instructions: cp.async", counted="async")
barrier = Chapter("Parallel Synchronization Instructions: mbarrier", counted="barrier", any_order=True)

CP = "data-movement-and-conversion-instructions-cp-async"
MBARRIER = "parallel-synchronization-and-communication-instructions-mbarrier"
SPACES = ("shared", "shared::cta")


# ---- copies


def copies(operands, hint=""):
    """Decorator: both cache operators, with `operands` behind the addresses and the size."""
    ignored = {"cache": NO_CACHE, "space": "a cluster has one CTA", "prefetch": NO_CACHE}
    syntax = f"cp.async.cache.space.global{hint}{{.prefetch}} [a], [b], bytes:u32{operands}"
    return instruction(syntax, cache=("ca", "cg"), space=SPACES, prefetch=PREFETCH, ignored=ignored, section=CP)


@copies("")
@copies(", policy:b64", ".L2::cache_hint")
@copies(", extra")
@copies(", extra, policy:b64", ".L2::cache_hint")
def cp_async(e, machine, a, b, bytes, extra=None):
    """`extra` is how many bytes to take from the source, or a predicate that says to take none; the rest is zeros."""
    size = bytes.constant
    if size not in (4, 8, 16):
        raise machine.mistake("copies 4, 8 or 16 bytes")
    counts = bytes
    if extra is not None:
        counts = e.select(extra, e.constant(0, U32), bytes) if extra.type is PRED else e.convert(extra, U32)
    machine.copy(a, b, size, counts)


@instruction("cp.async.commit_group ", section="data-movement-and-conversion-instructions-cp-async-commit-group")
def commit_group(machine):
    """The copies that a thread has issued since its last group are its next one."""
    machine.commit_copies()


@instruction("cp.async.wait_group groups:u32",
             section="data-movement-and-conversion-instructions-cp-async-wait-group")  # fmt: skip
def wait_group(machine, groups):
    """Only here are the copies done, except those of the latest groups."""
    machine.wait_for_copies(groups.constant)


@instruction("cp.async.wait_all ", section="data-movement-and-conversion-instructions-cp-async-wait-group")
def wait_all(machine):
    machine.wait_for_copies(EVERYTHING)


@instruction("cp.async.mbarrier.arrive{.noinc}{.space}.b64 [a]", space=SPACES,
             section="parallel-synchronization-and-communication-instructions-cp-async-mbarrier-arrive")  # fmt: skip
def copies_arrive(machine, noinc, space, a):
    """Arrives when the thread's copies are done: at their wait, or when somebody tests an mbarrier."""
    machine.copies_arrive(place(space), a, not noinc)


# ---- mbarriers


def mbarrier(what, operands, sems=(), **more):
    """Decorator: the lines of mbarrier.WHAT, with and without what they say of order."""
    elsewhere = "noComplete" not in what
    spaces = (*SPACES, "shared::cluster") if what.startswith("arrive") and elsewhere else SPACES
    scopes = ("cta", "cluster") if elsewhere else ("cta",)

    def register(body):
        instruction_sets: dict[str, Any] = {"space": spaces, "section": MBARRIER, **more}
        barrier(f"mbarrier.{what}{{.space}}.b64 {operands}", **instruction_sets)(body)
        if sems:
            barrier(
                f"mbarrier.{what}.sem.scope{{.space}}.b64 {operands}", sem=sems, scope=scopes,
                ignored={"sem": IN_ORDER, "scope": IN_ORDER}, **instruction_sets
            )(body)  # fmt: skip
        return body

    return register


def typed(value: Value) -> str:
    return f"{value.type.vector} {value.ir}"


@mbarrier("init", "[a], n:u32")
def init(machine, space, a, n):
    """The phase is 0; n arrivals complete it."""
    machine.mbarrier(mbarriers.INIT, place(space), a, typed(n))


@mbarrier("inval", "[a]")
def inval(machine, space, a):
    """The bytes are poison again."""
    machine.mbarrier(mbarriers.INVALIDATE, place(space), a)


ARRIVING = ("release", "relaxed")


@mbarrier("arrive", "d, [a]", ARRIVING)
@mbarrier("arrive", "d, [a], n:u32", ARRIVING)
def arrive(e, machine, space, a, n=None):
    """The state before it, lanes one after the other."""
    return arrival(e, machine, space, a, n, 0)


@mbarrier("arrive.noComplete", "d, [a], n:u32", ("release",))
def arrive_no_complete(e, machine, space, a, n):
    return arrival(e, machine, space, a, n, mbarriers.KEEPS_PHASE)


@mbarrier("arrive_drop", "d, [a]", ARRIVING)
@mbarrier("arrive_drop", "d, [a], n:u32", ARRIVING)
def arrive_drop(e, machine, space, a, n=None):
    """Later phases expect n arrivals less."""
    return arrival(e, machine, space, a, n, mbarriers.DROPS)


@mbarrier("arrive_drop.noComplete", "d, [a], n:u32", ("release",))
def arrive_drop_no_complete(e, machine, space, a, n):
    return arrival(e, machine, space, a, n, mbarriers.DROPS | mbarriers.KEEPS_PHASE)


def arrival(e, machine, space, a, n, flags):
    count = e.constant(1, U32) if n is None else n
    return machine.mbarrier(mbarriers.ARRIVE, place(space), a, typed(count), f"i32 {flags}")


ACQUIRING = ("acquire", "relaxed")


@mbarrier("test_wait", "d:pred, [a], state:u64", ACQUIRING)
@mbarrier("try_wait", "d:pred, [a], state:u64", ACQUIRING)
@mbarrier("try_wait", "d:pred, [a], state:u64, hint:u32", ACQUIRING)
def test_wait(machine, space, a, state):
    """Whether the phase of `state` is complete; the time that try_wait may take is none here."""
    return machine.test_mbarrier(place(space), a, state)


@mbarrier("test_wait.parity", "d:pred, [a], parity:u32", ACQUIRING)
@mbarrier("try_wait.parity", "d:pred, [a], parity:u32", ACQUIRING)
@mbarrier("try_wait.parity", "d:pred, [a], parity:u32, hint:u32", ACQUIRING)
def test_wait_parity(e, machine, space, a, parity):
    """Whether the phase of that parity, the current one or the one before, is complete."""
    phase = e.shl(e.convert(parity, U64), e.constant(mbarriers.PHASE_AT, U64))
    return machine.test_mbarrier(place(space), a, phase)


@barrier("mbarrier.pending_count.b64 d:u32, a:u64", section=MBARRIER)
def pending_count(e, a):
    """The arrivals that the phase was still waiting for."""
    return e.convert(e.and_(a, e.constant(mbarriers.MOST, U64)), U32)
