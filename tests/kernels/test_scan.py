"""The pair scan."""

from itertools import accumulate


def scan(x, n):
    return {"y": list(accumulate(x))}


REFERENCE = (scan, {"n": 2051})
REGISTERS = 35  # where 1,536 threads fill an SM; where it holds 2,048, ptxas keeps to 32

MUTANTS = [
    ("scan.ptx", "shl.b32 %i, %tile, 11",                "shl.b32 %i, %tile, 10"),
    ("scan.ptx", "%b_scan, 16, 0, 0xffffffff",           "%b_scan, 8, 0, 0xffffffff"),
    ("scan.ptx", "@!%has_left mov.f32 %b_base",          "@%has_left mov.f32 %b_base"),
    ("scan.ptx", "%warp_scan, 4, 0, 0xffffffff",         "%warp_scan, 3, 0, 0xffffffff"),
    ("scan.ptx", "add.rn.f32 %total, %a_total, %b_scan", "add.rn.f32 %total, %b_base, %b_scan"),
]  # fmt: skip
