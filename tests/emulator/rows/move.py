"""Data Movement and Conversion Instructions: registers. Packing and addresses are in test_memory.py."""

from tests.emulator.bits import b32, b64

ROWS = [
    ("mov.b16",  (0xFFFF,),                     0xFFFF),
    ("mov.b32",  (0x12345678,),                 0x12345678),
    ("mov.b64",  (1 << 63,),                    1 << 63),
    ("mov.u16",  (0x8000,),                     0x8000),
    ("mov.u32",  (2**32 - 1,),                  2**32 - 1),
    ("mov.u64",  (2**64 - 1,),                  2**64 - 1),
    ("mov.s16",  (-1,),                         -1),
    ("mov.s32",  (-1,),                         -1),
    ("mov.s64",  (-1,),                         -1),
    ("mov.f32",  (-0.0,),                       -0.0),
    ("mov.f32",  (b32(0xFFA12345),),            b32(0xFFA12345)),           # a signalling NaN keeps its payload
    ("mov.f32",  (b32(0x00000001),),            b32(0x00000001)),
    ("mov.f64",  (b64(0xFFF4000000000001),),    b64(0xFFF4000000000001)),
    ("mov.pred", (True,),                       True),
    ("mov.pred", (False,),                      False),
    ("selp.b16", (1, 2, True),                  1),
    ("selp.b16", (1, 2, False),                 2),
    ("selp.b32", (1, 2, True),                  1),
    ("selp.b64", (1, 1 << 40, False),           1 << 40),
    ("selp.u16", (1, 2, True),                  1),
    ("selp.u32", (1, 2, False),                 2),
    ("selp.u64", (1, 2, True),                  1),
    ("selp.s16", (-1, 2, True),                 -1),
    ("selp.s32", (-1, 2, False),                2),
    ("selp.s64", (-1, 2, True),                 -1),
    ("selp.f32", (b32(0x7FA00001), 1.0, True),  b32(0x7FA00001)),           # bits are copied
    ("selp.f32", (1.0, -0.0, False),            -0.0),
    ("selp.f64", (1.0, b64(0xFFFFFFFFFFFFFFFF), False), b64(0xFFFFFFFFFFFFFFFF)),
]  # fmt: skip
