"""Integer Arithmetic Instructions."""

from tests.emulator.bits import b32, b64

LEAST16, LEAST32, LEAST64 = -(2**15), -(2**31), -(2**63)
MOST32, MOST64, ALL32, ALL64 = 2**31 - 1, 2**63 - 1, 2**32 - 1, 2**64 - 1

ROWS = [
    ("add.s32",      (1, 2),                        3),
    ("add.s32",      (MOST32, 1),                   LEAST32),            # modulo 2^32
    ("add.u32",      (ALL32, 1),                    0),
    ("add.u16",      (0xFFFF, 1),                   0),
    ("add.s16",      (-1, LEAST16),                 2**15 - 1),
    ("add.u64",      (ALL64, 2),                    1),
    ("add.s64",      (2**32 - 1, 1),                2**32),              # the carry into the upper half
    ("sub.s32",      (LEAST32, 1),                  MOST32),
    ("sub.u32",      (0, 1),                        ALL32),
    ("sub.u16",      (0, 1),                        0xFFFF),
    ("sub.s16",      (5, 7),                        -2),
    ("sub.u64",      (0, 1),                        ALL64),
    ("sub.s64",      (2**32, 1),                    2**32 - 1),
    ("mul.lo.s32",   (-3, 5),                       -15),
    ("mul.lo.s32",   (LEAST32, -1),                 LEAST32),
    ("mul.lo.u32",   (0x10001, 0x10001),            0x20001),
    ("mul.lo.u16",   (0xFFFF, 0xFFFF),              1),                  # not widened
    ("mul.lo.s16",   (300, 300),                    24464),              # 90000 modulo 2^16
    ("mul.lo.u64",   (2**63 + 1, 2),                2),
    ("mul.lo.s64",   (-(2**40), 2**23),             LEAST64),
    ("mul.hi.s32",   (-1, 2),                       -1),                 # the sign of the 64-bit product
    ("mul.hi.s32",   (LEAST32, LEAST32),            2**30),
    ("mul.hi.u32",   (ALL32, ALL32),                ALL32 - 1),          # unsigned: widened with zeros
    ("mul.hi.u32",   (0x80000000, 2),               1),
    ("mul.hi.s16",   (-1, 1),                       -1),
    ("mul.hi.u16",   (0xFFFF, 0xFFFF),              0xFFFE),
    ("mul.wide.s32", (-1, 1),                       -1),                 # 64 bits
    ("mul.wide.s32", (LEAST32, LEAST32),            2**62),
    ("mul.wide.u32", (ALL32, ALL32),                ALL32**2),
    ("mul.wide.s16", (LEAST16, 2),                  2 * LEAST16),        # 32 bits
    ("mul.wide.u16", (0xFFFF, 0xFFFF),              0xFFFF**2),
    ("mad.lo.s32",   (-3, 5, 20),                   5),
    ("mad.lo.u32",   (0x10000, 0x10000, 7),         7),
    ("mad.lo.u16",   (256, 256, 9),                 9),
    ("mad.lo.s16",   (-2, 3, -1),                   -7),
    ("mad.lo.u64",   (2**32, 2**32, 1),             1),
    ("mad.lo.s64",   (-(2**31), 2, -1),             -(2**32) - 1),
    ("mad.wide.u32", (ALL32, ALL32, ALL64),         ALL32**2 - 1),       # the addend is 64-bit, and wraps
    ("mad.wide.s32", (-1, 1, 1),                    0),
    ("mad.wide.s32", (LEAST32, 1, 2**40),           2**40 - 2**31),
    ("mad.wide.u16", (0xFFFF, 0xFFFF, ALL32),       0xFFFF**2 - 1),
    ("mad.wide.s16", (LEAST16, LEAST16, -1),        2**30 - 1),
    ("min.s32",      (-1, 1),                       -1),
    ("min.u32",      (b32(ALL32), 1),               1),                  # unsigned: all ones is the greatest
    ("min.s16",      (-1, 1),                       -1),
    ("min.u16",      (0xFFFF, 1),                   1),
    ("min.s64",      (LEAST64, MOST64),             LEAST64),
    ("min.u64",      (b64(1 << 63), 1),             1),
    ("max.s32",      (-1, 1),                       1),
    ("max.u32",      (b32(ALL32), 1),               ALL32),
    ("max.s16",      (LEAST16, -1),                 -1),
    ("max.u16",      (0x8000, 0x7FFF),              0x8000),
    ("max.s64",      (-1, 2**40),                   2**40),
    ("max.u64",      (ALL64, 2**40),                ALL64),
    ("neg.s32",      (5,),                          -5),
    ("neg.s32",      (LEAST32,),                    LEAST32),            # there is no +2^31
    ("neg.s16",      (-7,),                         7),
    ("neg.s16",      (LEAST16,),                    LEAST16),
    ("neg.s64",      (1,),                          -1),
    ("neg.s64",      (LEAST64,),                    LEAST64),
    ("abs.s32",      (-5,),                         5),
    ("abs.s32",      (LEAST32,),                    LEAST32),
    ("abs.s16",      (-1,),                         1),
    ("abs.s64",      (-(2**40),),                   2**40),
    ("abs.s64",      (0,),                          0),
    ("div.s32",      (-7, 2),                       -3),                 # toward zero
    ("div.s32",      (7, -2),                       -3),
    ("div.s32",      (LEAST32, -1),                 LEAST32),            # +2^31 modulo 2^32; no trap
    ("div.s32",      (LEAST32, 1),                  LEAST32),
    ("div.s32",      (7, 0),                        -1),                 # unspecified; all ones on GPUs
    ("div.s32",      (LEAST32, 0),                  -1),
    ("div.u32",      (ALL32, 2),                    MOST32),             # unsigned
    ("div.u32",      (7, 0),                        ALL32),
    ("div.u32",      (0, 0),                        ALL32),
    ("div.s16",      (-7, 2),                       -3),
    ("div.s16",      (LEAST16, -1),                 LEAST16),
    ("div.s16",      (1, 0),                        -1),
    ("div.u16",      (0xFFFF, 0x100),               0xFF),
    ("div.u16",      (1, 0),                        0xFFFF),
    ("div.s64",      (-(2**40) - 1, 2),             -(2**39)),
    ("div.s64",      (LEAST64, -1),                 LEAST64),
    ("div.s64",      (1, 0),                        -1),
    ("div.u64",      (ALL64, 3),                    ALL64 // 3),
    ("div.u64",      (1, 0),                        ALL64),
    ("rem.s32",      (-7, 2),                       -1),                 # the sign of a
    ("rem.s32",      (7, -2),                       1),
    ("rem.s32",      (LEAST32, -1),                 0),
    ("rem.s32",      (7, 0),                        -1),                 # open in the manual; as ptxas folds it
    ("rem.u32",      (ALL32, 10),                   5),
    ("rem.u32",      (7, 0),                        ALL32),
    ("rem.u16",      (7, 0),                        0xFFFF),
    ("rem.s64",      (7, 0),                        -1),
    ("rem.s16",      (-7, 3),                       -1),
    ("rem.s16",      (LEAST16, -1),                 0),
    ("rem.u16",      (0xFFFF, 10),                  5),
    ("rem.s64",      (-(2**40) - 1, 2),             -1),
    ("rem.s64",      (LEAST64, -1),                 0),
    ("rem.u64",      (ALL64, 10),                   5),
    ("rem.u64",      (ALL64, 0),                    ALL64),
    ("popc.b32",     (0,),                          0),
    ("popc.b32",     (ALL32,),                      32),
    ("popc.b64",     (ALL64,),                      64),
    ("popc.b64",     (0x8000000100000001,),         3),
    ("clz.b32",      (0,),                          32),                 # the width, not undefined
    ("clz.b32",      (1,),                          31),
    ("clz.b32",      (ALL32,),                      0),
    ("clz.b64",      (0,),                          64),
    ("clz.b64",      (1 << 40,),                    23),
    ("brev.b32",     (1,),                          0x80000000),
    ("brev.b32",     (0x12345678,),                 0x1E6A2C48),
    ("brev.b64",     (1,),                          1 << 63),
    ("brev.b64",     (0x0123456789ABCDEF,),         0xF7B3D591E6A2C480),
]  # fmt: skip
