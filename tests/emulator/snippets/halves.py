"""Reference results of the kernels in halves.cu, in float64, rounded once."""

import numpy as np

from tests.emulator.snippets import case, f16, from_bf16, outputs, to_bf16

HALF = np.float16


def pair_of(rng, shape=32):
    return f16(rng.uniform(-8, 8, shape)), f16(rng.uniform(-8, 8, shape))


def wide(*arrays):
    return [array.astype(np.float64) for array in arrays]


def clip(values):
    return np.clip(values, 0, 1)


@case(relative=2.0**-10)
def half_arithmetic(rng):
    """Exact except the quotient: NVRTC's code does not guarantee a single rounding."""
    x, y = pair_of(rng)
    a, b = wide(x, y)
    rows = [
        a + b, a - b, a * b, a * b + a, a / b, -a, abs(b), np.maximum(a, b), np.minimum(a, b), clip(a + b),
        clip(a * b + b), np.sqrt(abs(a)), np.floor(a), np.ceil(b), np.rint(a), np.trunc(b), clip(a * b),
    ]  # fmt: skip
    return [x, y, outputs(len(rows), 32, dtype=HALF)], {2: f16(rows)}


@case(relative=2.0**-9, absolute=2.0**-10)
def half_functions(rng):
    x = f16(rng.uniform(0.1, 3, 32))
    (a,) = wide(x)
    rows = [np.exp(a), np.log(a), np.sin(a), np.cos(a), np.exp2(a), np.log2(a), 1 / a, 1 / np.sqrt(a), 10.0**a]
    return [x, outputs(len(rows), 32, dtype=HALF)], {1: f16(rows)}


@case(relative=2.0**-10)
def half_pairs(rng):
    x, y = pair_of(rng, (32, 2))
    y[4], y[5, 1], x[6] = x[4], np.nan, np.inf
    a, b = wide(x, y)
    with np.errstate(invalid="ignore"):
        rows = [
            a + b, a - b, a * b, a * b + a, a / b, -a, abs(a), np.fmax(a, b), np.fmin(a, b), a > b, a <= b,
            np.ones((32, 2)), a[:, ::-1], np.stack([b[:, 1], a[:, 0]], axis=1), np.full((32, 2), 0.3),
            b[:, [0, 0]], np.sqrt(abs(a)),
        ]  # fmt: skip
    flags = (a > b).all(axis=1) + 2 * (a < b).all(axis=1) + 4 + 8 * np.isnan(b[:, 1]) + 16 * (a[:, 0] > b[:, 0])
    results = outputs(len(rows), 32, 2, dtype=HALF), outputs(32, dtype=np.int32)
    return [x, y, *results], {2: f16(rows), 3: flags}


def directed(values, up):
    """f16 next to each value: upwards or downwards."""
    near = f16(values).astype(np.float64)
    wrong = near < values if up else near > values
    return np.where(wrong, np.nextafter(f16(values), HALF(np.inf if up else -np.inf)), f16(values))


@case()
def half_conversions(rng):
    x, y = rng.uniform(-300, 300, 32).astype(np.float32), rng.integers(-2000, 2000, 32, np.int32)
    (a,) = wide(x)
    toward_zero = np.where(a > 0, directed(a, False), directed(a, True))
    bits = (y & 0x3FFF).astype(np.uint16).view(HALF)
    rows = [f16(x), toward_zero, directed(a, True), directed(a, False), f16(y), f16(a * 1.0001), f16(y), bits]
    h = f16(x).astype(np.float64)
    ints = [np.rint(h), np.floor(h), np.trunc(h), f16(x).view(np.uint16)]
    results = [outputs(8, 32, dtype=HALF), outputs(32), outputs(4, 32, dtype=np.int32)]
    return [x, y, *results], {2: rows, 3: h, 4: ints}


@case()
def half_shuffles(rng):
    x = f16(rng.integers(-20, 20, (32, 2)))
    return [x, outputs(32, 2, dtype=HALF)], {1: np.tile(x.astype(np.float64).sum(axis=0), (32, 1))}


@case(relative=2.0**-7, since="sm_80")
def bf16_arithmetic(rng):
    x, y = to_bf16(rng.uniform(-8, 8, (2, 32)))
    a, b = wide(from_bf16(x), from_bf16(y))
    rows = [
        a + b, a - b, a * b, a * b + a, -a, abs(b), np.maximum(a, b), np.minimum(a, b), a / b, np.sqrt(abs(a)), 3 * a,
        np.floor(a), np.where(a > b, a, -b),
    ]  # fmt: skip
    return [x, y, outputs(len(rows), 32, dtype=np.uint16)], {2: to_bf16(rows)}


@case(since="sm_80")
def bf16_pairs(rng):
    x, y = to_bf16(rng.uniform(-8, 8, (32, 2))), rng.uniform(-8, 8, (32, 2)).astype(np.float32)
    a, b = wide(from_bf16(x), from_bf16(to_bf16(y)))
    rows = [b, a + b, a * b, a * b + a, np.maximum(a, b), a - b]
    return [x, y, outputs(6, 32, 2, dtype=np.uint16)], {2: to_bf16(rows)}


@case()
def bf16_conversions(rng):
    x, y = to_bf16(rng.uniform(-8, 8, (32, 2))), rng.uniform(-8, 8, (32, 2)).astype(np.float32)
    low = np.ascontiguousarray(y[:, 0]).view(np.uint32) >> 16
    results = outputs(32, 2, dtype=np.uint16), outputs(32, 2), outputs(32, dtype=np.uint16)
    return [x, y, *results], {2: to_bf16(y), 3: from_bf16(x), 4: low}
