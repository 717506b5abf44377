"""Where the turn of a warp may end, so that other threads come between two of its accesses."""

import pytest

from ptxbench.emulator.analysis import analyse
from ptxbench.emulator.parse import choose, parse

KERNEL = """.version 8.7
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 x)
{
    .reg .u64 %x;
    .reg .u32 %n, %m;
    .reg .pred %p;
    .shared .align 16 .b8 tile[256];
    .local .align 8 .b8 own[8];
    ld.param.u64 %x, [x];
    setp.eq.u64 %p, %x, 0;
BODY
    ret;
}
"""
FIRST = KERNEL[: KERNEL.index("BODY")].count("\n") + 1


def pauses(*body):
    """For each instruction at which the turn may end, by its number in the body: why."""
    module = parse(KERNEL.replace("BODY", "\n".join(body)))
    analysis = analyse(module, choose(module, "k"))
    found = {}
    for block in analysis.blocks:
        if block.loop_head:
            reasons = [name for name in ("after_others", "announces") if getattr(block, name)]
            found[analysis.steps[block.first].instruction.line - FIRST] = " ".join(reasons) or "pause"
    return found


LOAD, STORE = "ld.relaxed.gpu.global.u32 %n, [%x];", "st.relaxed.gpu.global.u32 [%x], %n;"
OTHER_STORE = "st.relaxed.gpu.global.u32 [%x+8], %n;"
UPDATE, TICKET = "red.global.add.u32 [%x], 1;", "atom.global.add.u32 %n, [%x+4], 1;"
USE = "st.global.u32 [%x+8], %n;"
BRANCH = "@%p bra NEXT; NEXT:"

ROWS = [
    # stores that others may wait for, and swaps
    ((STORE,),                                                              {0: "pause"}),
    (("st.volatile.global.u32 [%x], %n;",),                                 {0: "pause"}),
    (("st.release.gpu.global.u32 [%x], %n;",),                              {0: "pause"}),
    (("st.mmio.relaxed.sys.global.u32 [%x], %n;",),                         {0: "pause"}),
    (("st.volatile.shared.u32 [tile], %n;",),                               {0: "pause"}),
    (("st.volatile.local.u32 [own], %n;",),                                 {}),
    (("st.global.u32 [%x], %n;",),                                          {}),
    (("atom.global.exch.b32 %n, [%x], 1;",),                                {0: "after_others"}),
    (("atom.shared.cas.b32 %n, [tile], 0, 1;",),                            {0: "after_others"}),
    # a value that is loaded before or after its flag
    ((LOAD, LOAD),                                                          {1: "after_others"}),
    ((LOAD, "ld.acquire.gpu.global.u32 %m, [%x+4];"),                       {1: "after_others"}),
    ((LOAD, BRANCH, LOAD),                                                  {}),
    ((LOAD, "ld.global.u32 %m, [%x+4];"),                                   {}),
    ((LOAD, "@%p bra END;", LOAD, "END:"),                                  {}),
    # updates by a load and a store
    ((LOAD, "add.u32 %n, %n, 1;", STORE),                                   {2: "after_others"}),
    ((LOAD, OTHER_STORE),                                                   {1: "after_others"}),
    ((LOAD, BRANCH, STORE),                                                 {2: "after_others"}),
    ((LOAD, BRANCH, OTHER_STORE),                                           {2: "pause"}),
    # tickets that are drawn after an update
    ((UPDATE, TICKET, USE),                                                 {1: "announces"}),
    ((TICKET, TICKET, USE),                                                 {1: "announces"}),
    ((STORE, TICKET, USE),                                                  {0: "pause", 1: "announces"}),
    (("st.global.u32 [%x], 1;", TICKET, USE),                               {}),
    (("red.shared.add.u32 [tile], 1;", TICKET, USE),                        {}),
    ((UPDATE, "bar.sync 0;", TICKET, USE),                                  {}),
    ((UPDATE, "atom.global.add.u32 %m, [%x+4], 1;"),                        {}),
    ((UPDATE, "atom.global.exch.b32 %n, [%x+4], 1;", USE),                  {1: "after_others"}),
    # what is loaded after an update, such as the generation of a barrier of the grid
    ((UPDATE, LOAD),                                                        {1: "announces"}),
    ((UPDATE, LOAD, LOAD),                                                  {1: "announces", 2: "after_others"}),
    ((UPDATE, BRANCH, LOAD),                                                {}),
    (("red.shared.add.u32 [tile], 1;", LOAD),                               {}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), ROWS, ids=[" ".join(body)[:80] for body, _ in ROWS])
def test_the_turn_of_a_warp_may_end_where_others_can_change_the_result(body, expected):
    assert pauses(*body) == expected
