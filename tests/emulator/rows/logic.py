"""Logic and Shift Instructions, and prmt."""

from tests.emulator.bits import Imm

ALL32, ALL64 = 2**32 - 1, 2**64 - 1
A, B, C = 0xF0F0F0F0, 0xCCCCCCCC, 0xAAAAAAAA  # together every combination of three bits
LOW, HIGH = 0x33221180, 0x776655FF  # bytes 0 to 3 and 4 to 7 of prmt's source; bytes 0 and 4 are negative


def table(value):
    return Imm(f"0x{value:x}")


ROWS = [
    ("and.b16",         (0xFF0F, 0x0FFF),                   0x0F0F),
    ("and.b32",         (A, B),                             0xC0C0C0C0),
    ("and.b64",         (A << 32, ALL64),                   A << 32),
    ("and.pred",        (True, True),                       True),
    ("and.pred",        (True, False),                      False),
    ("or.b16",          (0xF000, 0x000F),                   0xF00F),
    ("or.b32",          (A, B),                             0xFCFCFCFC),
    ("or.b64",          (A << 32, B),                       A << 32 | B),
    ("or.pred",         (True, False),                      True),
    ("or.pred",         (False, False),                     False),
    ("xor.b16",         (0xFFFF, 0x00FF),                   0xFF00),
    ("xor.b32",         (A, B),                             0x3C3C3C3C),
    ("xor.b64",         (ALL64, 1),                         ALL64 - 1),
    ("xor.pred",        (True, True),                       False),
    ("xor.pred",        (False, True),                      True),
    ("not.b16",         (0x00FF,),                          0xFF00),
    ("not.b32",         (0,),                               ALL32),
    ("not.b64",         (1,),                               ALL64 - 1),
    ("not.pred",        (False,),                           True),
    ("not.pred",        (True,),                            False),

    ("lop3.b32",        (A, B, C, table(0x80)),             0x80808080),    # a & b & c
    ("lop3.b32",        (A, B, C, table(0xFE)),             0xFEFEFEFE),    # a | b | c
    ("lop3.b32",        (A, B, C, table(0x96)),             0x96969696),    # a ^ b ^ c
    ("lop3.b32",        (A, B, C, table(0x40)),             0x40404040),    # a & b & ~c: the table is what A, B, C show
    ("lop3.b32",        (A, B, C, table(0x1A)),             0x1A1A1A1A),
    ("lop3.b32",        (A, B, C, table(0x00)),             0),
    ("lop3.b32",        (A, B, C, table(0xFF)),             ALL32),

    ("shl.b16",         (0x00FF, 4),                        0x0FF0),
    ("shl.b16",         (1, 15),                            0x8000),
    ("shl.b16",         (1, 16),                            0),
    ("shl.b16",         (1, 65536),                         0),             # the count has 32 bits, whatever the type
    ("shl.b32",         (1, 31),                            0x80000000),
    ("shl.b32",         (1, 32),                            0),             # clamped, not modulo 32
    ("shl.b32",         (1, 33),                            0),
    ("shl.b32",         (ALL32, ALL32),                     0),             # the count is unsigned
    ("shl.b64",         (1, 63),                            1 << 63),
    ("shl.b64",         (1, 64),                            0),
    ("shl.b64",         (1, 0x80000000),                    0),
    ("shr.u16",         (0x8000, 15),                       1),
    ("shr.u16",         (0x8000, 16),                       0),
    ("shr.u16",         (0xFFFF, 65537),                    0),
    ("shr.s16",         (-2, 1),                            -1),
    ("shr.s16",         (-8, 16),                           -1),            # the sign fills
    ("shr.s16",         (8, 40),                            0),
    ("shr.b16",         (0x8000, 1),                        0x4000),        # untyped: zeros fill
    ("shr.u32",         (0x80000000, 31),                   1),
    ("shr.u32",         (0x80000000, 32),                   0),
    ("shr.u32",         (ALL32, ALL32),                     0),
    ("shr.s32",         (-8, 1),                            -4),
    ("shr.s32",         (-8, 40),                           -1),            # clamped: the sign fills
    ("shr.s32",         (-8, 0x80000000),                   -1),
    ("shr.s32",         (8, 40),                            0),
    ("shr.b32",         (0x80000000, 4),                    0x08000000),
    ("shr.u64",         (1 << 63, 63),                      1),
    ("shr.u64",         (1 << 63, 64),                      0),
    ("shr.s64",         (-(2**40), 40),                     -1),
    ("shr.s64",         (-1, 64),                           -1),
    ("shr.s64",         (-(2**40), 0x100),                  -1),
    ("shr.b64",         (1 << 63, 1),                       1 << 62),

    ("shf.l.clamp.b32", (0x80000001, 0x12345678, 4),        0x23456788),    # the upper half of b:a << 4
    ("shf.l.clamp.b32", (0x80000001, 0x12345678, 0),        0x12345678),
    ("shf.l.clamp.b32", (0x80000001, 0x12345678, 32),       0x80000001),    # clamped to 32: a
    ("shf.l.clamp.b32", (0x80000001, 0x12345678, 33),       0x80000001),
    ("shf.l.clamp.b32", (0x80000001, 0x12345678, ALL32),    0x80000001),
    ("shf.l.wrap.b32",  (0x80000001, 0x12345678, 4),        0x23456788),
    ("shf.l.wrap.b32",  (0x80000001, 0x12345678, 32),       0x12345678),    # modulo 32: 0
    ("shf.l.wrap.b32",  (0x80000001, 0x12345678, 36),       0x23456788),
    ("shf.r.clamp.b32", (0x80000001, 0x12345678, 4),        0x88000000),    # the lower half of b:a >> 4
    ("shf.r.clamp.b32", (0x80000001, 0x12345678, 0),        0x80000001),
    ("shf.r.clamp.b32", (0x80000001, 0x12345678, 32),       0x12345678),    # clamped to 32: b
    ("shf.r.clamp.b32", (0x80000001, 0x12345678, 100),      0x12345678),
    ("shf.r.wrap.b32",  (0x80000001, 0x12345678, 32),       0x80000001),
    ("shf.r.wrap.b32",  (0x80000001, 0x12345678, 36),       0x88000000),

    ("prmt.b32",        (LOW, HIGH, 0x3210),                LOW),
    ("prmt.b32",        (LOW, HIGH, 0x7654),                HIGH),
    ("prmt.b32",        (LOW, HIGH, 0x0123),                0x80112233),    # bytes reversed
    ("prmt.b32",        (LOW, HIGH, 0x4071),                0xFF807711),
    ("prmt.b32",        (LOW, HIGH, 0x8888),                ALL32),         # the sign of byte 0 in every bit
    ("prmt.b32",        (LOW, HIGH, 0x9999),                0),             # byte 1 is positive
    ("prmt.b32",        (LOW, HIGH, 0xC9B0),                0xFF000080),    # signs of bytes 4, 1, 3, then byte 0 itself
    ("prmt.b32",        (LOW, HIGH, 0xABCD3210),            LOW),           # only the low 16 bits choose
]  # fmt: skip
