"""Lanes that reach one instruction with different member masks: each group works and waits separately."""

import numpy as np
import pytest

from ptxbench import emulator
from tests.emulator.harness import program

LANES = np.arange(32)
EIGHTS = 0xFF << LANES // 8 * 8
PARITIES = np.where(LANES % 2, 0xAAAAAAAA, 0x55555555)


def kernel(name, body):
    """`body` computes %out from %lane, %x and the lane's %mask."""
    return program(f"""
.visible .entry {name}(.param .u64 masks, .param .u64 from, .param .u64 to)
{{
    .reg .u64 %masks, %from, %to;
    .reg .u32 %lane, %x, %mask, %out;
    .reg .pred %p, %odd, %late;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %masks, [masks];
    ld.param.u64 %from, [from];
    ld.param.u64 %to, [to];
    mad.wide.u32 %masks, %lane, 4, %masks;
    mad.wide.u32 %from, %lane, 4, %from;
    mad.wide.u32 %to, %lane, 4, %to;
    ld.global.u32 %mask, [%masks];
    ld.global.u32 %x, [%from];
    mov.u32 %out, 77;
    and.b32 %out, %x, 1;
    setp.ne.u32 %odd, %out, 0;
    {body}
    st.global.u32 [%to], %out;
    ret;
}}
""")


def run(text, masks, x):
    to = np.zeros(32, np.uint32)
    emulator.run(text, grid=1, block=32, args=[masks.astype(np.uint32), x.astype(np.uint32), to], fuel=10_000)
    return to


def members(masks, lane):
    return [other for other in range(32) if masks[lane] >> other & 1]


OPERATIONS = {
    "ballot": ("vote.sync.ballot.b32 %out, %odd, %mask;",
               lambda x, lane, group: sum(1 << other for other in group if x[other] & 1)),
    "any": ("vote.sync.any.pred %p, %odd, %mask;\n    selp.u32 %out, 1, 0, %p;",
            lambda x, lane, group: any(x[other] & 1 for other in group)),
    "all": ("vote.sync.all.pred %p, %odd, %mask;\n    selp.u32 %out, 1, 0, %p;",
            lambda x, lane, group: all(x[other] & 1 for other in group)),
    "redux": ("redux.sync.add.u32 %out, %x, %mask;", lambda x, lane, group: sum(x[other] for other in group)),
    "match_any": ("match.any.sync.b32 %out, %x, %mask;",
                  lambda x, lane, group: sum(1 << other for other in group if x[other] == x[lane])),
    "match_all": ("match.all.sync.b32 %out|%p, %x, %mask;",
                  lambda x, lane, group: sum(1 << o for o in group) if len({int(x[o]) for o in group}) == 1 else 0),
    "shuffle": ("shfl.sync.bfly.b32 %out, %x, 2, 0x1f, %mask;", lambda x, lane, group: x[lane ^ 2]),
}  # fmt: skip


@pytest.mark.parametrize("masks", [EIGHTS, PARITIES], ids=["eights", "parities"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_groups_at_one_instruction_do_not_see_each_other(operation, masks):
    body, expected = OPERATIONS[operation]
    x = np.random.default_rng(3).integers(0, 4, 32)
    x[8:16] = 1
    result = run(kernel(f"masks_{operation}", body), masks, x)
    assert result.tolist() == [int(expected(x, lane, members(masks, lane))) for lane in range(32)]


def test_a_complete_group_continues_while_another_waits_for_a_late_lane():
    text = kernel("late_lane", """
    setp.eq.u32 %late, %lane, 5;
    @%late bra LATE;
    bar.warp.sync %mask;
    bra JOINED;
LATE:
    add.u32 %x, %x, 0;
    bar.warp.sync %mask;
JOINED:
    add.u32 %out, %x, 1;""")  # fmt: skip
    assert run(text, EIGHTS, LANES).tolist() == (LANES + 1).tolist()


def test_lanes_that_wait_are_not_freed_by_lanes_whose_guard_is_false():
    """Lanes 16 and above execute the guarded vote first; those below wait for lane 3, which is late."""
    text = kernel("false_guard", """
    setp.lt.u32 %p, %lane, 16;
    setp.eq.u32 %late, %lane, 3;
    @!%p bra VOTE;
    @!%late bra VOTE;
    mov.u32 %x, 1;
    mov.u32 %out, 0;
    setp.ne.u32 %odd, %x, 0;
    bra VOTE;
VOTE:
    @%p vote.sync.ballot.b32 %out, %odd, %mask;""")  # fmt: skip
    result = run(text, np.full(32, 0xFFFF), np.zeros(32))
    assert result.tolist() == [8] * 16 + [0] * 16


@pytest.mark.parametrize("body", [
    "redux.sync.add.u32 %out, %x, 0xff;",
    "vote.sync.ballot.b32 %out, %odd, 0xff;",
    "shfl.sync.bfly.b32 %out, %x, 1, 31, 0xff;",
    "bar.warp.sync 0xff;",
    "elect.sync %out|%p, 0xff;",
])  # fmt: skip
def test_a_lane_that_is_not_in_the_mask_it_names_is_found(body):
    """On a GPU this sum may be correct, but it is undefined."""

    def findings(lanes):
        name = f"outside_{body.split('.')[0]}_{lanes}"
        guarded = f"setp.ge.u32 %late, %lane, {lanes};\n    @%late bra OUT;\n    {body}\nOUT:"
        arguments = [np.zeros(32, np.uint32) for _ in range(3)]
        return emulator.run(kernel(name, guarded), grid=1, block=32, args=arguments, sanitize=True).findings

    (finding,) = findings(32)
    assert finding.kind == "member-mask"
    assert "by thread 8 of CTA 0 is not in the member mask of this instruction" in finding.message
    assert findings(8) == ()


@pytest.mark.parametrize(("name", "threads", "clamp", "takes", "stores", "found"), [
    ("all_lanes", 32, "31", "", 32, 0),
    ("unused", 24, "31", "", 8, 0),  # nothing uses the sums of lanes 8 to 15
    ("used", 24, "31", "", 9, 1),
    ("used_computed", 24, "%mask", "", 9, 1),
    ("clamped", 24, "23", "@%p", 9, 0),
])  # fmt: skip
def test_a_value_of_a_lane_that_does_not_exist_is_found_where_a_result_depends_on_it(
    name, threads, clamp, takes, stores, found
):
    body = f"""
    shfl.sync.down.b32 %out|%p, %x, 16, {clamp}, 0xffffffff;
    {takes} add.u32 %x, %x, %out;
    setp.lt.u32 %late, %lane, {stores};
    selp.u32 %out, %x, 0, %late;"""
    arguments = [np.full(32, 31, np.uint32), np.arange(32, dtype=np.uint32), np.zeros(32, np.uint32)]
    text = kernel(f"sum_of_warp_{name}", body)
    execution = emulator.run(text, grid=1, block=threads, args=arguments, sanitize=True)
    assert len(execution.findings) == found
    for finding in execution.findings:
        assert finding.kind == "member-mask"
        assert "shfl.sync.down.b32 by thread 8 of CTA 0 reads a lane that does not execute it" in finding.message


def test_an_instruction_outside_its_mask_is_named_where_a_loop_begins_with_it():
    text = kernel("outside_at_loop", """
    mov.u32 %out, 0;
AGAIN:
    shfl.sync.bfly.b32 %x, %x, 1, 31, 0xff;
    add.u32 %out, %out, 1;
    setp.lt.u32 %p, %out, 2;
    @%p bra AGAIN;""")  # fmt: skip
    arguments = [np.zeros(32, np.uint32) for _ in range(3)]
    (finding,) = emulator.run(text, grid=1, block=32, args=arguments, sanitize=True).findings
    assert finding.message.startswith(f"line {finding.line}: shfl.sync.bfly.b32 by thread 8")
    assert "shfl" in text.splitlines()[finding.line - 1]
