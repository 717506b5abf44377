"""The pair copy_hints.gather."""

import pytest

from tests.kernels.harness import count, reports


def gather(x, vectors, step):
    return {"y": [x[8 * step * (i // 8) + i % 8] for i in range(4 * vectors)]}


REFERENCE = (gather, {"n": 96, "step": 3})

MUTANTS = [
    ("copy_hints.gather.ptx", "setp.lt.u32 %whole",                   "setp.le.u32 %whole"),
    ("copy_hints.gather.ptx", "and.b32 %record, %i, 0xfffffffe",      "and.b32 %record, %i, 0xffffffff"),
    ("copy_hints.gather.ptx", "mul.wide.u32 %stride, %step, 4096",    "mul.wide.u32 %stride, %step, 2048"),
    ("copy_hints.gather.l2_64.ptx", "mad.lo.u32 %from, %record, %step", "mad.lo.u32 %from, %record, 1"),
    ("copy_hints.gather.l2_64.ptx", "and.b32 %half, %i, 1",           "and.b32 %half, %i, 0"),
    ("copy_hints.gather.l2_64.ptx", "add.u64 %x3_at, %x2_at",         "add.u64 %x3_at, %x1_at"),
    ("copy_hints.gather.l2_128.ptx", "add.u64 %x0_at, %x0_at, %stride", "add.u64 %x0_at, %x0_at, 4096"),
    ("copy_hints.gather.l2_128.ptx", "setp.ge.u32 %past_end",         "setp.gt.u32 %past_end"),
    ("copy_hints.gather.l2_128.ptx", "[%y_at + 8192]",                "[%y_at + 4096]"),
    ("copy_hints.gather.l2_256.ptx", "setp.lt.u32 %more",             "setp.le.u32 %more"),
    ("copy_hints.gather.l2_256.ptx", "add.u32 %i, %i, 256",           "add.u32 %i, %i, 512"),
    ("copy_hints.gather.l2_256.ptx", "{%v1_x, %v1_y, %v1_z, %v1_w}",  "{%v1_x, %v1_y, %v1_w, %v1_z}"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_every_load_has_a_prefetch_size_and_nothing_else_differs(arch):
    by_variant = reports("copy_hints.gather", arch)
    for size in (64, 128, 256):
        report = by_variant[f"ptx.l2_{size}"]
        obeyed = 128 if arch == "sm_80" else size  # on sm_80 ptxas makes 128 of 256
        assert count(report, f"LDG.LTC{min(size, obeyed)}B", "LDG") == [5, 5]
        assert report.sass["total"] == by_variant["ptx"].sass["total"]
    assert count(by_variant["ptx"], "LDG.LTC64B", "LDG.LTC128B", "LDG.LTC256B", "LDG") == [0, 0, 0, 5]
    assert abs(by_variant["cuda"].sass["total"] - by_variant["ptx"].sass["total"]) <= 1
