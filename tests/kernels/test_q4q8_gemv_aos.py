"""The pair q4q8_gemv.aos."""

import math
import struct

import numpy as np
import pytest

from tests.kernels.harness import PAIRS, count, reports

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
REGISTERS = 64  # the words of four rows, and two addresses a row
SAME_BITS = False  # cuda.four adds up in another order

MUTANTS = [
    ("q4q8_gemv.aos.ptx", "shf.r.wrap.b32 %a_4, %a_word1, %a_word2", "shf.r.wrap.b32 %a_4, %a_word2, %a_word1"),
    ("q4q8_gemv.aos.ptx", "ld.global.nc.b32 %x_word7, [%x_at + 28]", "ld.global.nc.b32 %x_word7, [%x_at + 24]"),
    ("q4q8_gemv.aos.ptx", "selp.b32 %b_scale_bits, %b_word0",   "selp.b32 %b_scale_bits, %b_word1"),
    ("q4q8_gemv.aos.ptx", "mad.lo.u64 %c_block, %c_first, 18",  "mad.lo.u64 %c_block, %c_first, 16"),
    ("q4q8_gemv.aos.ptx", "@%x_even add.u64 %x_half_at, %x_block, 32", "@%x_even add.u64 %x_half_at, %x_block, 30"),
    ("q4q8_gemv.aos.ptx", "add.u64 %x_at, %x_at, 1088",         "add.u64 %x_at, %x_at, 1024"),
    ("q4q8_gemv.aos.ptx", "lop3.b32 %d_high_8, %d_8",           "lop3.b32 %d_high_8, %d_low_8"),
    ("q4q8_gemv.aos.ptx", "%sum, 2, 31, 0xffffffff",            "%sum, 4, 31, 0xffffffff"),
]  # fmt: skip


def test_a_dot_product_of_nibbles_needs_more_than_16_bits_at_a_check_size():
    drawn = PAIRS["q4q8_gemv.aos"].pair.make_arguments({"rows": 3, "columns": 992}, 1)
    nibbles = drawn["w"].reshape(3, -1, 18)[..., 2:].astype(int)
    low, high = np.split(drawn["x"].reshape(-1, 34)[:, 2:].view(np.int8).astype(int), 2, axis=1)
    dots = ((nibbles & 15) * low + (nibbles >> 4) * high).sum(axis=-1)
    assert dots.max() > np.iinfo(np.int16).max


@pytest.mark.parametrize("arch", ARCHS)
def test_words_halve_the_loads_of_halves_in_either_language(arch):
    """Of four blocks of W and one of x: 4 words and a half, 8 words and a half; or 9 and 17 halves."""
    by_variant = reports("q4q8_gemv.aos", arch)
    for variant in ("cuda", "ptx"):
        assert count(by_variant[variant], "LDG.U16", "LDG") == [5, 29]
    assert count(by_variant["cuda.halves"], "LDG.U16", "LDG") == [53, 53]


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
