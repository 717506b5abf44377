"""The base of what emits one family of instructions for a warp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptxbench.emulator.emit import Emitter

if TYPE_CHECKING:
    from ptxbench.emulator.warp_ops import WarpOps


class WarpEmitter:
    """Emits operations of the current instruction's active lanes; `ops` knows the lanes and reserves the sites."""

    def __init__(self, ops: WarpOps) -> None:
        self.ops = ops

    @property
    def e(self) -> Emitter:
        return self.ops.e
