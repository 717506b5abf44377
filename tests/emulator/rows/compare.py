"""Comparison and Selection Instructions: setp. A pair of results is `d|q`: the comparison and its opposite."""

from tests.emulator.bits import INF, NAN, b32, b64

TINY, MINUS_TINY = b32(0x00000001), b32(0x80000001)
TINY64 = b64(1)
QUIET, SIGNALLING = b32(0xFFC00000), b32(0x7FA00000)
ALL32 = 2**32 - 1

ORDERED = [
    # a, b: eq ne lt le gt ge
    (1.0, 2.0, (False, True, True, True, False, False)),
    (2.0, 1.0, (False, True, False, False, True, True)),
    (1.0, 1.0, (True, False, False, True, False, True)),
    (-0.0, 0.0, (True, False, False, True, False, True)),
    (-INF, INF, (False, True, True, True, False, False)),
    (INF, INF, (True, False, False, True, False, True)),
    (-1.0, -2.0, (False, True, False, False, True, True)),
]
"""Where neither is NaN, eq and equ agree, and so on."""

FLOATS = [
    (f"setp.{comparison}{unordered}.{kind}", (a, b), result)
    for kind in ("f32", "f64")
    for a, b, results in ORDERED
    for comparison, result in zip(("eq", "ne", "lt", "le", "gt", "ge"), results, strict=True)
    for unordered in ("", "u")
]

UNORDERED = [
    (f"setp.{comparison}.{kind}", sources, comparison.endswith("u"))
    for comparison in ("eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu")
    for kind in ("f32", "f64")
    for sources in ((NAN, 1.0), (1.0, NAN), (NAN, NAN))
]
"""On NaN eq .. ge are false, ne too, and equ .. geu true."""

ROWS = [
    *FLOATS,
    *UNORDERED,
    ("setp.num.f32",          (1.0, INF),               True),
    ("setp.num.f32",          (1.0, QUIET),             False),
    ("setp.num.f32",          (SIGNALLING, 1.0),        False),
    ("setp.nan.f32",          (1.0, QUIET),             True),
    ("setp.nan.f32",          (-INF, INF),              False),
    ("setp.num.f64",          (1.0, NAN),               False),
    ("setp.nan.f64",          (NAN, 1.0),               True),
    ("setp.ne.f32",           (QUIET, 1.0),             False),             # ordered; neu is the other
    ("setp.neu.f32",          (QUIET, 1.0),             True),
    ("setp.lt.f32",           (0.0, TINY),              True),              # subnormals count
    ("setp.lt.ftz.f32",       (0.0, TINY),              False),             # flushed: 0 < 0
    ("setp.eq.ftz.f32",       (TINY, MINUS_TINY),       True),
    ("setp.gtu.ftz.f32",      (TINY, NAN),              True),
    ("setp.lt.f64",           (0.0, TINY64),            True),
    ("setp.lt.f32",           (1.0, 2.0),               (True, False)),     # d|q
    ("setp.lt.f32",           (NAN, 2.0),               (False, True)),     # q is not d, also on NaN
    ("setp.ge.ftz.f32",       (TINY, 0.0),              (True, False)),
    ("setp.nan.f64",          (NAN, 2.0),               (True, False)),

    ("setp.eq.b16",           (0xFFFF, 0xFFFF),         True),
    ("setp.ne.b32",           (1, 2),                   True),
    ("setp.eq.b64",           (1 << 40, 0),             False),
    ("setp.eq.s32",           (-1, -1),                 True),
    ("setp.ne.s32",           (-1, -1),                 False),
    ("setp.lt.s32",           (-1, 1),                  True),
    ("setp.le.s32",           (1, 1),                   True),
    ("setp.gt.s32",           (-1, 1),                  False),
    ("setp.ge.s32",           (-(2**31), 2**31 - 1),    False),
    ("setp.lt.s16",           (-1, 1),                  True),
    ("setp.ge.s16",           (-1, 1),                  False),
    ("setp.lt.s64",           (-(2**63), 0),            True),
    ("setp.gt.s64",           (2**40, 2**39),           True),
    ("setp.lt.u32",           (ALL32, 1),               False),             # the same bits as -1 < 1
    ("setp.le.u32",           (1, ALL32),               True),
    ("setp.gt.u32",           (ALL32, 1),               True),
    ("setp.ge.u32",           (0, 0),                   True),
    ("setp.eq.u32",           (5, 6),                   False),
    ("setp.ne.u32",           (5, 6),                   True),
    ("setp.lo.u32",           (1, ALL32),               True),              # lo ls hi hs: lt le gt ge
    ("setp.ls.u32",           (ALL32, ALL32),           True),
    ("setp.hi.u32",           (ALL32, ALL32),           False),
    ("setp.hs.u32",           (1, ALL32),               False),
    ("setp.lt.u16",           (0xFFFF, 1),              False),
    ("setp.hi.u16",           (0xFFFF, 1),              True),
    ("setp.lt.u64",           (1 << 63, 1),             False),
    ("setp.ls.u64",           (1, 1 << 63),             True),
    ("setp.lt.s32",           (-1, 1),                  (True, False)),
    ("setp.eq.b32",           (1, 2),                   (False, True)),

    ("setp.lt.and.s32",       (-1, 1, True),            True),
    ("setp.lt.and.s32",       (-1, 1, False),           False),
    ("setp.lt.or.s32",        (1, -1, True),            True),
    ("setp.lt.or.s32",        (1, -1, False),           False),
    ("setp.lt.xor.s32",       (-1, 1, True),            False),
    ("setp.lt.xor.s32",       (-1, 1, False),           True),
    ("setp.eq.and.b64",       (7, 7, True),             True),
    ("setp.hi.or.u16",        (1, 2, True),             True),
    ("setp.lt.and.s32",       (-1, 1, True),            (True, False)),     # q: (not a < b) and c
    ("setp.lt.and.s32",       (1, -1, True),            (False, True)),
    ("setp.lt.and.s32",       (1, -1, False),           (False, False)),    # not the opposite of d
    ("setp.lt.or.s32",        (-1, 1, True),            (True, True)),
    ("setp.lt.xor.u32",       (1, 2, True),             (False, True)),
    ("setp.lt.and.f32",       (1.0, 2.0, True),         True),
    ("setp.lt.and.f32",       (NAN, 2.0, True),         (False, True)),
    ("setp.ltu.or.f32",       (NAN, 2.0, False),        True),
    ("setp.eq.xor.f64",       (1.0, 1.0, True),         False),
    ("setp.gt.and.ftz.f32",   (TINY, 0.0, True),        False),
    ("setp.gt.and.f32",       (TINY, 0.0, True),        True),
]  # fmt: skip
