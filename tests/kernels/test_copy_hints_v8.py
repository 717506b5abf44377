"""The pair copy_hints.v8."""

from tests.kernels.harness import count, reports
from tests.kernels.test_copy_hints import copy_hints

REFERENCE = (lambda x, vectors: copy_hints(x, 2 * vectors), {"n": 96})

MUTANTS = [
    ("copy_hints.v8.ptx", "setp.lt.u32 %whole",              "setp.le.u32 %whole"),    # a vector past the end
    ("copy_hints.v8.ptx", "[%x_at + 8192]",                  "[%x_at]"),
    ("copy_hints.v8.ptx", "mad.lo.u32 %i, %block, 512",      "mad.lo.u32 %i, %block, 256"),
    ("copy_hints.v8.hints.ptx", "setp.ge.u32 %past_end",     "setp.gt.u32 %past_end"),
    ("copy_hints.v8.hints.ptx", "[%y_at + 8192]",            "[%y_at + 4096]"),
    ("copy_hints.v8.hints.ptx", "add.u32 %second, %i, 256",  "add.u32 %second, %i, 128"),
]  # fmt: skip


def test_an_access_of_32_bytes_is_one_instruction_in_c_as_in_ptx_and_keeps_its_hints():
    by_variant = reports("copy_hints.v8", "sm_100")
    for variant in by_variant:
        assert count(by_variant[variant], "LDG.256", "STG.256", "LDG", "STG") == [3, 3, 3, 3], variant
    assert count(by_variant["ptx.hints"], "LDG.NA", "LDG.LTC256B", "STG.NA") == [3, 3, 3]
    assert count(by_variant["ptx"], "LDG.NA", "LDG.LTC256B", "STG.NA") == [0, 0, 0]
