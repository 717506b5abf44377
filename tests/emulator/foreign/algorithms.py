"""Reference results of the kernels in algorithms.cu."""

import hashlib
import zlib

import numpy as np

from tests.emulator.foreign import SEED, Expected, cuda, outputs

# ---- dense arrays


@cuda("sm_75", "sm_120", grid=(3, 2), block=(16, 16))
def transpose(rng):
    x = rng.normal(size=(25, 40)).astype(np.float32)
    y = outputs(40, 25)
    return [x, y, np.int32(25), np.int32(40)], [Expected(y, x.T)]


@cuda("sm_80", grid=(3, 3), block=(16, 16))
def matrix_product(rng):
    a, b = rng.normal(size=(2, 45, 45)).astype(np.float32)
    c = outputs(45, 45)
    left, right = a.astype(np.float64), b.astype(np.float64)
    bound = 48 * 2.0**-24 * (abs(left) @ abs(right))
    return [a.copy(), b.copy(), c, np.int32(45)], [Expected(c, left @ right, absolute=bound)]


@cuda("sm_75", "sm_120", grid=3, block=(32, 2))
def softmax(rng):
    x = (rng.normal(size=(6, 100)) * 4).astype(np.float32)
    y = outputs(6, 100)
    exponentials = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    # An exponent of up to 30 is rounded to 24 bits before the power of two is taken.
    bound = 2.0**-18 * exponentials / exponentials.sum(axis=1, keepdims=True)
    return [x, y, np.int32(100)], [Expected(y, exponentials / exponentials.sum(axis=1, keepdims=True), absolute=bound)]


@cuda("sm_80", grid=5, block=128)
def layer_norm(rng):
    x = rng.normal(size=(5, 300)).astype(np.float32)
    weight, bias = rng.normal(size=(2, 300)).astype(np.float32)
    y = outputs(5, 300)
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axis=1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * weight + bias
    args = [x, weight.copy(), bias.copy(), y, np.int32(300)]
    return args, [Expected(y, expected, relative=2.0**-19, absolute=2.0**-19)]


@cuda("sm_75", "sm_120", grid=(2, 3, 2), block=(8, 4, 4))
def stencil(rng):
    x = rng.integers(-99, 99, (7, 10, 13)).astype(np.float32)
    y = outputs(7, 10, 13)
    padded = np.pad(x, 1)
    expected = sum(np.roll(padded, step, axis) for axis in range(3) for step in (-1, 1)) - 6 * padded
    return [x, y, np.int32(13), np.int32(10), np.int32(7)], [Expected(y, expected[1:-1, 1:-1, 1:-1])]


# ---- sorts and counts


@cuda("sm_75", "sm_120", grid=2, block=256)
def bitonic_sort(rng):
    x = rng.integers(-9999, 9999, (2, 256), np.int32)
    expected = np.sort(x, axis=1)
    return [x], [Expected(x, expected)]


@cuda("sm_80", grid=3, block=128)
def histogram(rng):
    x = rng.integers(0, 256, 3000, np.uint8)
    counts = np.zeros(64, np.uint32)
    return [x, counts, np.int32(3000)], [Expected(counts, np.bincount(x // 4, minlength=64))]


@cuda("sm_75", "sm_120", grid=2, block=128, shared=1024)
def scan_work_efficient(rng):
    x = rng.integers(-99, 99, (2, 256), np.int32)
    y = outputs(2, 256, dtype=np.int32)
    return [x, y], [Expected(y, x.cumsum(axis=1) - x)]


@cuda("sm_75", "sm_80", grid=2, block=64)
def warp_votes(rng):
    x = rng.integers(0, 1 << 31, 128, np.int64).astype(np.int32)
    x[40:64] = rng.integers(0, 9, 24)
    y = outputs(128, 4, dtype=np.uint32)
    rows = []
    for warp in x.reshape(4, 32):
        ballot = sum(1 << i for i in range(32) if warp[i] % 3 == 0)
        for i in range(32):
            alike = sum(1 << j for j in range(32) if warp[j] & 3 == warp[i] & 3)
            rank = (ballot & (1 << i) - 1).bit_count() + 100 * bool((warp == 7).any()) + 200
            first = (alike & -alike).bit_length()
            rows.append([ballot, rank, alike, first + (1 if len({*(warp >> 30)}) == 1 else 2)])
    return [x, y], [Expected(y, rows)]


# ---- integers


@cuda("sm_75", "sm_120", block=32)
def sha256(rng):
    messages = rng.integers(0, 256, (32, 43), np.uint8)
    digests = outputs(32, 8, dtype=np.uint32)
    expected = [np.frombuffer(hashlib.sha256(message.tobytes()).digest(), ">u4") for message in messages]
    return [messages, np.int32(43), digests], [Expected(digests, np.stack(expected))]


@cuda("sm_80", block=64)
def crc32(rng):
    messages = rng.integers(0, 256, (64, 50), np.uint8)
    sums = outputs(64, dtype=np.uint32)
    return [messages, np.int32(50), sums], [Expected(sums, [zlib.crc32(message.tobytes()) for message in messages])]


@cuda("sm_75", "sm_120", block=64)
def hash64(rng):
    x = rng.integers(0, 1 << 64, 64, np.uint64)
    y = outputs(64, 2, dtype=np.uint64)
    mask, rows = (1 << 64) - 1, []
    for value in map(int, x):
        h = value ^ value >> 33
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            h = h * factor & mask
            h ^= h >> 33
        rows.append([h, h * value >> 64 ^ h * value & mask])
    return [x, y], [Expected(y, np.array(rows, np.uint64))]


@cuda("sm_80", grid=2, block=32)
def philox(rng):
    y = outputs(64, 4, dtype=np.uint32)
    counters = np.zeros((4, 64), np.uint64)
    counters[0] = np.arange(64)
    keys, low = [SEED, 0], 0xFFFFFFFF
    for _ in range(10):
        first, second = counters[0] * 0xD2511F53, counters[2] * 0xCD9E8D57
        counters = np.stack(
            [second >> 32 ^ counters[1] ^ keys[0], second & low, first >> 32 ^ counters[3] ^ keys[1], first & low]
        )
        keys = [keys[0] + 0x9E3779B9 & low, keys[1] + 0xBB67AE85 & low]
    return [np.uint32(SEED), y], [Expected(y, counters.T)]


@cuda("sm_75", "sm_120", block=32)
def edit_distance(rng):
    a, b = rng.integers(97, 100, (2, 32, 20), np.uint8)
    distances = outputs(32, dtype=np.int32)
    expected = []
    for one, other in zip(a, b, strict=True):
        row = list(range(21))
        for i in range(1, 21):
            before, row[0] = row.copy(), i
            for j in range(1, 21):
                row[j] = min(before[j - 1] + (one[i - 1] != other[j - 1]), before[j] + 1, row[j - 1] + 1)
        expected.append(row[-1])
    return [a.copy(), b.copy(), np.int32(20), distances], [Expected(distances, expected)]


@cuda("sm_80", "sm_120", block=64)
def byte_vectors(rng):
    x = rng.integers(0, 256, (64, 4), np.uint8)
    y = rng.integers(0, 256, (64, 4), np.uint8)
    z = outputs(64, 4, dtype=np.uint32)
    a, b = x.astype(np.int64), y.astype(np.int64)

    def packed(values):
        return (values << np.array([0, 8, 16, 24])).sum(axis=1)

    others = [int(value) for value in packed(b)]
    permuted = np.stack([a[:, 0], b[:, 0], a[:, 2], b[:, 1]], axis=1)
    reversed_bits = np.array([int(f"{value:032b}"[::-1], 2) for value in others])
    columns = [
        packed(np.minimum(a + b, 255)),
        packed(abs(a - b)),
        packed(permuted) + a[:, 3] & 0xFFFFFFFF,
        (a * b).sum(axis=1) + 17 + reversed_bits & 0xFFFFFFFF,
    ]
    return [x, y.view(np.uint32).reshape(-1), z], [Expected(z, np.stack(columns, axis=1))]


# ---- simulations


@cuda("sm_75", "sm_120", grid=(3, 6), block=(16, 8))
def mandelbrot(rng):
    counts = outputs(48, 48, dtype=np.int32)
    j, i = np.indices(counts.shape)
    x0, y0 = -2.25 + 3.0 * i / 48, -1.5 + 3.0 * j / 48
    x, y, expected = np.zeros_like(x0), np.zeros_like(y0), np.zeros(counts.shape, int)
    for _ in range(60):
        inside = x * x + y * y <= 4.0
        x, y = np.where(inside, x * x - y * y + x0, x), np.where(inside, 2.0 * x * y + y0, y)
        expected += inside
    return [counts, np.int32(48), np.int32(48)], [Expected(counts, expected)]


@cuda("sm_80", grid=2, block=64)
def n_body(rng):
    bodies = rng.random((128, 4)).astype(np.float32)
    forces = outputs(128, 4)
    wide = bodies.astype(np.float64)
    apart = wide[None, :, :3] - wide[:, None, :3]
    terms = apart * (wide[None, :, 3] / ((apart**2).sum(axis=2) + 0.01) ** 1.5)[:, :, None]
    bound = np.append(2.0**-17 * abs(terms).sum(axis=1), np.zeros((128, 1)), axis=1)
    expected = np.append(terms.sum(axis=1), np.zeros((128, 1)), axis=1)
    return [bodies, forces, np.int32(128)], [Expected(forces, expected, absolute=bound)]


@cuda("sm_75", "sm_120", grid=(2, 2), block=(16, 16))
def game_of_life(rng):
    x = rng.integers(0, 2, (32, 32), np.uint8)
    y = outputs(32, 32, dtype=np.uint8)
    alive = sum(np.roll(x, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1))
    return [x, y, np.int32(32)], [Expected(y, (alive == 3) | (alive == 4) & (x == 1))]


@cuda("sm_75", "sm_80", grid=2, block=64)
def fourier_transform(rng):
    x = (rng.normal(size=(2, 128)) + 1j * rng.normal(size=(2, 128))).astype(np.complex64)
    y = outputs(2, 128, dtype=np.complex64)
    bound = 7 * 2.0**-22 * np.sqrt(128 * (abs(x.astype(np.complex128)) ** 2).sum(axis=1, keepdims=True))
    return [x, y], [Expected(y, np.fft.fft(x.astype(np.complex128), axis=1), absolute=bound)]
