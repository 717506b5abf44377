"""PTX for GPUs before sm_20 or of versions before 3.2: ptxas makes `FFMA.FTZ` and `FADD.FTZ` of it for newer ones."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import UnsupportedInstruction

KERNEL = """.version {}
.target {}
.entry k (.param .u64 x)
{{
    .reg .u64 %x;
    .reg .f32 %a, %b, %sum, %fused;
    .reg .pred %less;
    ld.param.u64 %x, [x];
    ld.global.f32 %a, [%x];
    ld.global.f32 %b, [%x + 4];
    add.f32 %sum, %a, %b;
    mad.f32 %fused, %b, 0f3F800000, %a;
    st.global.f32 [%x], %sum;
    st.global.f32 [%x + 4], %fused;
    setp.lt.f32 %less, %a, 0f00000000;
    @%less st.global.f32 [%x + 8], %a;
    exit;
}}
"""
LEAST = np.float32(2.0**-149)
"""The smallest subnormal number."""


@pytest.mark.parametrize(
    ("version", "target", "results"),
    [
        ("1.4", "sm_13", [1, 1, 0]),
        ("3.1", "compute_10", [1, 1, 0]),
        ("3.1", "sm_30", [1, 1, -LEAST]),
    ],
)
def test_instructions_of_f32_flush_for_the_first_targets_and_mad_needs_no_rounding(version, target, results):
    x = np.array([-LEAST, 1, 0], np.float32)
    emulator.run(KERNEL.format(version, target), grid=1, block=1, args=[x])
    np.testing.assert_array_equal(x, np.array(results, np.float32))


def test_mad_of_newer_ptx_needs_a_rounding():
    with pytest.raises(UnsupportedInstruction, match=r"line 12: unknown instruction 'mad.f32'; nearest: mad.rn.f32, "):
        emulator.run(KERNEL.format("3.2", "sm_30"), grid=1, block=1, args=[np.zeros(3, np.float32)])
