"""The pair scan.s32. How its tiles wait for each other is in test_scan.py."""

from itertools import accumulate


def scan_s32(x, n):
    return {"y": list(accumulate(x))}


REFERENCE = (scan_s32, {"n": 2051})
REGISTERS = 40  # as of scan

MUTANTS = [
    ("scan.s32.ptx", "sub.s32 %b_base, %b_scan, %b_w",   "sub.s32 %b_base, %b_scan, %b_z"),
    ("scan.s32.ptx", "%warp_scan, %warp_total;",         "%warp_scan, %warp_scan;"),
    ("scan.s32.ptx", "redux.sync.add.s32",               "redux.sync.max.s32"),
    ("scan.s32.ptx", "@%is_last st.shared.s32",          "@%is_first st.shared.s32"),
    ("scan.s32.ptx", "@!%counts mov.s32",                "@%counts mov.s32"),
]  # fmt: skip
