"""A matrix product of CUTLASS and CuTe for Hopper, by NVRTC from the headers of the package nvidia-cutlass."""

from __future__ import annotations

from pathlib import Path

import cutlass_library
import numpy as np

from ptxbench import emulator, toolchain
from ptxbench.tensor_map import TensorMap
from tests.emulator.foreign import Case, Expected, Launch, Program, generator, outputs

SOURCE = Path(__file__).with_suffix(".cu")
HEADERS = Path(cutlass_library.__file__).with_name("source") / "include"


def pipelined_product():
    """Whole numbers, so that sums are exact; 7 slabs in a ring of 3 stages."""
    m, n, k = 256, 128, 448
    rng = generator()
    a, b = (rng.integers(-8, 9, shape).astype(np.float16) for shape in ((m, k), (n, k)))
    c = outputs(m, n)
    ptx = toolchain.compiled(SOURCE.read_bytes(), SOURCE, "sm_90a", (f"-I{HEADERS}", "--std=c++17"))[0]
    maps = [emulator.MapOf(array, TensorMap("map", "array", box=(64, 128), swizzle=128)) for array in (a, b)]
    launch = Launch(ptx, None, (n // 128, m // 128), 384, [*maps, c, np.int32(n), np.int32(k)], 3 * 32768 + 2048)
    return Program([launch], [Expected(c, a.astype(np.float32) @ b.astype(np.float32).T)])


CASES = [Case("pipelined_product", "sm_90a", pipelined_product)]
