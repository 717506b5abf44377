"""Sums of arrays in device memory, by a kernel of ptxbench: whether a launch changed an input.

The key is drawn in each process, so that no kernel can know a change that keeps the sum. The sums are kept on the host,
where no launch can write.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import numpy as np

from ptxbench.pair import ceil_div

WORD = 8
"""Bytes of a word. An incomplete last word includes bytes of the guard zone, which are known."""

BLOCK, MOST_CTAS = 256, 4096


class Checksum:
    """Call it with an address and a size: it waits for the stream and returns the sum of these bytes.

    `cuda`: CuPy's layer over CUDA; `kernel`: returns the kernel of checksum.ptx.
    """

    def __init__(self, cuda: Any, stream: Any, kernel: Callable[[], Any]) -> None:
        self.cuda = cuda
        self.stream = stream
        self.kernel = kernel
        self.key = secrets.randbits(64)

    def __call__(self, address: int, size: int) -> int:
        runtime, copied = self.cuda.runtime, np.zeros(1, np.uint64)
        words = ceil_div(size, WORD)
        total = self.cuda.alloc(WORD)
        total.memset_async(0, WORD, self.stream)
        arguments = tuple(np.uint64(value) for value in (address, words, self.key, total.ptr))
        self.kernel()((min(ceil_div(words, BLOCK), MOST_CTAS),), (BLOCK,), arguments, 0, self.stream)
        runtime.memcpyAsync(copied.ctypes.data, total.ptr, WORD, runtime.memcpyDeviceToHost, self.stream.ptr)
        self.stream.synchronize()
        return int(copied[0])
