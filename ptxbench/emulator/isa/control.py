"""PTX ISA, Control Flow Instructions, barriers and fences. ../control.py implements the values of `flow`."""

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime.barriers import ALL_TRUE, GOES_ON
from ptxbench.emulator.types import U32

instruction = Chapter("Control Flow Instructions", counted="control")

FENCE = "parallel-synchronization-and-communication-instructions-membar"
IN_ORDER = "memory is always in order here"
BARRIER = "parallel-synchronization-and-communication-instructions-bar"


@instruction("bra{.uni} target", flow="branch", section="control-flow-instructions-bra",
             ignored={"uni": "a promise, which the sanitizer checks"})  # fmt: skip
def bra():
    """Lanes whose guard is true go to the label; the lowest program counter runs first."""


@instruction("brx.idx{.uni} a:u32, target", flow="switch", section="control-flow-instructions-brx-idx",
             ignored={"uni": "a promise, which the sanitizer checks"})  # fmt: skip
def brx_idx():
    """Each lane goes to the label that its index names."""


@instruction("ret{.uni} ", flow="exit", section="control-flow-instructions-ret",
             ignored={"uni": "a promise, which the sanitizer checks"})  # fmt: skip
@instruction("exit ", flow="exit", section="control-flow-instructions-exit")
def leave():
    """Lanes whose guard is true exit."""


CTA = {"cta": "the only scope there is", "aligned": "a promise that the emulator does not need"}


def barrier(line, operands, **more):
    """Decorator: the line, such as `sync` or `red.popc .u32`, under both names of the instruction."""

    def register(body):
        names = {"bar{.cta}": "", "barrier{.cta}": "{.aligned}"}
        for name, aligned in names.items():
            action, _, kind = line.partition(" ")
            ignored = {key: why for key, why in CTA.items() if f"{{.{key}}}" in name + aligned}
            instruction(
                f"{name}.{action}{aligned}{kind} {operands}", counted="barrier", section=BARRIER,
                ignored=ignored, **more
            )(body)  # fmt: skip
        return body

    return register


@barrier("sync", "a:u32", flow="barrier")
@barrier("sync", "a:u32, b:u32", flow="barrier")
def bar_sync():
    """Wait until b threads, or all that have not exited, have reached barrier a. (../control.py)"""


@barrier("arrive", "a:u32, b:u32")
def bar_arrive(ops, a, b):
    """Arrive at the barrier without waiting."""
    ops.arrive(a, b, ops.active, GOES_ON)


@barrier("red.popc .u32", "d:u32, a:u32, c:pred", flow="barrier_reduction")
@barrier("red.popc .u32", "d:u32, a:u32, b:u32, c:pred", flow="barrier_reduction")
def bar_red_popc(e, ops):
    """How many lanes had a true predicate; executed again when all lanes have arrived."""
    return e.and_(ops.barrier_answer(), e.constant(ALL_TRUE - 1, U32))


@barrier("red.op .pred", "d:pred, a:u32, c:pred", op=("and", "or"), flow="barrier_reduction")
@barrier("red.op .pred", "d:pred, a:u32, b:u32, c:pred", op=("and", "or"), flow="barrier_reduction")
def bar_red(e, ops, op):
    bits = ALL_TRUE if op == "and" else ALL_TRUE - 1
    return e.compare("ne", e.and_(ops.barrier_answer(), e.constant(bits, U32)), e.constant(0, U32))


# ---- fences


def fence(syntax, **sets):
    return instruction(syntax, section=FENCE, ignored=dict.fromkeys(sets, IN_ORDER), **sets)


SCOPES = ("cta", "cluster", "gpu", "sys")


@fence("membar.level ", level=("cta", "gl", "sys"))
@fence("membar.proxy.kind ", kind=("alias", "async"))
@fence("fence{.sem}.scope ", sem=("acq_rel", "sc", "acquire", "release"), scope=SCOPES)
@fence("fence.acquire.sync_restrict::shared::cluster.cluster ")
@fence("fence.release.sync_restrict::shared::cta.cluster ")
@fence("fence.mbarrier_init.release.cluster ")
@fence("fence.proxy.kind ", kind=("alias", "async", "async.global", "async.shared::cta", "async.shared::cluster"))
@fence("fence.proxy.async::generic.acquire.sync_restrict::shared::cluster.cluster ")
@fence("fence.proxy.async::generic.release.sync_restrict::shared::cta.cluster ")
def membar():
    """No effect: warps run one after the other."""


# ---- no effect inside the emulated machine


@instruction("nanosleep.u32 a", section="miscellaneous-instructions-nanosleep")
def nanosleep(ops):
    """The warp's turn ends at its next loop: others run while it sleeps."""
    ops.end_turn()


@instruction("trap ", section="miscellaneous-instructions-trap")
def trap(ops):
    """The launch ends as a KernelTrap."""
    ops.trap()


@instruction("brkpt ", section="miscellaneous-instructions-brkpt")
def brkpt():
    """No effect: the emulator has no debugger."""


@instruction("pmevent event:u32", section="miscellaneous-instructions-pmevent")
@instruction("pmevent.mask events:u32", section="miscellaneous-instructions-pmevent")
def pmevent():
    """No effect: the emulator has no profiler events."""


GRIDS = "parallel-synchronization-and-communication-instructions-griddepcontrol"


@instruction("griddepcontrol.wait ", section=GRIDS)
def griddepcontrol_wait(ops):
    """In a chain of launches, the stores of the previous launch are visible from here on; else no effect."""
    ops.wait_for_grid()


@instruction("griddepcontrol.launch_dependents ", section=GRIDS)
def griddepcontrol_launch_dependents():
    """No effect: in a chain, the next launch always sees memory as it was before this one."""


@instruction("setmaxnreg.action.sync.aligned.u32 registers", action=("inc", "dec"), flow="register_pool",
             ignored={"action": "the wait at the start of its block has done this (../register_pool.py)"},
             section="miscellaneous-instructions-setmaxnreg")  # fmt: skip
def setmaxnreg():
    """.dec gives registers to the pool of the CTA; .inc waits until the pool has enough."""
