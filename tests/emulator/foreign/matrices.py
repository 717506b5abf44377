"""Reference results of the kernels in matrices.cu."""

import ml_dtypes
import numpy as np

from tests.emulator.foreign import Expected, cuda, outputs

N = 32


def product(rng, dtype, result, roundoff):
    """A, B by columns, C and n; C within the rounding of its n products and additions."""
    a, b = (rng.normal(size=(N, N)).astype(dtype) for _ in range(2))
    c = outputs(N, N, dtype=result)
    left, right = a.astype(np.float64), b.T.astype(np.float64)
    bound = (N + 1) * roundoff * (abs(left) @ abs(right))
    args = [array.view(np.uint16) if dtype is ml_dtypes.bfloat16 else array for array in (a, b)]
    return [*args, c, np.int32(N)], [Expected(c, left @ right, absolute=bound)]


@cuda("sm_75", "sm_80", "sm_120", grid=(1, 2), block=64)
def product_f16(rng):
    return product(rng, np.float16, np.float32, 2.0**-23)


@cuda("sm_75", "sm_120", grid=(1, 2), block=64)
def product_s8(rng):
    a, b = (rng.integers(-128, 128, (N, N), np.int8) for _ in range(2))
    c = outputs(N, N, dtype=np.int32)
    return [a, b, c, np.int32(N)], [Expected(c, a.astype(int) @ b.T.astype(int))]


@cuda("sm_80", "sm_120", grid=(1, 2), block=64)
def product_bf16(rng):
    return product(rng, ml_dtypes.bfloat16, np.float32, 2.0**-23)


@cuda("sm_80", grid=(1, 2), block=64)
def product_tf32(rng):
    args, expected = product(rng, np.float32, np.float32, 2.0**-23)
    for arg in args[:2]:  # eleven significant bits are exact in tf32
        arg.view(np.uint32)[:] &= 0xFFFFE000
    left, right = args[0].astype(np.float64), args[1].T.astype(np.float64)
    return args, [Expected(args[2], left @ right, absolute=expected[0].absolute)]


@cuda("sm_80", "sm_120", grid=(4, 4), block=32)
def product_f64(rng):
    a, b = rng.normal(size=(2, N, N))
    c = outputs(N, N, dtype=np.float64)
    return [a.copy(), b.copy(), c, np.int32(N)], [Expected(c, a @ b, absolute=N * 2.0**-52 * (abs(a) @ abs(b)))]


@cuda("sm_75", "sm_80", "sm_120", grid=(2, 2), block=128)
def product_tiled(rng):
    a, b = rng.normal(size=(2, 64, 64)).astype(np.float16)
    bias = rng.normal(size=64).astype(np.float32)
    c = outputs(64, 64, dtype=np.float16)
    left, right = a.astype(np.float64), b.astype(np.float64)
    bound = 66 * 2.0**-23 * (abs(left) @ abs(right))
    expected = np.maximum(0.5 * (left @ right) + bias, 0)
    return [a.copy(), b.copy(), bias, c, np.int32(64)], [Expected(c, expected, relative=2.0**-11, absolute=bound)]
