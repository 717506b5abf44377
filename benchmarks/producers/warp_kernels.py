"""Warp's kernels, compiled ahead of time for a target without a GPU."""
# ruff: noqa: RUF046, SIM108, UP018 - the language of the kernels is a part of Python with its own types

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import warp as wp

from ptxbench import emulator
from tests.emulator.foreign import Case, Expected, Launch, Program, generator, outputs

wp.config.quiet = True
wp.set_module_options({"enable_backward": False})

CASES: list[Case] = []
BLOCK = 256


def case(kernel, size, *archs):
    """Decorator: the function takes a generator and returns the arguments and the `Expected` results.

    `size`: the shape of the launch, threads in each dimension.
    """

    def decorator(reference):
        def make(arch):
            args, expected = reference(generator())
            ptx = compiled(arch)
            entry = f"{kernel.get_mangled_name()}_cuda_kernel_forward"
            packed = [bounds(size), *(descriptor(argument) for argument in args)]
            blocks = -(-int(np.prod(size)) // BLOCK)
            return Program([Launch(ptx, entry, blocks, BLOCK, packed)], expected)

        for arch in archs or ("sm_75", "sm_80", "sm_90", "sm_120"):
            CASES.append(Case(reference.__name__, arch, functools.partial(make, arch)))
        return reference

    return decorator


@functools.cache
def compiled(arch):
    """The PTX of this module's kernels."""
    with tempfile.TemporaryDirectory() as folder:
        wp.compile_aot_module(__name__, arch=int(arch[3:]), module_dir=folder, use_ptx=True)
        [path] = Path(folder).glob("*.ptx")
        return path.read_text()


def bounds(size):
    """The structure by which a kernel knows the size of its launch."""
    # The shape in 32-bit words, up to a multiple of 8 bytes; the product; the threads a coordinate.
    shape = np.array([*size, *[0] * (len(size) % 2)], np.uint32)
    return np.void(shape.tobytes() + np.array([np.prod(size), 1], np.uint64).tobytes())


DESCRIPTOR = np.dtype(
    {
        "names": ["data", "grad", "shape", "strides", "ndim", "flags"],
        "formats": [object, object, (np.int32, 4), (np.int32, 4), np.uint16, np.uint16],
        "offsets": [0, 8, 16, 32, 48, 50],
        "itemsize": 56,
    }
)
"""Warp's array, as its kernels take it by value."""


def descriptor(value):
    """An argument as the kernel takes it: for an array, the structure that describes it."""
    if not isinstance(value, np.ndarray):
        return value
    record = np.zeros((), DESCRIPTOR)
    record["grad"] = None
    record["data"], record["ndim"] = emulator.Pointer(value), value.ndim
    record["shape"][: value.ndim], record["strides"][: value.ndim] = value.shape, value.strides
    return record[()]


# ---- maps


@wp.kernel
def saxpy_kernel(x: wp.array(dtype=float), y: wp.array(dtype=float), s: float):
    i = wp.tid()
    y[i] = s * x[i] + y[i]


@case(saxpy_kernel, (1000,))
def saxpy(rng):
    x, y = rng.integers(-99, 99, (2, 1000)).astype(np.float32)
    y, expected = y.copy(), 3 * x + y
    return [x.copy(), y, np.float32(3)], [Expected(y, expected)]


@wp.kernel
def laplace_kernel(x: wp.array2d(dtype=float), y: wp.array2d(dtype=float)):
    i, j = wp.tid()
    if i > 0 and j > 0 and i < x.shape[0] - 1 and j < x.shape[1] - 1:
        y[i, j] = x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1] - 4.0 * x[i, j]


@case(laplace_kernel, (14, 30))
def laplace(rng):
    x = rng.integers(-99, 99, (14, 30)).astype(np.float32)
    y, expected = np.zeros((14, 30), np.float32), np.zeros((14, 30))
    expected[1:-1, 1:-1] = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]
    return [x, y], [Expected(y, expected)]


@wp.kernel
def functions_kernel(x: wp.array(dtype=wp.float64), y: wp.array2d(dtype=wp.float64)):
    i = wp.tid()
    y[i, 0] = wp.sin(x[i]) * wp.exp(x[i])
    y[i, 1] = wp.atan2(x[i], wp.float64(2.0)) + wp.floor(x[i])
    y[i, 2] = wp.pow(wp.abs(x[i]), wp.float64(1.5))


@case(functions_kernel, (100,))
def functions(rng):
    x = rng.normal(size=100)
    y = outputs(100, 3, dtype=np.float64)
    columns = [np.sin(x) * np.exp(x), np.arctan2(x, 2) + np.floor(x), abs(x) ** 1.5]
    return [x, y], [Expected(y, np.stack(columns, axis=1), relative=2.0**-48, absolute=2.0**-50)]


@wp.kernel
def half_kernel(x: wp.array(dtype=wp.float16), y: wp.array(dtype=wp.float16)):
    i = wp.tid()
    y[i] = x[i] * x[i] + wp.float16(1.0)


@case(half_kernel, (300,))
def half_precision(rng):
    x = rng.integers(-20, 20, 300).astype(np.float16)
    y = outputs(300, dtype=np.float16)
    return [x, y], [Expected(y, x * x + 1)]


@wp.kernel
def mandelbrot_kernel(counts: wp.array2d(dtype=int)):
    i, j = wp.tid()
    x0, y0 = -2.25 + 3.0 * float(j) / 32.0, -1.5 + 3.0 * float(i) / 32.0
    x, y = float(0.0), float(0.0)
    count = int(0)
    while x * x + y * y <= 4.0 and count < 40:
        x, y = x * x - y * y + x0, 2.0 * x * y + y0
        count += 1
    counts[i, j] = count


@case(mandelbrot_kernel, (32, 32))
def mandelbrot(rng):
    # No point is near the edge, where one rounding more or less would matter.
    counts = outputs(32, 32, dtype=np.int32)
    i, j = np.indices(counts.shape)
    x0, y0 = -2.25 + 3.0 * j / 32, -1.5 + 3.0 * i / 32
    x, y, expected = np.zeros_like(x0), np.zeros_like(y0), np.zeros(counts.shape, int)
    for _ in range(40):
        inside = x * x + y * y <= 4.0
        x, y = np.where(inside, x * x - y * y + x0, x), np.where(inside, 2.0 * x * y + y0, y)
        expected += inside
    return [counts], [Expected(counts, expected)]


# ---- sums, atomics, random numbers


@wp.kernel
def sum_kernel(x: wp.array(dtype=float), total: wp.array(dtype=float), most: wp.array(dtype=float)):
    i = wp.tid()
    wp.atomic_add(total, 0, x[i])
    wp.atomic_max(most, 0, x[i])


@case(sum_kernel, (700,))
def sums(rng):
    x = rng.integers(-99, 99, 700).astype(np.float32)
    total, most = np.zeros(1, np.float32), np.full(1, -1e30, np.float32)
    return [x, total, most], [Expected(total, x.sum()), Expected(most, x.max())]


@wp.kernel
def histogram_kernel(x: wp.array(dtype=int), counts: wp.array(dtype=int)):
    wp.atomic_add(counts, x[wp.tid()] % 16, 1)


@case(histogram_kernel, (600,))
def histogram(rng):
    x = rng.integers(0, 999, 600, np.int32)
    counts = np.zeros(16, np.int32)
    return [x, counts], [Expected(counts, np.bincount(x % 16, minlength=16))]


@wp.kernel
def random_kernel(seed: int, y: wp.array(dtype=wp.uint32)):
    i = wp.tid()
    state = wp.rand_init(seed, i)
    y[i] = wp.randu(state)


def pcg(state):
    low = 0xFFFFFFFF
    step = state * 747796405 + 2891336453 & low
    word = (step >> (step >> 28) + 4 ^ step) * 277803737 & low
    return word >> 22 ^ word


@case(random_kernel, (200,))
def random_numbers(rng):
    y = outputs(200, dtype=np.uint32)
    return [np.int32(5), y], [Expected(y, [pcg(pcg(5 + pcg(i) & 0xFFFFFFFF)) for i in range(200)])]


# ---- vectors, matrices, structures


@wp.kernel
def rotate_kernel(x: wp.array(dtype=wp.vec3), angle: float, y: wp.array(dtype=wp.vec3)):
    i = wp.tid()
    turn = wp.quat_from_axis_angle(wp.vec3(0.0, 0.0, 1.0), angle)
    y[i] = wp.quat_rotate(turn, x[i]) + wp.cross(x[i], wp.vec3(1.0, 0.0, 0.0)) * wp.length(x[i])


@case(rotate_kernel, (150,))
def rotate(rng):
    x = rng.normal(size=(150, 3)).astype(np.float32)
    y = outputs(150, 3)
    wide = x.astype(np.float64)
    turn = np.array([[np.cos(0.7), -np.sin(0.7), 0], [np.sin(0.7), np.cos(0.7), 0], [0, 0, 1]])
    crossed = np.cross(wide, [1, 0, 0]) * np.linalg.norm(wide, axis=1, keepdims=True)
    return [vectors(x), np.float32(0.7), vectors(y)], [Expected(y, wide @ turn.T + crossed, absolute=2.0**-18)]


def vectors(x):
    """An array of vectors as an array of bytes; shape and strides still count vectors."""
    return x.reshape(x.shape[0], -1).view(f"V{x.itemsize * x[0].size}").reshape(-1)


@wp.kernel
def inverse_kernel(x: wp.array(dtype=wp.mat33), y: wp.array(dtype=wp.mat33), determinants: wp.array(dtype=float)):
    i = wp.tid()
    y[i] = wp.inverse(x[i]) @ x[i] + wp.transpose(x[i])
    determinants[i] = wp.determinant(x[i])


@case(inverse_kernel, (80,))
def inverse(rng):
    x = (rng.normal(size=(80, 3, 3)) + 4 * np.eye(3)).astype(np.float32)
    y, determinants = outputs(80, 3, 3), outputs(80)
    expected = np.eye(3) + x.transpose(0, 2, 1)
    checks = [Expected(y, expected, absolute=2.0**-12)]
    checks.append(Expected(determinants, np.linalg.det(x.astype(np.float64)), absolute=2.0**-12))
    return [vectors(x), vectors(y), determinants], checks


@wp.kernel
def n_body_kernel(x: wp.array(dtype=wp.vec3), y: wp.array(dtype=wp.vec3)):
    i = wp.tid()
    force = wp.vec3()
    for j in range(x.shape[0]):
        apart = x[j] - x[i]
        near = wp.dot(apart, apart) + 0.01
        force += apart / (near * wp.sqrt(near))
    y[i] = force


@case(n_body_kernel, (100,))
def n_body(rng):
    x = rng.random((100, 3)).astype(np.float32)
    y = outputs(100, 3)
    apart = x[None].astype(np.float64) - x[:, None]
    terms = apart / ((apart**2).sum(axis=2) + 0.01)[:, :, None] ** 1.5
    return [vectors(x), vectors(y)], [Expected(y, terms.sum(axis=1), absolute=2.0**-16 * abs(terms).sum(axis=1))]


@wp.func
def collatz(n: int):
    steps = int(0)
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


@wp.kernel
def collatz_kernel(y: wp.array(dtype=int)):
    i = wp.tid()
    y[i] = collatz(i + 1)


@case(collatz_kernel, (200,))
def collatz_steps(rng):
    y = outputs(200, dtype=np.int32)
    expected = []
    for n in range(1, 201):
        steps = 0
        while n != 1:
            n, steps = (3 * n + 1 if n % 2 else n // 2), steps + 1
        expected.append(steps)
    return [y], [Expected(y, expected)]


@wp.kernel
def tiles_kernel(x: wp.array2d(dtype=float), y: wp.array(dtype=float)):
    i, _ = wp.tid()
    tile = wp.tile_load(x[i], shape=256)
    wp.tile_store(y, wp.tile_sum(tile), offset=i)


@case(tiles_kernel, (3, BLOCK))
def tiles(rng):
    x = rng.integers(-99, 99, (3, 256)).astype(np.float32)
    y = outputs(3)
    return [x, y], [Expected(y, x.sum(axis=1))]
