"""The pair rmsnorm."""

import math


def rmsnorm(x, w, eps, columns):
    means = [math.fsum(value * value for value in row) / columns for row in x]
    return {
        "y": [
            [value * weight / math.sqrt(mean + eps) for value, weight in zip(row, w, strict=True)]
            for row, mean in zip(x, means, strict=True)
        ]
    }


REFERENCE = (rmsnorm, {"rows": 2, "columns": 5})

MUTANTS = [
    ("rmsnorm.ptx", "setp.ge.u32 %idle, %thread",      "setp.gt.u32 %idle, %thread"),
    ("rmsnorm.ptx", "fma.rn.ftz.f32 %mean, %squares, %share, %eps", "mul.rn.ftz.f32 %mean, %squares, %share"),
    ("rmsnorm.ptx", "%result, %scaled, %weight",       "%result, %scaled, %scale"),
    ("rmsnorm.ptx", "and.b32 %sum_in, %thread, 7",     "and.b32 %sum_in, %thread, 3"),  # half of the warps
    ("rmsnorm.ptx", "bar.sync 0;",                     ""),
]  # fmt: skip
