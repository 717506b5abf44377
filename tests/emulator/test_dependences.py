"""The time that dependences delay a warp: what makes it longer, and what must not."""

import numpy as np
import pytest

from ptxbench import emulator

HEAD = """\
.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y)
{
    .reg .u64 %x, %y;
    .reg .u32 %i;
    .reg .f32 %a, %b, %c, %d, %sum, %next;
    .reg .pred %more;
    .shared .align 16 .b8 slab[64];
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    mov.f32 %sum, 0f00000000;
    mov.u32 %i, 0;
"""
TAIL = "    st.global.f32 [%y], %sum;\n    ret;\n}\n"
LOADS = "".join(f"    ld.global.nc.f32 %{name}, [%x + {4 * i}];\n" for i, name in enumerate("abcd"))


def counted(body, counter="ptx_dependent_cycles"):
    """The counter of a warp's launch of the body."""
    x, y = np.ones(64, np.float32), np.zeros(4, np.float32)
    return emulator.run(HEAD + body + TAIL, "k", grid=1, block=1, args=[x, y], threads=1).counters[counter]


def looped(body, before=""):
    """The body, ten times."""
    return f"{before}LOOP:\n{body}    add.u32 %i, %i, 1;\n    setp.lt.u32 %more, %i, 10;\n    @%more bra LOOP;\n"


CHAIN = "".join(f"    add.rn.f32 %sum, %sum, %{name};\n" for name in "abcd")
TREE = """\
    add.rn.f32 %a, %a, %b;
    add.rn.f32 %c, %c, %d;
    add.rn.f32 %a, %a, %c;
    add.rn.f32 %sum, %sum, %a;
"""
USED_AT_ONCE = "    ld.global.nc.f32 %next, [%x];\n    add.rn.f32 %sum, %sum, %next;\n"
USED_NEXT = "    add.rn.f32 %sum, %sum, %next;\n    ld.global.nc.f32 %next, [%x];\n"
PREFETCHED = "    ld.global.nc.f32 %next, [%x];\n"
WORK = "    fma.rn.f32 %d, %d, %d, %d;\n" * 100
COPY = "    cp.async.ca.shared.global [slab], [%x], 16;\n    cp.async.commit_group;\n"

# longer, shorter
PAIRS = {
    "a chain is longer than a tree": (LOADS + CHAIN, LOADS + TREE),
    "a load that is used in its round": (looped(USED_AT_ONCE + WORK), looped(USED_NEXT + WORK, PREFETCHED)),
    "loads behind stores": (
        "".join(f"    ld.global.f32 %{name}, [%x];\n    st.global.f32 [%y], %{name};\n" for name in "abcd"),
        LOADS.replace(".nc", "") + "".join(f"    st.global.f32 [%y], %{name};\n" for name in "abcd"),
    ),
    "a wait straight after the copy": (
        looped(COPY + "    cp.async.wait_group 0;\n" + WORK), looped("    cp.async.wait_group 0;\n" + COPY + WORK, COPY)
    ),
    "a copy less under way": (
        looped(COPY + "    cp.async.wait_group 0;\n" + WORK), looped(COPY + "    cp.async.wait_group 1;\n" + WORK, COPY)
    ),
    "sleep": ("    nanosleep.u32 1000;\n", "    nanosleep.u32 10;\n"),
    "a fence of the system": ("    membar.sys;\n", "    membar.cta;\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_longer_dependence_chains_count_more(name):
    longer, shorter = map(counted, PAIRS[name])
    assert longer > shorter
    if name != "a chain is longer than a tree":  # by more than the threshold of the gate
        assert longer > 1.1 * shorter


def test_the_order_of_independent_instructions_does_not_matter():
    lines = (LOADS + TREE).splitlines(keepends=True)
    assert counted("".join([*lines[3::-1], lines[5], lines[4], *lines[6:]])) == counted(LOADS + TREE)
    # ptxas moves a load forward to the point where its address is known
    late = "    ld.global.nc.f32 %a, [%x];\n    add.rn.f32 %sum, %sum, %a;\n"
    work = "    fma.rn.f32 %d, %b, %c, %d;\n" * 20
    early = late.splitlines(keepends=True)
    assert counted(work + late) == counted(early[0] + work + early[1])


def test_functions_within_loops_are_counted_separately():
    division = "    div.rn.f32 %sum, %sum, %a;\n"
    assert counted(looped(division), "ptx_loop_functions") == 10
    assert counted(looped("    ex2.approx.ftz.f32 %sum, %sum;\n"), "ptx_loop_functions") == 10
    assert counted(looped(CHAIN) + division, "ptx_loop_functions") == 0
