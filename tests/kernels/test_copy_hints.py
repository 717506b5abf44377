"""The pair copy_hints."""


def copy_hints(x, vectors):
    return {"y": [x[i] for i in range(4 * vectors)]}


REFERENCE = (copy_hints, {"n": 48})

MUTANTS = [
    ("copy_hints.ptx", "setp.lt.u32 %whole",              "setp.le.u32 %whole"),         # a vector past the end
    ("copy_hints.ptx", "setp.ge.u32 %past_end",           "setp.gt.u32 %past_end"),
    ("copy_hints.ptx", "[%x_at + 8192]",                  "[%x_at + 4096]"),
    ("copy_hints.ptx", "add.u32 %i, %i, 256",             "add.u32 %i, %i, 512"),        # the last CTA stops early
    ("copy_hints.l2_128.ptx", "[%y_at + 12288]",              "[%y_at + 8192]"),
    ("copy_hints.l2_128.ptx", "mad.wide.u32 %y_at, %i, 16",   "mad.wide.u32 %y_at, %i, 32"),
    ("copy_hints.l2_128.ptx", "setp.lt.u32 %more",            "setp.le.u32 %more"),
    ("copy_hints.evict_first.ptx", "{%v1_x, %v1_y, %v1_z, %v1_w}", "{%v1_x, %v1_y, %v1_w, %v1_z}"),
    ("copy_hints.evict_first.ptx", "add.u64 %y_at, %y_at, 4096",   "add.u64 %y_at, %y_at, 2048"),
    ("copy_hints.evict_first.ptx", "add.u32 %fourth, %i, 768",     "add.u32 %fourth, %i, 512"),
    ("copy_hints.interleaved.ptx", "@!%whole bra",                 "@%whole bra"),
    ("copy_hints.interleaved.ptx", "mad.lo.u32 %i, %block, 1024",  "mad.lo.u32 %i, %block, 512"),  # half never written
    ("copy_hints.interleaved.ptx", "[%y_at + 4096], {%v1_x",       "[%y_at + 4096], {%v0_x"),
]  # fmt: skip
