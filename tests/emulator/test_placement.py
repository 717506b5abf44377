"""Launches with arrays at other addresses, and with the module state of an earlier launch."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault

ADDRESSES = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry addresses(.param .u64 a, .param .u64 b)
{
    .reg .u64 %a, %b;
    ld.param.u64 %a, [a];
    ld.param.u64 %b, [b];
    st.global.u64 [%a], %a;
    st.global.u64 [%b], %b;
    ret;
}
"""

COUNTS = """
.version 6.3
.target sm_75
.address_size 64
.global .u32 launches = 3;
.visible .entry counts(.param .u64 out)
{
    .reg .u64 %out;
    .reg .u32 %n;
    ld.param.u64 %out, [out];
    ld.global.u32 %n, [launches];
    add.u32 %n, %n, 1;
    st.global.u32 [launches], %n;
    st.global.u32 [%out], %n;
    ret;
}
"""

VARIABLES = """
.version 6.3
.target sm_75
.address_size 64
.global .u32 first;
DECLARED
.visible .entry variables(.param .u64 a, .param .u64 b)
{
    .reg .u64 %to, %at;
    ld.param.u64 %to, [a];
    mov.u64 %at, first;
    st.global.u64 [%to], %at;
    ld.param.u64 %to, [b];
    mov.u64 %at, second;
    st.global.u64 [%to], %at;
    ret;
}
"""


def addresses(placement=None, ptx=ADDRESSES):
    a, b = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
    emulator.run(ptx, grid=1, block=1, args=[a, b], placement=placement)
    return int(a[0]), int(b[0])


def test_without_a_placement_arrays_lie_at_the_same_addresses_every_time():
    assert addresses() == addresses()


def test_placements_give_other_addresses_orders_and_distances_each_aligned():
    placed = [addresses(seed) for seed in range(8)]
    assert len(set(placed)) == 8
    assert {a < b for a, b in placed} == {True, False}
    assert len({abs(a - b) for a, b in placed}) > 4
    assert all(address % 256 == 0 for pair in placed for address in pair)
    assert addresses(3) == placed[3]


def test_every_fourth_placement_has_the_reverse_order():
    """Otherwise three random orders of two arrays would be the usual one with a probability of 1/8."""
    a, b = addresses()
    assert a < b
    assert all(a > b for a, b in map(addresses, (0, 4, 1 << 40)))


def test_arrays_that_are_one_share_their_address_wherever_they_lie():
    one = np.zeros(1, np.uint64)
    emulator.run(ADDRESSES, grid=1, block=1, args=[one, one], placement=5)
    assert one[0] != addresses()[0]


def test_the_address_of_a_variable_of_the_module_varies_in_steps_of_256_bytes():
    """As that of an array does: a GPU promises no more than the alignment."""
    ptx = VARIABLES.replace("DECLARED", ".global .u32 second;")
    placed = [addresses(seed, ptx) for seed in range(16)]
    assert len({first % 4096 for first, _ in placed}) > 8
    assert all(first % 256 == 0 for first, _ in placed)


@pytest.mark.parametrize("alignment", [512, 4096, 65536])
def test_variables_of_the_module_are_aligned_as_declared_wherever_they_lie(alignment):
    ptx = VARIABLES.replace("DECLARED", f".global .align {alignment} .u32 second;")
    placed = [addresses(seed, ptx) for seed in (None, *range(8))]
    assert len(set(placed)) > 2
    assert all(second % alignment == 0 for _, second in placed)


CALLS = """
.version 6.3
.target sm_75
.address_size 64
.func (.reg .u32 y) twice(.reg .u32 x) { add.u32 y, x, x; ret; }
.func (.reg .u32 y) thrice(.reg .u32 x) { mul.lo.u32 y, x, 3; ret; }
.global .u64 table[2] = { twice, thrice };
.visible .entry calls(.param .u64 a, .param .u64 b)
{
    .reg .u64 %to, %f, %g;
    .reg .u32 %y;
    ways: .callprototype (.reg .u32 _) _ (.reg .u32 _);
    ld.param.u64 %to, [a];
    mov.u64 %f, twice;
    st.global.u64 [%to], %f;
    call (%y), %f, (4), ways;
    ld.global.u64 %g, [table+8];
    call (%y), %g, (%y), ways;
    ld.param.u64 %to, [b];
    st.global.u32 [%to], %y;
    ret;
}
"""


def test_addresses_of_functions_vary_and_are_called_wherever_they_are():
    called = [addresses(seed, CALLS) for seed in (None, *range(8))]
    assert {result for _, result in called} == {24}
    assert len({address for address, _ in called}) == 9
    assert all(address % 128 == 0 for address, _ in called)


def test_an_access_past_an_array_is_found_wherever_it_lies():
    for seed in range(3):
        with pytest.raises(MemoryFault, match="byte 8 of 'a', which has 8"):
            addresses(seed, ADDRESSES.replace("[%a], %a", "[%a+8], %a"))


def counts(kept):
    out = np.zeros(1, np.uint32)
    emulator.run(COUNTS, grid=1, block=1, args=[out], kept=kept)
    return int(out[0])


def test_variables_of_the_module_keep_their_values_between_launches_only_if_asked():
    assert [counts(None), counts(None)] == [4, 4]
    kept = {}
    assert [counts(kept), counts(kept), counts({})] == [4, 5, 4]
    assert kept == {"launches": b"\5\0\0\0"}
