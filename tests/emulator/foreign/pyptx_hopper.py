"""The matrix product that pyptx ships for Hopper: clusters of two, multicast, a ring of stages, tiles in Hilbert order.

pyptx is imported when the case is made. It prints its PTX without JAX, PyTorch or a GPU.
"""

import ml_dtypes
import numpy as np

from ptxbench import emulator
from ptxbench.tensor_map import TensorMap
from tests.emulator.foreign import Expected, Launch, Program, generator, outputs, register
from tests.folders import changed

M, N, K = 256, 512, 320
"""Two tiles of 256 x 256: two of the 64 clusters have one."""
LAST, ENDED = (
    "consumer_exit:\n\tret;",
    ("consumer_exit:\n\tcp.async.bulk.wait_group 0;\n\tbarrier.cluster.arrive;\n\tbarrier.cluster.wait;\n\tret;"),
)
"""How its CTAs end, and how they must: after the stores of c, and after the other CTA's arrivals at their mbarriers."""


def matrix_map(rows, columns, box, swizzle=0):
    """A matrix of bf16 in slabs of 64 columns: dimensions of a column in its slab, a row, and a slab."""
    return TensorMap(
        "map",
        "x",
        box=box,
        shape=lambda: (64, rows, columns // 64),
        strides=lambda: (2 * columns, 128),
        swizzle=swizzle,
    )


def in_memory(array, tiled):
    """A tensor map in global memory: its 128 bytes, of which the first 8 are the address of `array`."""
    held = np.zeros(1, [("address", object), ("words", np.uint32, 30)])
    held["address"][0] = emulator.Pointer(array)
    held["words"][0] = np.frombuffer(emulator.MapOf(array, tiled).encoded(0), np.uint32)[2:]
    return held


def gemm(*, as_written=False):
    from pyptx.examples.hopper import gemm_highperf_hopper as source

    rng = generator()
    a, b = (rng.integers(-8, 9, shape).astype(ml_dtypes.bfloat16) for shape in ((M, K), (N, K)))
    expected = (b.astype(np.float32) @ a.astype(np.float32).T).astype(ml_dtypes.bfloat16)
    held = {"a": a.view(np.uint16), "b": b.view(np.uint16), "c": outputs(N, M, dtype=np.uint16)}
    maps = {
        "a": matrix_map(M, K, (64, 128, 1), 128),
        "b": matrix_map(N, K, (64, 256, 1), 128),
        "c": matrix_map(N, M, (72, 256, 1)),  # rows of 64 and 8 more, which are outside
    }
    schedule = source.create_hilbert_schedule(M // 256, N // 256).view(np.uint32)
    arguments = [held["a"], held["b"], schedule, held["c"], *map(np.uint32, (M, N, K))]
    arguments += [in_memory(held[name], tiled) for name, tiled in maps.items()]
    text = source.gemm_warp_specialized.ptx(M=M, N=N, K=K)
    if not as_written:
        text = changed(text, LAST, ENDED)
    launch = Launch(text, None, source.NUM_SM, 384, arguments, source.SMEM_TOTAL)
    return Program([launch], [Expected(held["c"], expected.view(np.uint16))])


register(__name__, "gemm", "sm_90a", gemm)
