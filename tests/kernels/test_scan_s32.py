"""The pair scan.s32. How its tiles wait for each other is in test_scan.py."""

from itertools import accumulate


def scan_s32(x, n):
    return {"y": list(accumulate(x))}


REFERENCE = (scan_s32, {"n": 2051})
REGISTERS = 50  # as of scan

MUTANTS = [
    ("scan.s32.ptx", "sub.s32 %base, %base, %sum",       "sub.s32 %base, %base, %scan"),
    ("scan.s32.ptx", "mov.s32 %before_x, %base",         "add.s32 %before_x, %base, %t_x"),  # its own vector too
    ("scan.s32.ptx", "redux.sync.add.s32",               "redux.sync.max.s32"),
    ("scan.s32.ptx", "shr.u32 %pad, %chunk, 3",          "shr.u32 %pad, %chunk, 4"),
    ("scan.s32.ptx", "@!%counts mov.s32",                "@%counts mov.s32"),
]  # fmt: skip
