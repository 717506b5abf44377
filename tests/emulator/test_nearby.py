"""Loads of shared memory whose lanes read within 128 bytes (runtime/nearby.py), at any distances from lane 0."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxbench import emulator
from ptxbench.emulator.runtime import nearby
from ptxbench.emulator.runtime.access import load
from ptxbench.emulator.runtime.spaces import SPACES
from ptxbench.errors import MemoryFault
from tests.emulator.harness import program

BYTES = 512
"""Shared memory of the CTA."""


def loads(count):
    """A warp that fills its shared memory with 0, 1, 2, ... and loads `count` words at an address for each lane."""
    words = [f"%w{k}" for k in range(count)]
    vector = {1: "", 2: ".v2", 4: ".v4"}[count]
    listed = words[0] if count == 1 else "{" + ", ".join(words) + "}"
    return program(f"""
.visible .entry nearby_{count}(.param .u64 addresses, .param .u64 y)
{{
    .reg .u32 %lane, %at, %i, %word, %w<4>; .reg .u64 %in, %out; .reg .pred %more;
    .shared .align 16 .b8 buffer[{BYTES}];
    mov.u32 %lane, %tid.x;
    mov.u32 %i, %lane;
FILL:
    mul.lo.u32 %at, %i, 4;
    mov.u32 %word, buffer;
    add.u32 %word, %word, %at;
    st.shared.u32 [%word], %i;
    add.u32 %i, %i, 32;
    setp.lt.u32 %more, %i, {BYTES // 4};
    @%more bra FILL;
    bar.warp.sync -1;

    ld.param.u64 %in, [addresses];
    ld.param.u64 %out, [y];
    mad.wide.u32 %in, %lane, 4, %in;
    ld.global.u32 %at, [%in];
    mov.u32 %word, buffer;
    add.u32 %at, %at, %word;
    ld.shared{vector}.u32 {listed}, [%at];
    mad.wide.u32 %out, %lane, {4 * count}, %out;
    st.global{vector}.u32 [%out], {listed};
    ret;
}}
""")


def loaded(count, addresses):
    y = np.zeros((32, count), np.uint32)
    counters = emulator.run(loads(count), grid=1, block=32, args=[np.array(addresses, np.uint32), y]).counters
    return y, counters


def passes(count, places):
    """The wavefronts of the load, as docs/counters.md defines them."""
    slots = 32 // count
    total = 0
    for first in range(0, 32, slots):
        units = {place // (4 * count) for place in places[first : first + slots]}
        total += max(Counter(unit % slots for unit in units).values())
    return total


@st.composite
def addresses(draw):
    """The number of words of a load, and an aligned address for each lane, mostly near lane 0's."""
    count = draw(st.sampled_from([1, 2, 4]))
    size = 4 * count
    first = draw(st.integers(0, BYTES // size - 1))
    near = [k for k in range(first, first + 160 // size) if k < BYTES // size]
    place = st.sampled_from(near) if draw(st.integers(0, 3)) else st.integers(0, BYTES // size - 1)
    return count, [size * k for k in (first, *draw(st.lists(place, min_size=31, max_size=31)))]


@settings(max_examples=60, deadline=None)
@given(addresses())
def test_each_lane_gets_the_words_at_its_address(case):
    count, places = case
    y, counters = loaded(count, places)
    assert y.tolist() == [[place // 4 + k for k in range(count)] for place in places]
    assert counters["ptx_shared_load_requests"] == 1
    assert counters["ptx_shared_load_wavefronts"] == passes(count, places)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("last", [BYTES, BYTES - 2], ids=["past the end", "misaligned"])
def test_a_lane_with_a_bad_address_near_the_others_is_reported(count, last):
    with pytest.raises(MemoryFault, match="thread 31 of CTA 0"):
        loaded(count, [BYTES - 16] * 31 + [last])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_only_a_processor_with_permutations_gets_code_with_them(count):
    assert nearby.PERMUTE in load(SPACES["shared"], 4, count, permutes=True).text
    assert nearby.PERMUTE not in load(SPACES["shared"], 4, count).text
