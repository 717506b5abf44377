"""How many machine instructions warps executed, in a sentence."""

from __future__ import annotations

from ptxbench.executed import Executed


def sentence(executed: Executed) -> str:
    """`Warps execute 29,184 machine instructions.`, or the range that it can be, or why there is no number."""
    if executed.least is None or executed.most is None:
        return f"It is not known how many machine instructions warps execute: {executed.reason}."
    if executed.least == executed.most:
        return f"Warps execute {executed.least:,} machine instructions."
    why = f": {executed.reason}" if executed.reason else ""
    return f"Warps execute {executed.least:,} to {executed.most:,} machine instructions{why}."
