"""The pair scatter_add_bf16.f16."""

import pytest

from tests.kernels.test_scatter_add_bf16 import additions, fallback, scatter_add, side

REFERENCE = (scatter_add, {"tokens": 5, "targets": 2, "columns": 16, "rows": 4})
REGISTERS = 18

MUTANTS = [
    ("scatter_add_bf16.f16.ptx", "setp.ge.u32 %past_end, %first",     "setp.gt.u32 %past_end, %first"),
    ("scatter_add_bf16.f16.ptx", "[%out_at + 1024], %v_1",            "[%out_at + 2048], %v_1"),
    ("scatter_add_bf16.f16.ptx", "red.global.add.noftz.f16x2",        "st.global.b32"),
    ("scatter_add_bf16.f16.ptx", "add.u64 %from, %from, %first_wide", "add.u64 %from, %from, %to"),
    ("scatter_add_bf16.f16.ptx", "add.u64 %x_at, %x_at, 1024",        "add.u64 %x_at, %x_at, 512"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_89", "sm_90"])
def test_four_instructions_add_where_cuda_c_also_needs_a_way_around_each(arch):
    red = "REDG.F16x2" if arch == "sm_90" else "RED.F16x2"
    assert additions(side("scatter_add_bf16.f16", "ptx"), arch) == {red: 5}
    assert additions(side("scatter_add_bf16.f16", "cuda"), arch) == {"ATOM.F16x2": 5, **fallback(5)}
