"""The pair q4q8_gemv.aos."""

import math
import struct

import numpy as np
import pytest

from tests.kernels.harness import PAIRS, build

ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]


def q4q8_gemv_aos(w, x, rows, blocks):
    def split(numbers, size):
        """Each block's scale and its further bytes."""
        for block in range(blocks):
            scale, *payload = struct.unpack(f"<e{size - 2}B", bytes(numbers[size * block : size * (block + 1)]))
            yield scale, payload

    def products(row):
        for (w_scale, nibbles), (x_scale, elements) in zip(split(row, 18), split(x, 34), strict=True):
            for k, element in enumerate(elements):
                weight = nibbles[k] % 16 if k < 16 else nibbles[k - 16] // 16
                yield w_scale * (weight - 8) * (x_scale * (element - 256 if element > 127 else element))

    return {"y": [math.fsum(products(row)) for row in w]}


REFERENCE = (q4q8_gemv_aos, {"rows": 3, "columns": 96})
REGISTERS = 40  # on sm_75 and sm_120, whose SMs hold fewer threads

MUTANTS = [
    ("q4q8_gemv.aos.ptx", "mov.b32 %q_4, {%q_4l, %q_4h}",      "mov.b32 %q_4, {%q_4h, %q_4l}"),
    ("q4q8_gemv.aos.ptx", "ld.global.nc.b16 %x_28h, [%x_at + 32]", "ld.global.nc.b16 %x_28h, [%x_at + 30]"),
    ("q4q8_gemv.aos.ptx", "ld.global.nc.b16 %w_half, [%w_at]", "ld.global.nc.b16 %w_half, [%w_at + 2]"),
    ("q4q8_gemv.aos.ptx", "mad.lo.u64 %w_at, %first, 18",      "mad.lo.u64 %w_at, %first, 16"),
    ("q4q8_gemv.aos.ptx", "add.u64 %x_at, %x_at, 1088",        "add.u64 %x_at, %x_at, 1024"),
    ("q4q8_gemv.aos.ptx", "lop3.b32 %w_24, %q_8",              "lop3.b32 %w_24, %up_8"),  # the low nibbles again
    ("q4q8_gemv.aos.ptx", "%sum, 16, 31, 0xffffffff",          "%sum, 8, 31, 0xffffffff"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ARCHS)
def test_no_load_is_wider_than_two_bytes_on_either_side(arch):
    """Of a block: 8 of W, 16 of x and both scales."""
    for source in PAIRS["q4q8_gemv.aos"].sources:
        sass = build(source, arch, "toolkit").report.sass
        loads = {opcode: count for opcode, count in sass.items() if opcode.startswith("LDG")}
        assert set(loads) == {"LDG.U16"}
        assert loads["LDG.U16"] / 26 == sass["IDP"] / 8 >= 1


@pytest.mark.parametrize("size", PAIRS["q4q8_gemv.aos"].pair.check_sizes, ids=str)
def test_both_layouts_hold_as_many_bytes(size):
    apart, together = PAIRS["q4q8_gemv"].pair, PAIRS["q4q8_gemv.aos"].pair
    assert apart.compulsory_bytes(size) == together.compulsory_bytes(size)
    assert apart.flops(**size) == together.flops(**size)


def test_the_scales_are_finite_and_far_from_zero():
    arguments = PAIRS["q4q8_gemv.aos"].pair.make_arguments({"rows": 9, "columns": 1056}, seed=1)
    for name, size in (("w", 18), ("x", 34)):
        scales = np.abs(arguments[name].reshape(-1, size)[:, :2].copy().view(np.float16))
        assert 0.004 < scales.min() < scales.max() < 0.05
