"""Reference results of the kernels in functions.cu."""

import numpy as np

from tests.emulator.foreign import Expected, cuda, outputs


@cuda("sm_75", "sm_90", block=64)
def virtual_functions(rng):
    x = rng.integers(1, 99, 64).astype(np.float32)
    y = outputs(64)
    expected = np.where(np.arange(64) % 3, 3 * x * x, 2 * x + 4)
    return [x, y], [Expected(y, expected)]


@cuda("sm_80", "sm_90", block=64)
def objects_on_the_heap(rng):
    x = rng.integers(1, 99, 64).astype(np.float32)
    y = outputs(64)
    i = np.arange(64)
    return [x, y], [Expected(y, np.where(i % 2, 3 * x * x, x / 2) + i + i % 4)]


@cuda("sm_75", "sm_120", grid=2, block=64)
def table_of_functions(rng):
    which, x = rng.integers(0, 4, 128, np.int32), rng.integers(-99, 99, 128, np.int32)
    y = outputs(128, dtype=np.int32)
    return [which, x, y], [Expected(y, np.choose(which, [x + 7, x - 7, x * 7, np.maximum(x, 7)]))]


@cuda("sm_80", "sm_120", block=32)
def functions_as_arguments(rng):
    x = rng.integers(-99, 99, 36, np.int32)
    y = outputs(32, dtype=np.int32)
    windows = np.lib.stride_tricks.sliding_window_view(x, 5)
    return [x, y], [Expected(y, np.where(np.arange(32) % 2, windows.sum(axis=1), windows.max(axis=1)))]


@cuda("sm_75", "sm_90", block=48)
def recursion(rng):
    y = outputs(48, 2, dtype=np.uint32)
    fibonacci = [0, 1]
    while len(fibonacci) < 12:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    # ackermann(2, n) is 2 n + 3.
    return [y], [Expected(y, [[fibonacci[i % 12], 2 * (i % 4) + 3] for i in range(48)])]


@cuda("sm_80", "sm_120", block=32)
def quicksort(rng):
    x = rng.integers(-999, 999, (32, 40), np.int32)
    expected = np.sort(x, axis=1)
    return [x, np.int32(40)], [Expected(x, expected)]
