"""Tensor expressions as kernels of tinygrad's PTX renderer. It needs no device and opens none."""

import functools

import numpy as np
from tinygrad import Tensor, dtypes
from tinygrad.codegen import to_program
from tinygrad.helpers import Context, Target
from tinygrad.renderer.ptx import PTXRenderer
from tinygrad.uop.ops import Ops

from tests.emulator.foreign import Expected, Launch, Program, generator, register

SETTINGS = {"DEV": "NULL", "CACHELEVEL": 0, "NO_MEMORY_PLANNER": 1}
"""A device that computes nothing, without a cache outside the tests; each buffer is a separate array."""


def expression(*archs):
    """Decorator: the function takes a generator and returns a function of tensors, its arrays and the expected result.

    The result is `values` or `(values, relative, absolute)`, as of `Expected`.
    """

    def decorator(case):
        def make(arch):
            function, arrays, result = case(generator())
            with Context(**SETTINGS):
                launches, computed = lowered(function, arrays, arch)
            values, *bounds = result if isinstance(result, tuple) else (result,)
            values = np.asarray(values)
            return Program(launches, [Expected(computed.reshape(values.shape), values, *bounds)])

        for arch in archs:
            register(__name__, case.__name__, arch, functools.partial(make, arch))
        return case

    return decorator


def lowered(function, arrays, arch):
    """The launches that compute `function` of `arrays`, and the array that holds its result after them."""
    inputs = [Tensor.empty(*array.shape, dtype=getattr(dtypes, array.dtype.name)) for array in arrays]
    result = function(*inputs).contiguous()
    renderer = PTXRenderer(Target("CUDA", "PTX", arch))
    held = {tensor.uop.buf_uop: array for tensor, array in zip(inputs, arrays, strict=True)}
    launches = []
    for call in result.schedule_linear().src:
        buffers = [operand.buf_uop for operand in call.src[1:]]
        for buffer in buffers:
            if buffer not in held:
                held[buffer] = np.zeros(buffer.shape, np.dtype(buffer.dtype.fmt))
        program = to_program(call.src[0], renderer)
        [ptx] = [part.arg.decode() for part in program.src if part.op is Ops.BINARY]
        grid, block = program.arg.launch_dims({})
        launches.append(Launch(ptx, None, grid, block, [held[buffers[i]] for i in program.arg.globals]))
    return launches, held[result.uop.buf_uop]


@expression("sm_75", "sm_90")
def elementwise(rng):
    x, y = rng.integers(-99, 99, (2, 40, 50)).astype(np.float32)
    return lambda x, y: (x * y + 3).relu() - y, [x.copy(), y.copy()], np.maximum(x * y + 3, 0) - y


@expression("sm_75", "sm_80", "sm_120")
def matrix_product(rng):
    a, b = rng.normal(size=(2, 48, 64)).astype(np.float32)
    left, right = a.astype(np.float64), b.T.astype(np.float64)
    return lambda a, b: a @ b.T, [a.copy(), b.copy()], (left @ right, 0.0, 64 * 2.0**-24 * (abs(left) @ abs(right)))


@expression("sm_75", "sm_80", "sm_120")
def half_product(rng):
    """By tensor cores, where tinygrad uses them."""
    a, b = rng.normal(size=(2, 64, 64)).astype(np.float16)
    left, right = a.astype(np.float64), b.astype(np.float64)
    bound = 65 * 2.0**-23 * (abs(left) @ abs(right))
    return lambda a, b: a.matmul(b, dtype=dtypes.float), [a.copy(), b.copy()], (left @ right, 0.0, bound)


@expression("sm_75", "sm_90")
def sums(rng):
    x = rng.integers(-99, 99, (16, 3000)).astype(np.float32)
    return lambda x: x.sum(axis=1), [x], x.sum(axis=1)


@expression("sm_80", "sm_120")
def softmax(rng):
    x = (rng.normal(size=(16, 300)) * 3).astype(np.float32)
    exponentials = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return lambda x: x.softmax(1), [x], (exponentials / exponentials.sum(axis=1, keepdims=True), 2.0**-17, 0.0)


@expression("sm_75", "sm_90")
def layer_norm(rng):
    x = rng.normal(size=(8, 256)).astype(np.float32)
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axis=1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    return lambda x: x.layernorm(), [x], (expected, 2.0**-18, 2.0**-18)


@expression("sm_80", "sm_120")
def convolution(rng):
    x = rng.integers(-9, 9, (2, 4, 12, 12)).astype(np.float32)
    weight = rng.integers(-9, 9, (8, 4, 3, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    return lambda x, w: x.conv2d(w), [x, weight], np.einsum("bcijkl,ockl->boij", windows, weight)


@expression("sm_75", "sm_90")
def running_sums(rng):
    x = rng.integers(-99, 99, (4, 600), np.int32)
    return lambda x: x.cumsum(1), [x], x.cumsum(axis=1)


@expression("sm_80", "sm_120")
def sorting(rng):
    x = rng.integers(-9999, 9999, (4, 64), np.int32)
    return lambda x: x.sort(1)[0], [x], np.sort(x, axis=1)


@expression("sm_75", "sm_90")
def argmax(rng):
    x = rng.normal(size=(10, 200)).astype(np.float32)
    return lambda x: x.argmax(1).cast(dtypes.int32), [x], x.argmax(axis=1)


@expression("sm_80", "sm_120")
def gather(rng):
    x = rng.integers(0, 999, (50, 8), np.int32)
    index = rng.integers(0, 50, 30, np.int32)
    return lambda x, i: x[i], [x, index], x[index]


@expression("sm_75", "sm_90")
def max_pool(rng):
    x = rng.normal(size=(2, 3, 16, 16)).astype(np.float32)
    return lambda x: x.max_pool2d(), [x], x.reshape(2, 3, 8, 2, 8, 2).max(axis=(3, 5))


@expression("sm_80", "sm_120")
def functions(rng):
    x = rng.normal(size=500).astype(np.float32)
    wide = x.astype(np.float64)
    expected = np.tanh(wide) + np.sin(wide) * np.exp(wide) + np.log(abs(wide) + 1) + np.sqrt(abs(wide))
    return lambda x: x.tanh() + x.sin() * x.exp() + (x.abs() + 1).log() + x.abs().sqrt(), [x], (expected, 0, 2.0**-17)


@expression("sm_75", "sm_90")
def integers(rng):
    x, y = rng.integers(1, 1000, (2, 400), np.int32)
    expected = (x // y + x % y) ^ (x << 3) & (y >> 1)
    return lambda x, y: (x // y + x % y) ^ ((x << 3) & (y >> 1)), [x.copy(), y.copy()], expected


@expression("sm_80", "sm_120")
def bytes_and_flags(rng):
    x, y = rng.integers(0, 256, (2, 300), np.uint8)
    expected = np.where((x > y) & (x % 2 == 0), x + y & 255, x ^ y)
    return lambda x, y: ((x > y) & (x % 2 == 0)).where(x + y, x ^ y), [x.copy(), y.copy()], expected


@expression("sm_90", "sm_120")
def attention(rng):
    q, k, v = rng.normal(size=(3, 2, 24, 16)).astype(np.float32)
    scores = np.einsum("bij,bkj->bik", q.astype(np.float64), k) / 4
    scores = np.where(np.tri(24, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    expected = weights / weights.sum(axis=2, keepdims=True) @ v

    def function(q, k, v):
        return q.scaled_dot_product_attention(k, v, is_causal=True)

    return function, [q.copy(), k.copy(), v.copy()], (expected, 0.0, 2.0**-16)
