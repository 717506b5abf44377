"""PTX ISA, Control Flow Instructions, barriers and fences. translate.py carries out what `flow` says."""

from ptxbench.emulator.isa.table import Chapter

instruction = Chapter("Control Flow Instructions", counted="control")

BARRIER = "parallel-synchronization-and-communication-instructions-bar"


@instruction("bra{.uni} target", flow="branch", section="control-flow-instructions-bra",
             ignored={"uni": "a promise that the emulator does not need"})  # fmt: skip
def bra():
    """Lanes whose guard is true go to the label; the lowest program counter runs first."""


@instruction("brx.idx{.uni} a:u32, target", flow="switch", section="control-flow-instructions-brx-idx",
             ignored={"uni": "a promise that the emulator does not need"})  # fmt: skip
def brx_idx():
    """Each lane goes to the label that its index names."""


@instruction("ret{.uni} ", flow="exit", section="control-flow-instructions-ret",
             ignored={"uni": "a promise that the emulator does not need"})  # fmt: skip
@instruction("exit ", flow="exit", section="control-flow-instructions-exit")
def leave():
    """Lanes whose guard is true have ended."""


@instruction("bar{.cta}.sync a:b32", flow="barrier", counted="barrier", section=BARRIER,
             ignored={"cta": "the only scope there is"})  # fmt: skip
@instruction("barrier{.cta}.sync{.aligned} a:b32", flow="barrier", counted="barrier", section=BARRIER,
             ignored={"cta": "the only scope there is", "aligned": "a promise"})  # fmt: skip
def bar_sync():
    """Wait until every living lane of the CTA waits at this barrier."""


@instruction("membar.level ", level=("cta", "gl", "sys"), ignored={"level": "memory is always in order here"},
             section="parallel-synchronization-and-communication-instructions-membar")  # fmt: skip
def membar():
    """Nothing to wait for: warps run one after the other."""
