"""Reference results of the kernels in language.cu."""

import numpy as np

from tests.emulator.snippets import case, outputs

LANES = np.arange(32)


@case()
def templates(rng):
    x = rng.integers(-100, 100, 32, np.int32)
    sums = (x + 2.5 + LANES).astype(np.float32)
    return [x, outputs(32, dtype=np.int32), outputs(32)], {1: x**3, 2: sums}


@case(relative=2e-7, absolute=1e-6)
def lambdas(rng):
    x, a = rng.uniform(-1, 1, 32).astype(np.float32), np.float32(1.5)
    return [x, outputs(32), a], {1: (x * 1.5 + 1) * 1.5 + 1}


@case(grid=4)
def classes(rng):
    """On a grid of eighths, where the first steps are exact; far from the set's edge the later ones do not matter."""
    x, y = rng.integers(-16, 16, (2, 128)).astype(np.float32) / 8
    steps = np.zeros(128, np.int32)
    z_re, z_im = np.zeros((2, 128), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(50):
            inside = z_re * z_re + z_im * z_im <= 4
            steps += inside
            z_re, z_im = z_re * z_re - z_im * z_im + x, z_re * z_im + z_im * z_re + y
            z_re[~inside] = z_im[~inside] = 9
    return [x, y, outputs(128, dtype=np.int32)], {2: steps}


@case()
def inheritance(rng):
    w, h = rng.uniform(0, 9, (2, 32)).astype(np.float32)
    return [w, h, outputs(32)], {2: w * h}


@case()
def functions(rng):
    p = rng.uniform(-1, 1, (32, 2)).astype(np.float32)
    q = p.copy()
    for i in LANES:
        for _ in range(i % 4 + 1):
            q[i] = -q[i, 1], q[i, 0]
    pairs = np.stack([LANES, 100 - LANES], axis=1)
    pairs[::3] = pairs[::3, ::-1]
    return [p, outputs(32, 2), outputs(32, 2, dtype=np.int32)], {1: q, 2: pairs}


@case()
def switches(rng):
    x = rng.integers(-1000, 1000, 32, np.int32)
    y = 1000 + LANES % 16
    results = {
        0: x + 1, 1: x * 3, 2: x ^ 0x55, 3: x << 2, 4: x << 2, 5: ~x, 6: np.trunc(x / 5), 7: np.fmod(x, 5), 8: x >> 3,
        9: -x, 11: x | 1,
    }  # fmt: skip
    for arm, result in results.items():
        y = np.where(arm == LANES % 16, result, y)
    return [x, outputs(32, dtype=np.int32)], {1: y}


@case()
def gotos(rng):
    grid = rng.integers(-2, 20, (32, 8, 8), np.int32)
    codes = []
    for mine in grid:
        visible = [
            (row, column)
            for row in range(8)
            for column in range(8)
            if mine[row, column] == 7 and (mine[row, :column] >= 0).all()
        ]
        codes.append(100 * visible[0][0] + visible[0][1] if visible else 799)
    return [grid, outputs(32, dtype=np.int32), np.int32(7)], {1: codes}


@case(grid=3, block=64)
def early_return(rng):
    n = 150
    x, y = rng.integers(-5, 100, n, np.int32), []
    for v in map(int, x):
        steps = 0
        while v > 1 and steps < 200:
            v = 3 * v + 1 if v % 2 else v // 2
            steps += 1
        y.append(steps if v > 0 else -1)
    return [x, outputs(n, dtype=np.int32), np.int32(n)], {1: y}


@case()
def short_circuit(rng):
    x, y = rng.integers(-3, 4, (2, 32), np.int32)
    both = (x > 0) & (12 // np.where(x > 0, x, 1) > y)
    either = (x < 0) | (y % 2 == 0)
    return [x, y, outputs(32, dtype=np.uint8)], {2: both + 2 * either + 4 * (both != either)}


@case(relative=1e-6, absolute=2e-5)
def constants(rng):
    x = rng.uniform(-9, 9, (32, 8)).astype(np.float32)
    weights = [0.5, -1, 2, 0.25, 3, -0.125, 1, 4]
    z = 40 + np.array([1, 2, 3, -4])[LANES % 4]
    return [x, outputs(32), outputs(32, dtype=np.int32)], {1: x.astype(np.float64) @ weights, 2: z}


@case(grid=2, block=48, shared=48 * 8)
def dynamic_shared(rng):
    x = rng.uniform(-1, 1, (2, 48)).astype(np.float32)
    return [x, outputs(2, 48), np.int32(48)], {1: x[:, ::-1]}


@case(block=(32, 8))
def static_shared(rng):
    x = rng.integers(0, 999, (8, 32), np.int32)
    return [x, outputs(32, 8, dtype=np.int32)], {1: x.T}


@case()
def local_arrays(rng):
    x = rng.integers(-99, 99, (32, 16), np.int32)
    return [x, outputs(32, 16, dtype=np.int32)], {1: np.sort(x)}


@case(grid=5)
def last_block(rng):
    x = rng.integers(-99, 99, (5, 64), np.int32)
    return [x, outputs(1, dtype=np.int32)], {1: [x.sum()]}


@case(block=64)
def volatile_flag(rng):
    x = rng.integers(0, 99, 1, np.int32)
    return [x, outputs(32, dtype=np.int32)], {1: x * 3 + 32 + LANES}


OPTIONS = np.dtype(
    [("tag", "i1"), ("scale", "f8"), ("shift", "i4", 3), ("range", [("low", "u2"), ("high", "u2")])], align=True
)


@case(relative=1e-6)
def struct_by_value(rng):
    x = rng.uniform(-9, 9, 32).astype(np.float32)
    options = np.array([(65, 3.5, (1, -2, 30), (2, 40))], OPTIONS)
    y = np.clip(x * 3.5 + np.array([1, -2, 30])[LANES % 3], 2, 40) + 60
    return [x, outputs(32), np.void(options.tobytes()), np.int8(5)], {1: y}


@case()
def unions(rng):
    x = rng.normal(size=32).astype(np.float32)
    u = x.view(np.uint32)
    high = (u >> 16).astype(np.uint16).view(np.int16).astype(np.int32).view(np.uint32)
    return [x, outputs(32, 4, dtype=np.uint32)], {
        1: np.stack([u, u >> 24 << 8 | u & 255, high, u ^ 0x80000000], axis=1)
    }


@case()
def bytes_and_shorts(rng):
    x = rng.integers(0, 256, (32, 4)).astype(np.uint8)
    s = rng.integers(-(2**15), 2**15, 32).astype(np.int16)
    a, b, c, d = x.T.astype(int)
    y = np.stack([d, a + b & 255, b * c & 255, c >> 2], axis=1)
    with np.errstate(over="ignore"):
        t = s * s
    halves = np.trunc(s.astype(np.int8) / 2).astype(np.int8)
    results = [outputs(32, 4, dtype=np.uint8), outputs(32, dtype=np.int16), outputs(32, dtype=np.int8)]
    return [x, s, *results], {2: y, 3: t, 4: halves}


@case(grid=(2, 3, 2), block=(4, 2, 3))
def grid_3d(rng):
    z, y, x = np.indices((6, 6, 8))
    return [outputs(6, 6, 8, dtype=np.int32)], {0: 10000 * z + 100 * y + x}


@case(grid=2, block=40)
def grid_stride(rng):
    x = rng.normal(size=(333, 2))
    return [x, outputs(333, dtype=np.float64), np.int32(333)], {1: x[:, 0] - x[:, 1]}
