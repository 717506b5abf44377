"""Guard zones, argument packing and flush size: everything that the GPU backend decides without a device."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxbench import emulator, toolchain
from ptxbench.arrays import poison
from ptxbench.backends import buffers
from ptxbench.backends.buffers import GUARD_BYTES, ReadBack, check_untouched, damage, first_change, guard_zone
from ptxbench.errors import LaunchError, WrongResult
from ptxbench.pair import In, Launch, Out, Pair, Scalar, Scratch, f32, u32, ulps
from ptxbench.signature import read_headers
from ptxbench.tensor_map import TiledMap

N = 257

PAIR = Pair(
    purpose="",
    args=[In("x", f32, lambda n: (n,)), Out("y", f32, lambda n: (n,)), Scalar("n", u32, lambda n: n)],
    launch=lambda n: Launch(grid=1, block=n),
    reference=lambda x, n: {"y": x},
    tolerance=ulps(1),
    check_sizes=[{"n": N}],
    bench_sizes=[],
    flops=lambda n: 0,
)


@pytest.fixture
def arguments():
    return PAIR.make_arguments({"n": N}, seed=1)


@pytest.fixture
def left(arguments):
    """The buffers after a kernel that writes all of y and nothing else."""
    arrays = {"x": arguments["x"].copy(), "y": arguments["x"].copy()}
    return {
        name: ReadBack(guard_zone(i).copy(), array, guard_zone(i).copy())
        for i, (name, array) in enumerate(arrays.items())
    }


def check(arguments, left):
    check_untouched("copy.ptx", arguments, PAIR.outputs, left)


def test_a_kernel_that_writes_its_outputs_alone_passes(arguments, left):
    check(arguments, left)


def test_scratch_may_have_any_content_afterwards_but_not_its_guard_zones(arguments, left):
    pair = dataclasses.replace(PAIR, args=[*PAIR.args, Scratch("tickets", u32, lambda n: (3,), 7)])
    arguments = pair.make_arguments({"n": N}, seed=1)
    assert arguments["tickets"].tolist() == [7, 7, 7]
    zone = guard_zone(2)
    left["tickets"] = ReadBack(zone.copy(), np.array([99, 7, 0], u32), zone.copy())
    check_untouched("copy.ptx", arguments, pair.outputs, left)
    left["tickets"].after[0] ^= 1
    with pytest.raises(WrongResult, match="'tickets'"):
        check_untouched("copy.ptx", arguments, pair.outputs, left)


# array, side, first and last byte of the zone that the kernel overwrote, the byte that the message names
DAMAGE = [
    ("y", "after", 0, 3, 1028),             # one element past the end
    ("y", "after", 4092, 4095, 5120),       # the last element of the zone
    ("y", "before", 4092, 4095, -1),        # index -1: the byte nearest to the array is named
    ("y", "before", 0, 0, -4096),
    ("x", "after", 0, 0, 1028),             # past the end of an input
]  # fmt: skip


@pytest.mark.parametrize(("name", "side", "first", "last", "byte"), DAMAGE)
def test_a_write_into_a_guard_zone_is_reported_where_it_happened(arguments, left, name, side, first, last, byte):
    getattr(left[name], side)[first : last + 1] = 0
    with pytest.raises(WrongResult) as error:
        check(arguments, left)
    assert str(error.value) == (
        f"copy.ptx writes outside its outputs: byte {byte} of '{name}', which has 1028. Check its guard."
    )


def test_a_changed_input_is_reported_with_its_element(arguments, left):
    arguments["x"][3] = left["x"].data[3] = 0.5
    left["x"].data[3] = 7.0
    with pytest.raises(WrongResult) as error:
        check(arguments, left)
    assert str(error.value) == (
        "copy.ptx writes outside its outputs: element 3 of the input 'x' was 0.5 and is 7.0. Check its stores to 'x'."
    )


def test_an_input_is_compared_by_bits_so_that_nan_equals_itself_and_zero_has_a_sign():
    original = np.array([np.nan, 0.0, 1.0], np.float32)
    assert first_change(original, original.copy()) is None
    assert first_change(original, np.array([np.nan, -0.0, 1.0], np.float32)) == 1


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_zones_of_two_arrays_differ_in_every_half_word(one, other):
    same_pattern = one % buffers.PATTERNS == other % buffers.PATTERNS
    assert (guard_zone(one).view("<u2") == guard_zone(other).view("<u2")).all() == same_pattern


@given(st.integers(0, 300), st.sampled_from([np.float16, np.float32, np.float64]))
def test_a_zone_reads_as_nan_in_every_format_and_is_neither_zero_nor_poison(index, dtype):
    zone = guard_zone(index)
    assert zone.nbytes == GUARD_BYTES
    assert np.isnan(zone.view(dtype)).all()
    bfloat16 = zone.view("<u2").astype("<u4") << 16  # the upper half of an f32
    assert np.isnan(bfloat16.view(np.float32)).all()
    assert (zone.view("<u2") != 0xFFFF).all()


@given(st.integers(0, 2 * GUARD_BYTES - 1), st.integers(0, 5), st.integers(0, 40), st.integers(1, 255))
def test_any_single_byte_changed_in_a_zone_is_found(position, index, nbytes, change):
    remains = ReadBack(guard_zone(index).copy(), np.zeros(nbytes, np.uint8), guard_zone(index).copy())
    assert damage(remains, index) is None
    if position < GUARD_BYTES:
        remains.before[position] ^= change
        assert damage(remains, index) == position - GUARD_BYTES
    else:
        remains.after[position - GUARD_BYTES] ^= change
        assert damage(remains, index) == nbytes + position - GUARD_BYTES


def test_arguments_are_packed_in_signature_order_with_their_exact_sizes(arguments):
    packed = buffers.pack(arguments, {"y": 0x7F0000002000, "x": 0x7F0000001000})
    assert [*packed.values()] == [0x7F0000001000, 0x7F0000002000, N]
    assert [value.nbytes for value in packed.values()] == [8, 8, 4]


def test_a_tensor_map_is_packed_as_128_bytes_made_of_the_address_of_its_array():
    tiled = TiledMap("x", "f32", (N,), (), (16,), (1,))
    arguments = {"map_x": tiled, "x": np.zeros(N, f32)}

    def encode(tensor_map, address):
        assert (tensor_map, address) == (tiled, 0x7F0000001000)
        return np.void(bytes(range(128)))

    mapped, pointer = buffers.pack(arguments, {"x": 0x7F0000001000}, encode).values()
    assert mapped.tobytes() == bytes(range(128))
    assert pointer == 0x7F0000001000
    text = buffers.empty_kernel([*buffers.pack(arguments, {"x": 0}).values()])  # its map is not read
    assert toolchain.assembled_text(text, "sm_90")
    assert [(param.size_bytes, param.align) for param in read_headers(text)[0].params] == [(128, 64), (8, 8)]


@pytest.mark.parametrize(("value", "kind"), [(3, "int"), (0.5, "float"), ([1, 2], "list")])
def test_a_bare_number_is_refused_because_its_size_is_unknown(value, kind):
    with pytest.raises(LaunchError, match=f"Argument 'n' is a {kind}, .* Give it a NumPy dtype"):
        buffers.pack({"n": value}, {})


def test_an_array_of_equal_bytes_is_restored_by_a_fill():
    assert buffers.fill_byte(poison((3, 5), f32)) == buffers.POISON
    assert buffers.fill_byte(np.zeros(4, np.float32)) == 0
    assert buffers.fill_byte(np.full(3, 0x01010101, np.int32)) == 1
    assert buffers.fill_byte(np.array([-1, -1, 0], np.int32)) is None
    assert buffers.fill_byte(np.ones(4, np.float32)) is None


# L2 bytes, sectors
SWEEPS = [
    (0, 0),
    (32, 2),
    (40, 3),                                # two and a half sectors, rounded up
    (50 * 1024**2, 3_276_800),
]  # fmt: skip


@pytest.mark.parametrize(("l2_bytes", "sectors"), SWEEPS)
def test_the_sweep_reads_twice_the_cache(l2_bytes, sectors):
    assert buffers.sweep_sectors(l2_bytes) == sectors


def test_milliseconds_become_whole_nanoseconds():
    assert buffers.nanoseconds(0.051200) == 51200
    assert buffers.nanoseconds(float(np.float32(1.0005))) == 1000500


MIB = 1 << 20


@pytest.mark.parametrize(
    ("footprint", "l2", "free", "copies", "cold"),
    [
        (10 * MIB,  50 * MIB, 80 << 30, 16,  True),    # 15 other sets, 150 MiB, lie between two uses of one
        (200 * MIB, 50 * MIB, 80 << 30, 2,   True),    # one other is enough
        (4096,      50 * MIB, 80 << 30, 64,  False),   # a set too small to fill L2 with
        (10 * MIB,  50 * MIB, 80 * MIB, 2,   False),   # no more than a quarter of the free memory
        (10 * MIB,  50 * MIB, 0,        1,   False),
    ],
)  # fmt: skip
def test_the_launches_of_a_graph_rotate_over_that_many_sets_of_buffers(footprint, l2, free, copies, cold):
    assert buffers.rotation(footprint, l2, free) == (copies, cold)


def test_the_empty_kernel_takes_the_same_parameters_as_the_kernel():
    packed = (np.uint64(0), np.float32(1), np.uint8(1))
    assert ".visible .entry empty(.param .b64 p0, .param .b32 p1, .param .b8 p2)" in buffers.empty_kernel(packed)
    emulator.run(buffers.empty_kernel(packed), grid=1, block=32, args=[None, *packed[1:]])
