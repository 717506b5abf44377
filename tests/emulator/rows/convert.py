"""Data Movement and Conversion Instructions: cvt."""

from tests.emulator.bits import INF, NAN, Bits, b32, b64

TINY = b32(0x00000001)
LEAST32, LEAST64 = -(2**31), -(2**63)
MOST32, MOST64, ALL32, ALL64 = 2**31 - 1, 2**63 - 1, 2**32 - 1, 2**64 - 1


def b16(value):
    return Bits(value, 16)


ROWS = [
    # Between integers: cut, or extended by the source's sign.
    ("cvt.u16.u8",           (0xFF,),                   0xFF),
    ("cvt.s16.s8",           (-1,),                     -1),
    ("cvt.u32.s8",           (-1,),                     ALL32),             # the source's sign, the destination's name
    ("cvt.s32.u8",           (0xFF,),                   255),
    ("cvt.u8.u32",           (0x1FF,),                  0xFF),              # cut; zeros above in a wider register
    ("cvt.s8.s32",           (0x1FF,),                  -1),                # cut; the sign above in a wider register
    ("cvt.s8.u32",           (0x80,),                   -128),
    ("cvt.u16.u32",          (0x12345,),                0x2345),
    ("cvt.s16.s64",          (2**40 + 0x8000,),         -0x8000),
    ("cvt.u32.u16",          (0xFFFF,),                 0xFFFF),
    ("cvt.s32.s16",          (-2,),                     -2),
    ("cvt.u32.u64",          (2**40 + 7,),              7),
    ("cvt.s32.s64",          (-(2**40) + 7,),           7),
    ("cvt.u64.u32",          (ALL32,),                  ALL32),
    ("cvt.s64.s32",          (-1,),                     -1),
    ("cvt.u64.s32",          (-1,),                     ALL64),
    ("cvt.s64.u32",          (ALL32,),                  ALL32),
    ("cvt.u32.s32",          (-1,),                     ALL32),

    # .sat clamps to the destination's range.
    ("cvt.sat.u8.s32",       (-1,),                     0),
    ("cvt.sat.u8.s32",       (300,),                    255),
    ("cvt.sat.u8.s32",       (77,),                     77),
    ("cvt.sat.s8.s32",       (-129,),                   -128),
    ("cvt.sat.s8.s32",       (128,),                    127),
    ("cvt.sat.s8.u32",       (ALL32,),                  127),               # unsigned: large, not -1
    ("cvt.sat.u16.s32",      (-5,),                     0),
    ("cvt.sat.s16.u16",      (0xFFFF,),                 0x7FFF),
    ("cvt.sat.u32.s32",      (-1,),                     0),
    ("cvt.sat.s32.u32",      (ALL32,),                  MOST32),
    ("cvt.sat.s32.s64",      (LEAST64,),                LEAST32),
    ("cvt.sat.u32.u64",      (2**40,),                  ALL32),
    ("cvt.sat.u64.s32",      (-1,),                     0),
    ("cvt.sat.s64.u64",      (ALL64,),                  MOST64),

    # Integer to float, nearest even.
    ("cvt.rn.f32.s32",       (-7,),                     -7.0),
    ("cvt.rn.f32.s32",       (2**24 + 1,),              2.0**24),           # the tie goes to even
    ("cvt.rn.f32.s32",       (2**24 + 3,),              2.0**24 + 4),
    ("cvt.rn.f32.u32",       (ALL32,),                  2.0**32),
    ("cvt.rn.f32.s64",       (MOST64,),                 2.0**63),
    ("cvt.rn.f32.u64",       (ALL64,),                  2.0**64),
    ("cvt.rn.f32.u64",       (2**63 + 2**39 + 1,),      2.0**63 + 2.0**40), # by f64 the tie is lost
    ("cvt.rn.f32.s8",        (-128,),                   -128.0),
    ("cvt.rn.f32.u8",        (b16(0xAAFF),),            255.0),             # only the low 8 bits of the register
    ("cvt.rn.f32.s16",       (-(2**15),),               -(2.0**15)),
    ("cvt.rn.f32.u16",       (0xFFFF,),                 65535.0),
    ("cvt.rn.f64.s32",       (LEAST32,),                -(2.0**31)),
    ("cvt.rn.f64.u32",       (ALL32,),                  4294967295.0),
    ("cvt.rn.f64.s64",       (2**53 + 1,),              2.0**53),
    ("cvt.rn.f64.u64",       (ALL64,),                  2.0**64),

    # Float to integer always clamps to the destination; NaN gives 0.
    ("cvt.rni.s32.f32",      (0.5,),                    0),                 # nearest even
    ("cvt.rni.s32.f32",      (1.5,),                    2),
    ("cvt.rni.s32.f32",      (2.5,),                    2),
    ("cvt.rni.s32.f32",      (-1.5,),                   -2),
    ("cvt.rzi.s32.f32",      (1.75,),                   1),
    ("cvt.rzi.s32.f32",      (-1.75,),                  -1),
    ("cvt.rmi.s32.f32",      (-1.25,),                  -2),
    ("cvt.rmi.s32.f32",      (1.75,),                   1),
    ("cvt.rpi.s32.f32",      (1.25,),                   2),
    ("cvt.rpi.s32.f32",      (-1.75,),                  -1),
    ("cvt.rpi.s32.f32",      (TINY,),                   1),
    ("cvt.rpi.ftz.s32.f32",  (TINY,),                   0),                 # flushed first
    ("cvt.rmi.ftz.s32.f32",  (b32(0x80000001),),        0),
    ("cvt.rzi.s32.f32",      (2.0**31,),                MOST32),
    ("cvt.rzi.s32.f32",      (-(2.0**31),),             LEAST32),
    ("cvt.rzi.s32.f32",      (-INF,),                   LEAST32),
    ("cvt.rzi.s32.f32",      (INF,),                    MOST32),
    ("cvt.rzi.s32.f32",      (NAN,),                    0),
    ("cvt.rzi.s32.f32",      (b32(0xFFC00000),),        0),
    ("cvt.rzi.u32.f32",      (-1.0,),                   0),
    ("cvt.rzi.u32.f32",      (4e9,),                    4000000000),
    ("cvt.rzi.u32.f32",      (INF,),                    ALL32),
    ("cvt.rzi.u32.f32",      (NAN,),                    0),
    ("cvt.rzi.u8.f32",       (255.5,),                  255),
    ("cvt.rzi.u8.f32",       (256.0,),                  255),               # not modulo 256
    ("cvt.rzi.u8.f32",       (-1.0,),                   0),
    ("cvt.rzi.s8.f32",       (-300.0,),                 -128),              # and the sign above in a wider register
    ("cvt.rzi.s8.f32",       (300.0,),                  127),
    ("cvt.rni.s16.f32",      (1e6,),                    0x7FFF),
    ("cvt.rni.u16.f32",      (65535.5,),                0xFFFF),
    ("cvt.rzi.s64.f32",      (2.0**63,),                MOST64),
    ("cvt.rzi.s64.f32",      (-(2.0**40),),             -(2**40)),
    ("cvt.rzi.u64.f32",      (2.0**64,),                ALL64),
    ("cvt.rzi.u64.f32",      (2.0**63,),                2**63),
    ("cvt.rzi.sat.s32.f32",  (2.0**66,),                  MOST32),            # .sat changes nothing
    ("cvt.rzi.s32.f64",      (-2147483649.0,),          LEAST32),
    ("cvt.rni.s32.f64",      (2.5,),                    2),
    ("cvt.rmi.s64.f64",      (-0.5,),                   -1),
    ("cvt.rpi.u64.f64",      (2.0**53 - 0.5,),          2**53),
    ("cvt.rzi.u64.f64",      (NAN,),                    2**63),             # the highest bit, where either has 64 bits
    ("cvt.rzi.s64.f32",      (NAN,),                    LEAST64),
    ("cvt.rzi.s32.f64",      (NAN,),                    LEAST32),
    ("cvt.rzi.u8.f64",       (1e300,),                  255),

    # f32 to f32: to a whole number, or just .ftz and .sat.
    ("cvt.rni.f32.f32",      (2.5,),                    2.0),
    ("cvt.rni.f32.f32",      (-0.25,),                  -0.0),              # the sign of zero stays
    ("cvt.rzi.f32.f32",      (-1.75,),                  -1.0),
    ("cvt.rmi.f32.f32",      (-1.25,),                  -2.0),
    ("cvt.rpi.f32.f32",      (-0.75,),                  -0.0),
    ("cvt.rpi.f32.f32",      (2.0**30,),                2.0**30),
    ("cvt.rni.f32.f32",      (INF,),                    INF),
    ("cvt.rni.f32.f32",      (b32(0x7FA00000),),        NAN),
    ("cvt.rpi.f32.f32",      (TINY,),                   1.0),
    ("cvt.rpi.ftz.f32.f32",  (TINY,),                   0.0),
    ("cvt.f32.f32",          (TINY,),                   TINY),
    ("cvt.ftz.f32.f32",      (b32(0x80000001),),        -0.0),
    ("cvt.sat.f32.f32",      (1.5,),                    1.0),
    ("cvt.sat.f32.f32",      (-0.5,),                   0.0),
    ("cvt.sat.f32.f32",      (NAN,),                    0.0),
    ("cvt.sat.f32.f32",      (0.25,),                   0.25),
    ("cvt.rni.sat.f32.f32",  (0.75,),                   1.0),

    # Between f32 and f64.
    ("cvt.f64.f32",          (1.5,),                    1.5),
    ("cvt.f64.f32",          (TINY,),                   2.0**-149),
    ("cvt.f64.f32",          (-INF,),                   -INF),
    ("cvt.f64.f32",          (b32(0xFFC00000),),        NAN),
    ("cvt.ftz.f64.f32",      (b32(0x80000001),),        -0.0),
    ("cvt.rn.f32.f64",       (1.0 + 2.0**-24,),         1.0),               # a tie, to even
    ("cvt.rn.f32.f64",       (1.0 + 2.0**-24 + 2.0**-50,), 1.0 + 2.0**-23),
    ("cvt.rz.f32.f64",       (1.0 + 2.0**-24 + 2.0**-50,), 1.0),
    ("cvt.rp.f32.f64",       (1.0 + 2.0**-50,),         1.0 + 2.0**-23),
    ("cvt.rm.f32.f64",       (-1.0 - 2.0**-50,),        -1.0 - 2.0**-23),
    ("cvt.rm.f32.f64",       (1.0 + 2.0**-50,),         1.0),
    ("cvt.rn.f32.f64",       (1e300,),                  INF),
    ("cvt.rz.f32.f64",       (1e300,),                  b32(0x7F7FFFFF)),   # toward zero stops at the greatest
    ("cvt.rm.f32.f64",       (1e300,),                  b32(0x7F7FFFFF)),
    ("cvt.rp.f32.f64",       (1e300,),                  INF),
    ("cvt.rp.f32.f64",       (-1e300,),                 b32(0xFF7FFFFF)),
    ("cvt.rn.f32.f64",       (b64(1),),                 0.0),
    ("cvt.rp.f32.f64",       (b64(1),),                 TINY),
    ("cvt.rm.f32.f64",       (b64(1 << 63 | 1),),       b32(0x80000001)),
    ("cvt.rm.f32.f64",       (-0.0,),                   -0.0),              # exact: not one below
    ("cvt.rn.f32.f64",       (2.0**-130,),              b32(0x00080000)),
    ("cvt.rn.ftz.f32.f64",   (-(2.0**-130),),           -0.0),
    ("cvt.rn.sat.f32.f64",   (7.0,),                    1.0),
    ("cvt.rn.f32.f64",       (NAN,),                    NAN),
    ("cvt.rz.f32.f64",       (NAN,),                    NAN),
    ("cvt.rm.f32.f64",       (-INF,),                   -INF),
]  # fmt: skip
