"""The bases of what emits one family of instructions for a warp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptxbench.emulator.emit import Emitter
from ptxbench.emulator.races import layout
from ptxbench.emulator.runtime.context import RuntimeFunction

if TYPE_CHECKING:
    from ptxbench.emulator.warp_ops import WarpOps


class WarpEmitter:
    """Emits operations of the current instruction's active lanes; `ops` knows the lanes and reserves the sites."""

    def __init__(self, ops: WarpOps) -> None:
        self.ops = ops

    @property
    def e(self) -> Emitter:
        return self.ops.e


class GroupedCopies(WarpEmitter):
    """Emits copies that complete in groups, with the runtime functions that end a group and wait for groups."""

    COMMIT: RuntimeFunction
    WAIT: RuntimeFunction

    def commit(self) -> None:
        self.e.line(f"call void @{self.ops.function(self.COMMIT)}(ptr %env, i32 {self.ops.active})")

    def wait(self, keep: int) -> None:
        """Complete the copies of the active lanes, except their last `keep` groups."""
        self.e.line(f"call void @{self.ops.function(self.WAIT)}(ptr %env, i32 {self.ops.active}, i32 {keep})")
        self.ops.watching.tell("copies_waited", f"i64 {layout.COPIES_WAITED}, i64 %lanes.wide, i64 0, i64 0, i64 0")
