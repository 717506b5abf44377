"""The pair scatter_add_bf16.f32."""

import pytest

from tests.kernels.harness import build
from tests.kernels.test_scatter_add_bf16 import additions, scatter_add, side

REFERENCE = (scatter_add, {"tokens": 5, "targets": 2, "columns": 16, "rows": 4})
REGISTERS = 18

MUTANTS = [
    ("scatter_add_bf16.f32.ptx", "setp.ge.u32 %past_end, %column", "setp.gt.u32 %past_end, %column"),
    ("scatter_add_bf16.f32.ptx", "{%v_0, %v_1, %v_2, %v_3};",      "{%v_0, %v_1, %v_3, %v_2};"),
    ("scatter_add_bf16.f32.ptx", "red.global.add.v4.f32",          "st.global.v4.f32"),
    ("scatter_add_bf16.f32.ptx", "shl.b64 %offset, %to, 4",        "shl.b64 %offset, %to, 3"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_90", "sm_100", "sm_120"])
def test_both_sides_add_four_floats_in_one_instruction(arch):
    for variant in ("cuda", "ptx"):
        assert additions(side("scatter_add_bf16.f32", variant), arch) == {"REDG.F32x4": 1}


def test_both_sides_are_the_same_machine_code_on_sm_90():
    """NVRTC 13.5 was tried."""
    cuda, ptx = (
        build(side("scatter_add_bf16.f32", variant), "sm_90", "toolkit").report.sass_sha256
        for variant in ("cuda", "ptx")
    )
    assert cuda == ptx
