"""discard and prefetches: the memory after them, the sanitizer's findings, and the variables that a launch changes."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault

TEXT = """
.version 8.3
.target sm_90
.address_size 64
.global .u32 count;
.global .u32 table[4] = {{1, 2, 3}};
.global .u64 kept = count;
.extern .func (.param .b64 got) malloc(.param .b64 size);
.extern .func free(.param .b64 block);
.visible .entry hints(.param .u64 y)
{{
    .reg .u64 %y, %far, %other, %block;
    .reg .u32 %t;
    .reg .pred %p;
    .param .b64 size; .param .b64 got;
    ld.param.u64 %y, [y];
    add.u64 %far, %y, 1048576;
    {line}
    ret;
}}
"""
MALLOC = "st.param.b64 [size], 64; call (got), malloc, (size); ld.param.b64 %block, [got];"


def run(line, y=None, **more):
    y = np.zeros(64, np.uint32) if y is None else y
    return emulator.run(TEXT.format(line=line), grid=1, block=32, args=[y], **more)


def test_a_discard_is_a_store_of_anything_and_counts_as_none():
    y = np.arange(64, dtype=np.uint32)
    counters = run("discard.global.L2 [%y+128], 128;", y).counters
    assert y[:32].tolist() == list(range(32))
    assert (y[32:] != np.arange(32, 64)).all()
    assert counters["ptx_global_store_requests"] == counters["ptx_global_store_sectors"] == 0
    with pytest.raises(MemoryFault, match="discards byte 1048576 of 'y'"):
        run("discard.L2 [%far], 128;")


def test_a_discard_races_as_a_store_does():
    line = "mov.u32 %t, %tid.x; setp.ne.u32 %p, %t, 0; @%p bra R; discard.L2 [%y], 128; ret; R: ld.global.u32 %t, [%y];"
    kinds = {finding.kind for finding in run(line, sanitize=True).findings}
    assert kinds == {"race"}


def test_a_prefetch_outside_every_buffer_is_a_remark_and_no_finding():
    inside = "prefetch.global.L1 [%y]; prefetch.L2 [%y+252]; prefetchu.L1 [%y]; mov.u64 %other, table; "
    inside += "prefetch.L2 [%other]; cp.async.bulk.prefetch.L2.global [%y], 256; prefetch.local.L2 [%far]; "
    outside = "prefetch.global.L2 [%far]; prefetchu.L1 [%y+256]; cp.async.bulk.prefetch.L2.global [%y], 272;"
    execution = run(inside + outside, sanitize=True)
    assert execution.findings == ()
    assert [remark.message.split(" by ")[0] for remark in execution.remarks] == [
        "line 18: cp.async.bulk.prefetch.L2.global",
        "line 18: prefetch.global.L2",
        "line 18: prefetchu.L1",
    ]
    assert all(remark.message in execution.notes for remark in execution.remarks)
    assert run(outside).counters["ptx_global_load_requests"] == 0


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("red.global.add.u32 [count], 1;", ("count",)),
        ("st.global.u32 [table+4], 2;", ()),  # its old content
        ("st.global.u32 [table+12], 2;", ("table",)),
        ("ld.global.u64 %other, [kept]; st.u32 [%other], 5;", ("count",)),  # by an address from memory
        ("st.global.u32 [count], 1; st.global.u32 [count], 0;", ()),
        ("ld.global.u32 %t, [table]; st.global.u32 [%y], %t;", ()),
    ],
)
def test_the_variables_that_a_launch_changes_are_named(line, changed):
    assert run(line).changed == changed


def test_changed_variables_are_those_that_differ_from_the_launch_before():
    kept = {}
    assert run("st.global.u32 [count], 7;", kept=kept).changed == ("count",)
    assert run("st.global.u32 [count], 7;", kept=kept).changed == ()


def test_blocks_of_the_heap_that_are_not_freed_are_counted():
    assert run(MALLOC).unfreed == 32
    assert run(f"{MALLOC} st.param.b64 [size], %block; call free, (size);").unfreed == 0
