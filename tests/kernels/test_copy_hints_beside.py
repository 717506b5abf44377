"""The pair copy_hints.beside."""

from tests.kernels.harness import count, reports


def beside(x, table, vectors, rows):
    y = []
    for i in range(vectors):
        first = i // 1024 * 1024 + i % 256
        row = x[4 * first] * rows >> 32
        y += [(x[4 * i + k] + table[4 * row + k]) % 2**32 for k in range(4)]
    return {"y": y}


REFERENCE = (beside, {"n": 8192, "rows": 5})

MUTANTS = [
    ("copy_hints.beside.ptx", "setp.lt.u32 %whole",                  "setp.le.u32 %whole"),
    ("copy_hints.beside.ptx", "mul.hi.u32 %row, %v0_x, %rows",       "mul.lo.u32 %row, %v0_x, %rows"),
    ("copy_hints.beside.ptx", "%v3_w, %v3_w, %t_w",                  "%v3_w, %v3_w, %t_x"),
    ("copy_hints.beside.plain.ptx", "mad.wide.u32 %table_at, %row, 16", "mad.wide.u32 %table_at, %row, 8"),
    ("copy_hints.beside.plain.ptx", "setp.ge.u32 %past_end",         "setp.gt.u32 %past_end"),
    ("copy_hints.beside.plain.ptx", "[%x_at + 8192]",                "[%x_at + 4096]"),
    ("copy_hints.beside.keep.ptx", "add.u32 %i, %i, 256",            "add.u32 %i, %i, 512"),
    ("copy_hints.beside.keep.ptx", "add.u64 %y_at, %y_at, 4096",     "add.u64 %y_at, %y_at, 2048"),
    ("copy_hints.beside.keep.ptx", "{%t_x, %t_y, %t_z, %t_w}",       "{%t_x, %t_y, %t_w, %t_z}"),
]  # fmt: skip

HINTS = [
    # variant       the stream's loads and stores             the table's two loads
    ("cuda",        ("LDG.EF",         "STG.EF"),             "LDG.128.CONSTANT"),
    ("cuda.plain",  ("LDG.E.128.CONSTANT", "STG.E.128"),      "LDG.128.CONSTANT"),
    ("ptx",         ("LDG.NA",         "STG.NA"),             "LDG.128.CONSTANT"),
    ("ptx.plain",   ("LDG.E.128.CONSTANT", "STG.E.128"),      "LDG.128.CONSTANT"),
    ("ptx.keep",    ("LDG.E.128.CONSTANT", "STG.E.128"),      "LDG.EL"),
]  # fmt: skip


def test_the_stream_has_its_hint_and_the_table_has_its_own():
    """Five loads of 16 bytes, one of 4 and five stores for the stream; the table's row twice: once for the last CTA."""
    by_variant = reports("copy_hints.beside", "sm_90")
    for variant, (load, store), look in HINTS:
        report = by_variant[variant]
        assert count(report, "LDG", "STG") == [8, 5], variant
        assert count(report, store) == [5], variant
        assert count(report, look)[0] >= 2, variant
        if load in ("LDG.EF", "LDG.NA"):
            assert count(report, load) == [6], variant
        else:
            assert count(report, "LDG.EF", "LDG.NA", "STG.EF", "STG.NA") == [0, 0, 0, 0], variant
    assert abs(by_variant["cuda"].sass["total"] - by_variant["ptx"].sass["total"]) <= 4
