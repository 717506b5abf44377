"""A replacement for CuPy, as far as ptxbench uses it: its layer over CUDA, for the simulated device."""

from cupy import cuda

__all__ = ["cuda", "get_default_memory_pool"]

get_default_memory_pool = cuda.MemoryPool
