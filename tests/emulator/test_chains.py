"""Programmatic dependent launches: what a kernel sees before and after griddepcontrol.wait."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.chain import run_steps
from ptxbench.errors import MemoryFault

HEADER = ".version 8.1\n.target sm_90\n.address_size 64\n"


def kernel(name, body):
    """Each thread has %i, its number in the grid, and the address of its element of both arrays."""
    return f"""{HEADER}
.visible .entry {name}(.param .u64 from, .param .u64 to)
{{
    .reg .b32 %i, %cta, %value, %more;
    .reg .b64 %from, %to;
    mov.u32 %i, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mad.lo.u32 %i, %cta, 32, %i;
    ld.param.u64 %from, [from];
    ld.param.u64 %to, [to];
    mad.wide.u32 %from, %i, 4, %from;
    mad.wide.u32 %to, %i, 4, %to;
    {body}
    ret;
}}
"""


DOUBLE = kernel("double", "griddepcontrol.launch_dependents;\n ld.global.u32 %value, [%from];\n"
                " shl.b32 %value, %value, 1;\n st.global.u32 [%to], %value;")  # fmt: skip
WAIT, LOAD, STORE = "griddepcontrol.wait;\n", "ld.global.u32 %value, [%from];\n", "st.global.u32 [%to], %value;\n"


def chained(body, **more):
    """The outputs of DOUBLE, and of a kernel with `body` that reads them."""
    start, middle, end = np.arange(96, dtype=np.uint32), np.full(96, 5, np.uint32), np.full(96, 7, np.uint32)
    how = {"grid": 3, "block": 32, **more}
    results = emulator.chain([
        {"ptx": DOUBLE, "args": [start, middle], **how},
        {"ptx": kernel("next", body), "args": [middle, end], **how},
    ])  # fmt: skip
    assert len(results) == 2
    return middle.tolist(), end.tolist()


TWICE = list(range(0, 192, 2))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (WAIT + LOAD + STORE,                           TWICE),
        (LOAD + STORE,                                  [5] * 96),            # no wait: old data
        (LOAD + WAIT + STORE,                           [5] * 32 + TWICE[32:]),  # too late, in the first warp
        (LOAD + WAIT + "ld.global.u32 %value, [%from];\n" + STORE, TWICE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("more", [{}, {"sanitize": True}, {"placement": 3}])
def test_a_kernel_sees_the_launch_before_after_its_wait(body, expected, more):
    assert chained(body, **more) == (TWICE, expected)


@pytest.mark.parametrize("wait", ["", WAIT])
def test_the_second_launch_overwrites_the_first_if_it_waits(wait):
    """Every second element of the first launch's output is stored again."""
    body = (
        f"{wait} and.b32 %more, %i, 1;\n .reg .pred %p;\n setp.eq.u32 %p, %more, 1;\n @%p st.global.u32 [%from], 1;\n"
    )
    middle, end = chained(body)
    assert middle == [1 if i % 2 else 2 * i for i in range(96)]
    assert end == [7] * 96


def test_a_store_before_the_wait_is_overtaken_by_the_launch_before():
    middle, _ = chained("st.global.u32 [%from], 1;\n" + WAIT)
    assert middle == TWICE[:32] + [1] * 64


def test_in_a_launch_by_itself_the_wait_does_nothing():
    start, end = np.arange(96, dtype=np.uint32), np.zeros(96, np.uint32)
    emulator.run(kernel("next", LOAD + WAIT + STORE), grid=3, block=32, args=[start, end])
    assert end.tolist() == start.tolist()


def test_three_launches_of_a_chain_run_in_order():
    arrays = [np.full(96, 10 * k, np.uint32) for k in range(4)]
    step = kernel("more", WAIT + LOAD + "add.u32 %value, %value, 1;\n" + STORE + "griddepcontrol.launch_dependents;")
    emulator.chain([{"ptx": step, "grid": 3, "block": 32, "args": arrays[k : k + 2]} for k in range(3)])
    assert [set(array.tolist()) for array in arrays] == [{0}, {1}, {2}, {3}]


SUM = kernel("sum", """
    .shared .b32 cell;
    .reg .pred %first;
    .reg .b32 %thread;
    mov.u32 %thread, %tid.x;
    setp.eq.u32 %first, %thread, 0;
    BODY
    ld.global.u32 %value, [%from];
    st.global.u32 [%to], %value;
""")  # fmt: skip
FINDINGS = [
    ("griddepcontrol.wait;",                                         False),
    ("",                                                             True),
    ("ld.global.u32 %value, [%from];\n griddepcontrol.wait;",        True),
    ("st.global.u32 [%from], 9;\n griddepcontrol.wait;",             True),
    ("griddepcontrol.wait;\n st.global.u32 [%from], 9;",             False),
    ("atom.global.add.u32 %value, [%from], 9;\n griddepcontrol.wait;", True),
    ("@%first griddepcontrol.wait;",                                 True),    # the other lanes do not
    ("@%first griddepcontrol.wait;\n bar.warp.sync -1;",             False),
    ("@%first griddepcontrol.wait;\n bar.sync 0;",                   False),
    ("bar.sync 0;\n @%first griddepcontrol.wait;",                   True),
    ("ld.global.u32 %value, [%to];\n griddepcontrol.wait;",          False),   # this array is not of the launch before
]  # fmt: skip


@pytest.mark.parametrize(("body", "races"), FINDINGS)
def test_an_access_that_the_wait_does_not_order_after_the_launch_before_is_a_race(body, races):
    start, middle, end = np.arange(96, dtype=np.uint32), np.full(96, 5, np.uint32), np.full(96, 7, np.uint32)
    ptx = SUM.replace("BODY", body)
    _, result = emulator.chain([
        {"ptx": DOUBLE, "args": [start, middle], "grid": 3, "block": 32},
        {"ptx": ptx, "args": [middle, end], "grid": 3, "block": 32, "sanitize": True},
    ])  # fmt: skip
    kinds = {finding.kind for finding in result.findings}
    assert kinds == ({"race"} if races else set())
    if races:
        first = result.findings[0]
        assert "which the previous launch stores" in first.message
        assert "[%from]" in ptx.splitlines()[first.line - 1]


# ---- the launches of one kernel as one execution

BODY = """
    .reg .pred %last;
    .reg .b32 %k;
    ld.param.u32 %k, [k];
    setp.eq.u32 %last, %k, 2;
    WAIT
    mad.wide.u32 %from, %k, 384, %from;
    ld.global.u32 %value, [%from];
    @%last add.u32 %value, %value, 1;
    @%last ld.global.u32 %more, [total];
    @!%last mov.u32 %more, 0;
    add.u32 %value, %value, %more;
    st.global.u32 [%from + 384], %value;
    @!%last st.global.u32 [total], 5;
    mov.u32 %more, %k;
LOOP:
    sub.u32 %more, %more, 1;
    setp.gt.s32 %last, %more, 0;
    @%last bra LOOP;
"""
STEP = kernel("step", BODY).replace(".param .u64 to)", ".param .u64 to, .param .u32 k)")
STEP = STEP.replace(".visible", ".global .u32 total = 100;\n.visible")


def stepped(wait, launches, **more):
    """(the rows of the array, the execution) of a chain in which each launch copies a row to the next one."""
    rows = np.full((4, 96), 9, np.uint32)
    rows[0] = np.arange(96)
    steps = [[rows, None, np.uint32(k)] for k in launches]
    how = {"dependent": True, "grid": 3, "block": 32, **more}
    return rows, run_steps(STEP.replace("WAIT", wait), None, steps=steps, **how)


def test_counts_of_a_chain_are_those_of_its_launches_together():
    _, whole = stepped(WAIT, range(3))
    single = [stepped(WAIT, [k])[1] for k in range(3)]
    for name, value in whole.counters.items():
        if not name.endswith(("share", "per_request")):
            assert value == sum(one.counters[name] for one in single), name
    assert whole.counters["ptx_active_lane_share"] == pytest.approx(
        sum(one.counters["ptx_thread_instructions_on"] for one in single)
        / sum(32 * one.counters["ptx_warp_instructions"] for one in single)
    )
    (loop,) = whole.loops.values()
    assert loop == {1: 6, 2: 3}
    assert whole.by_line.keys() == whole.opcodes.keys() == single[2].by_line.keys()
    assert whole.changed == ("total",)


def test_the_module_keeps_its_variables_within_a_chain():
    rows, _ = stepped(WAIT, range(3))
    assert rows[1:].tolist() == [list(range(96)), list(range(96)), [i + 6 for i in range(96)]]


@pytest.mark.parametrize(("wait", "dependent", "row"), [(WAIT, True, 0), ("", True, 9), ("", False, 0)])
def test_a_step_without_a_wait_reads_old_data_only_if_it_is_dependent(wait, dependent, row):
    rows, execution = stepped(wait, range(2), dependent=dependent, sanitize=True)
    assert rows[2, 0] == row
    assert [finding.kind for finding in execution.findings] == (["race"] if row else [])


def test_an_error_names_the_launch_and_begins_with_the_line():
    with pytest.raises(MemoryFault, match=r"^line \d+: .* This is launch 3 of the chain, which begins with 0\.$"):
        stepped(WAIT, range(4))


def test_a_finding_of_several_launches_is_named_once():
    _, execution = stepped("", range(3), sanitize=True)
    assert len({finding.line for finding in execution.findings}) == len(execution.findings) == 1
