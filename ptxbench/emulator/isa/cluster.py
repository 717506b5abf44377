"""PTX ISA, clusters: addresses in the shared memory of other CTAs, the barrier of the cluster, asynchronous stores."""

from typing import Any

from ptxbench.emulator.isa.memory import IN_ORDER, registers, space_of
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime.context import RANK_BITS
from ptxbench.emulator.types import B32, U32, U64

instruction = Chapter("Data Movement and Conversion Instructions: mapa, getctarank", counted="move")
barrier = Chapter("Parallel Synchronization Instructions: barrier.cluster", counted="barrier")
sending = Chapter("Data Movement and Conversion Instructions: st.async, red.async", counted="async")

MAPA = "data-movement-and-conversion-instructions-mapa"
RANK = "data-movement-and-conversion-instructions-getctarank"
BARRIER = "parallel-synchronization-and-communication-instructions-barrier-cluster"
ST_ASYNC = "data-movement-and-conversion-instructions-st-async"
RED_ASYNC = "parallel-synchronization-and-communication-instructions-red-async"
MOST_RANK = (1 << 32 - RANK_BITS) - 1


@instruction("mapa{.space}.type d, a, b:u32", space=("shared::cluster",), type=("u32", "u64"), section=MAPA)
def mapa(e, ops, space, a, b, type):
    """The address of the same byte in the CTA of rank b. A rank that the cluster does not have is a bad address."""
    window = e.constant(0, type) if space else ops.window("shared", type)
    start = e.and_(e.sub(a, window), e.constant((1 << RANK_BITS) - 1, type))
    rank = e.convert(e.min(b, e.constant(MOST_RANK, U32)), type)
    return e.add(e.or_(start, e.shl(rank, e.constant(RANK_BITS, type))), window)


@instruction("getctarank{.space}.type d:u32, a", space=("shared::cluster",), type=("u32", "u64"), section=RANK)
def getctarank(e, ops, space, a, type):
    """The rank of the CTA that an address lies in."""
    window = e.constant(0, type) if space else ops.window("shared", type)
    return e.convert(e.shr(e.sub(a, window), e.constant(RANK_BITS, type)), U32)


ALIGNED = "a promise that the emulator does not need"


@barrier("barrier.cluster.arrive{.sem}{.aligned} ", sem=("release", "relaxed"), section=BARRIER,
         ignored={"sem": IN_ORDER, "aligned": ALIGNED})  # fmt: skip
def arrive(ops):
    """Arrive without waiting; a second arrival needs a wait before it."""
    ops.arrive_at_cluster()


@barrier("barrier.cluster.wait{.acquire}{.aligned} ", flow="cluster_wait", section=BARRIER,
         ignored={"acquire": IN_ORDER, "aligned": ALIGNED})  # fmt: skip
def wait():
    """Wait until all threads of the cluster that have not exited have arrived. (../control.py)"""


# ---- stores that complete bytes at an mbarrier

SPACES = ("shared::cluster", "shared::cta")
SINGLE = ("b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64")
STORED = (("", (*SINGLE, "b128")), (".v2", SINGLE), (".v4", tuple(name for name in SINGLE if "32" in name)))


def stores(body):
    """Decorator: the lines of st.async, with and without vectors."""
    for vec, kinds in STORED:
        more: dict[str, Any] = {"vec": (vec[1:],)} if vec else {}
        value = "{b}" if vec else "b"
        rest = f".mbarrier::complete_tx::bytes{'.vec' if vec else ''}.type [a], {value}, [c]"
        more |= {"type": kinds, "section": ST_ASYNC}
        sending(f"st.async{{.weak}}{{.space}}{rest}", space=SPACES, ignored={"weak": "the default"}, **more)(body)
        sending(f"st.async.scope.space{rest}", scope=("cluster",), space=("shared::cluster",),
                ignored={"scope": IN_ORDER}, **more)(body)  # fmt: skip
    return body


@stores
def st_async(ops, space, a, b, c, vec=None):
    """Done when a thread of the target's CTA tests the mbarrier unsuccessfully, which then expects fewer bytes."""
    values = ops.require_count(b, registers(vec)) if vec else (b,)
    ops.messages.send(space_of(space), a, values, c)


REDUCTIONS = (
    ("inc", ("u32",)),
    ("dec", ("u32",)),
    ("min", ("u32", "s32")),
    ("max", ("u32", "s32")),
    ("and", ("b32",)),
    ("or", ("b32",)),
    ("xor", ("b32",)),
    ("add", ("u32", "s32", "u64", "s64")),
)


def reductions(body):
    """Decorator: the lines of REDUCTIONS."""
    for op, kinds in REDUCTIONS:
        sending("red.async.relaxed.cluster{.space}.mbarrier::complete_tx::bytes.op.type [a], b, [c]",
                space=("shared::cluster",), op=(op,), type=kinds, section=RED_ASYNC)(body)  # fmt: skip
    return body


@reductions
def red_async(ops, space, op, a, b, c):
    """The same, with an update of the target."""
    ops.messages.send(space_of(space), a, (b,), c, op)


# ---- launches that cancel others: here none can be cancelled any more

cancel = Chapter("Parallel Synchronization Instructions: clusterlaunchcontrol", counted="async")
CANCEL = "parallel-synchronization-and-communication-instructions-clusterlaunchcontrol"
NO_CTA = 0xFFFFFFFF
"""What the coordinates of no CTA read as; the manual leaves them undefined."""


@cancel("clusterlaunchcontrol.try_cancel.async{.space}.mbarrier::complete_tx::bytes.b128 [a], [c]",
        space=("shared::cta",), section=f"{CANCEL}-try-cancel")  # fmt: skip
def try_cancel(e, ops, space, a, c):
    """The answer is that all CTAs have started. It comes like an asynchronous store of 16 bytes."""
    ops.messages.send(space_of(space), a, (e.constant(0, U64),) * 2, c)


@cancel("clusterlaunchcontrol.query_cancel.is_canceled.pred.b128 d:pred, a:b128", section=f"{CANCEL}-query-cancel")
def is_canceled(e, a):
    """Never, if the answer was read after its mbarrier."""
    return e.compare("ne", e.convert(a, U64), e.constant(0, U64))


@cancel("clusterlaunchcontrol.query_cancel.get_first_ctaid.v4.type.b128 {d}, a:b128", type=("b32",),
        section=f"{CANCEL}-query-cancel")  # fmt: skip
def first_ctaid(e):
    """Undefined for what was not cancelled; here numbers that no CTA has."""
    return (e.constant(NO_CTA, B32),) * 4


@cancel("clusterlaunchcontrol.query_cancel.axis.b32.b128 d:b32, a:b128", section=f"{CANCEL}-query-cancel",
        axis=tuple(f"get_first_ctaid::{axis}" for axis in "xyz"), ignored={"axis": "each is undefined"})  # fmt: skip
def first_ctaid_axis(e):
    return e.constant(NO_CTA, B32)
