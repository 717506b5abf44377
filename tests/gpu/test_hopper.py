"""What only a GPU of Hopper can show about the emulator: bits of tensor maps, fills, clusters, sums of wgmma.

On the simulated device the emulator answers, so that these tests are run everywhere.
"""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.arrays import poison
from ptxbench.emulator import tensor_maps
from ptxbench.pair import Launch, f16, u32
from ptxbench.tensor_map import TiledMap
from tests.emulator.test_matrix import patterns
from tests.emulator.test_warpgroup import B_AT, BITS, TILE, Operand, kernel, opcode_of, words_of

PTX = Path(__file__).with_name("hopper")
UNKNOWN = 0b1111 << 64 | 1 << 85 | 0x1FF << 431
"""Bits that only the driver knows: the mode, the flag for small tensors, and fields of other modes."""


@pytest.fixture
def hopper(gpu):
    """The device, if it is one that this file is about. Another has nothing to say."""
    return gpu if gpu.device().sm == "sm_90" else None


def launched(gpu, path, entry, how, arguments, outputs, arch="sm_90"):
    built = toolchain.build(path, language="ptx", variant="ptx", entry=entry, arch=arch)
    return gpu.run(built, how, arguments, outputs).outputs


MAPS = [
    *(TiledMap("x", "f16", (64, 40), (128,), (16, 8), (1, 1), l2_promotion=size) for size in (0, 64, 128, 256)),
    *(TiledMap("x", "f16", (64, 40), (128,), (swizzle // 2, 8), (1, 1), swizzle=swizzle) for swizzle in (32, 64, 128)),
    *(TiledMap("x", kind, (64, 40), (512,), (16, 8), (1, 1)) for kind in ("u8", "s32", "f32", "bf16", "f64", "s64")),
    TiledMap("x", "f16", (64, 40), (128,), (16, 8), (2, 1)),  # a step in dimension 0
    TiledMap("x", "f16", (64, 40, 3, 2, 9), (128, 5120, 15360, 30720), (16, 4, 1, 2, 1), (1, 2, 3, 1, 8), fill="nan"),
]  # fmt: skip


def test_the_driver_encodes_tensor_maps_as_the_emulator_does(hopper):
    address = 0x7F0000001000
    for tiled in MAPS if hopper else ():
        theirs = int.from_bytes(hopper.launcher.encode(tiled, address).tobytes(), "little")
        ours = int.from_bytes(tensor_maps.encode(tiled, address), "little")
        assert hex((theirs ^ ours) & (1 << 480) - 1 & ~UNKNOWN) == "0x0", tiled


def boxes(gpu, start, steps=(1, 1)):
    """The two boxes at `start`, as bits: outside the tensor zeros and NaN."""
    array = np.arange(40 * 64, dtype=u32).astype(f16).reshape(40, 64)
    zeros, nan = (TiledMap("a", "f16", (60, 39), (128,), (16, 8), steps, fill=fill) for fill in ("zeros", "nan"))
    arguments = {
        "map_zeros": zeros, "map_nan": nan, "a": array, "out": poison((2, 8, 16), f16), "x": np.int32(start[0]),
        "y": np.int32(start[1]),
    }  # fmt: skip
    return array, launched(gpu, PTX / "box.ptx", "box", Launch(1, 32), arguments, ("out",))["out"].view(np.uint16)


def test_elements_outside_a_tensor_are_zeros_or_the_nan_of_the_emulator(hopper):
    for start in ((8, 3), (-5, -2), (52, 35), (200, 0)) if hopper else ():
        array, (zeros, nan) = boxes(hopper, start)
        columns, rows = start[0] + np.arange(16), start[1] + np.arange(8)
        inside = np.outer((rows >= 0) & (rows < 39), (columns >= 0) & (columns < 60))
        values = array.view(np.uint16)[np.ix_(rows % 40, columns % 64)]
        assert zeros.tolist() == np.where(inside, values, 0).tolist(), start
        assert nan.tolist() == np.where(inside, values, 0x7FFF).tolist(), start


def test_a_step_in_dimension_0_is_ignored(hopper):
    if hopper:
        array, (zeros, _) = boxes(hopper, (8, 3), (2, 1))
        assert zeros.tolist() == array.view(np.uint16)[3:11, 8:24].tolist()


def test_ctas_of_a_cluster_reach_each_other(hopper):
    for size in (1, 2, 8) if hopper else ():
        how = Launch(16, 32, cluster=size)
        out = launched(hopper, PTX / "ranks.ptx", "ranks", how, {"out": poison((16,), u32)}, ("out",))["out"]
        assert out.tolist() == [100 * ((b + 1) % size) + b % size for b in range(16)]


@pytest.mark.parametrize("types", ["f32.f16.f16", "f16.f16.f16", "f32.tf32.tf32", "f32.e4m3.e5m2"])
def test_wgmma_has_the_sums_of_the_emulator(hopper, tmp_path, types):
    """Any bits, so that terms that are cut, rounding and NaN matter."""
    if not hopper:
        return
    d_kind, a_kind, b_kind = types.split(".")
    k = 256 // BITS[a_kind]
    entry, path = f"on_a_gpu_{types.replace('.', '_')}", tmp_path / "wgmma.ptx"
    path.write_text(kernel(opcode_of(types, 8), more=", 1, 1" + ", 0, 0" * (k == 16), name=entry))
    draw, image = np.random.default_rng(8), np.full(TILE, 0xFF, np.uint8)
    operands = [Operand(0, 64), Operand(B_AT, 8)]
    for operand, rows, kind in zip(operands, (64, 8), (a_kind, b_kind), strict=True):
        operand.fill(image, words_of(patterns(draw, (rows, k), kind, False), kind))
    d = draw.integers(0, 1 << 32, (128, 2 if d_kind == "f16" else 4), u32)
    descriptors = [np.uint64(operand.descriptor) for operand in operands]
    d_emulated = d.copy()
    emulated = [image, np.zeros((128, 4), u32), d_emulated, *descriptors]
    emulator.run(path.read_text(), grid=1, block=128, args=emulated, arch="sm_90a")
    arguments = dict(zip(("image", "a", "d", "da", "db"), [*emulated[:2], d, *descriptors], strict=True))
    sums = launched(hopper, path, entry, Launch(1, 128), arguments, ("d",), "sm_90a")["d"]
    assert not np.array_equal(sums, d)
    assert np.array_equal(sums, d_emulated)
