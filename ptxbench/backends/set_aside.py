"""The part of L2 that is set aside for persisting lines: a limit of the context, 0 unless it was requested.

Other accesses do not evict lines from it, even if they are no longer marked. So L2 is emptied with nothing set aside.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ptxbench.backends.flush import PERSISTING_L2
from ptxbench.errors import LaunchUnavailable


class SetAside:
    """`driver`: NVIDIA's library, loaded by ctypes; `wait`: waits for the stream, because the driver acts at once.

    `bytes`: how much is set aside.
    """

    def __init__(self, driver: Any, wait: Callable[[], None]) -> None:
        self.driver = driver
        self.wait = wait
        self.bytes = 0

    def require(self, wanted: int) -> None:
        """Set that many bytes aside. Raises LaunchUnavailable if the driver refuses."""
        if wanted != self.bytes:
            self.limit(wanted)
            self.bytes = wanted

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """A context in which nothing is set aside; on exit it waits for what was enqueued."""
        if not self.bytes:
            yield
            return
        self.limit(0)
        yield
        self.limit(self.bytes)

    def limit(self, wanted: int) -> None:
        self.wait()
        status = self.driver.cuCtxSetLimit(PERSISTING_L2, ctypes.c_size_t(wanted))
        if status:
            raise LaunchUnavailable(f"The driver refused to set {wanted:,} bytes of L2 aside (CUresult {status}).")
