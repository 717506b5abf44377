"""The pair tma_reduce.bf16; what it shares with tma_reduce is in test_tma_reduce.py."""

from tests.kernels.test_tma_reduce import tma_reduce

REFERENCE = (tma_reduce, {"n": 16, "slices": 3})
REGISTERS = 48  # on sm_120; 32 on sm_90

REDUCTION = [
    ("setp.lt.u32 %is_ragged, %left, 1024",          "setp.lt.u32 %is_ragged, %left, 1020"),
    ("mul.wide.u32 %from, %slice, %vectors",         "mul.wide.u32 %from, %slice, 1024"),
    ("add.u64 %x_at, %x_at, 2048",                   "add.u64 %x_at, %x_at, 1024"),
]  # fmt: skip
MUTANTS = [
    *((file, *edit) for file in ("tma_reduce.bf16.ptx", "tma_reduce.bf16.red.ptx") for edit in REDUCTION),
    ("tma_reduce.bf16.ptx", "bulk_group.add.noftz.bf16",       "bulk_group.add.noftz.f16"),  # the other format
    ("tma_reduce.bf16.ptx", "bar.sync 0;",                     ""),
    ("tma_reduce.bf16.ptx", "min.u32 %left, %left, 1024",      "min.u32 %left, %left, 1023"),
    ("tma_reduce.bf16.red.ptx", "add.noftz.v4.bf16x2 [%out_at]", "add.noftz.v4.f16x2 [%out_at]"),
    ("tma_reduce.bf16.red.ptx", "[%out_at + 4096], {%v2_x",    "[%out_at + 6144], {%v2_x"),
]  # fmt: skip
