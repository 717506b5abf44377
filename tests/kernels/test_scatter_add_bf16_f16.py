"""The pair scatter_add_bf16.f16."""

import pytest

from tests.kernels.test_scatter_add_bf16 import FALLBACK, additions, scatter_add, side

REFERENCE = (scatter_add, {"tokens": 9, "columns": 16, "rows": 4})
REGISTERS = 18

MUTANTS = [
    ("scatter_add_bf16.f16.ptx", "setp.ge.u32 %past_end, %column",    "setp.gt.u32 %past_end, %column"),
    ("scatter_add_bf16.f16.ptx", "[%out_at + 4], %v_23",              "[%out_at + 8], %v_23"),
    ("scatter_add_bf16.f16.ptx", "red.global.add.noftz.f16x2",        "st.global.b32"),
    ("scatter_add_bf16.f16.ptx", "add.u64 %from, %from, %column_wide", "add.u64 %from, %from, %to"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_89", "sm_90"])
def test_four_instructions_add_where_cuda_c_also_needs_a_way_around_each(arch):
    red = "REDG.F16x2" if arch == "sm_90" else "RED.F16x2"
    assert additions(side("scatter_add_bf16.f16", "ptx"), arch) == {red: 4}
    assert additions(side("scatter_add_bf16.f16", "cuda"), arch) == {"ATOM.F16x2": 4, **FALLBACK}
