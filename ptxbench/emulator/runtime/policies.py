"""createpolicy: the operands that the manual forbids. (PTX ISA, "createpolicy".)"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import CTTZ, RuntimeFunction
from ptxbench.emulator.runtime.faults import FAULT, fault_if_any

LARGER, NO_FRACTION = range(166, 168)
"""Reasons for MISUSED."""
COMPLAINTS = {
    LARGER: "has a primary size that is greater than the total size",
    NO_FRACTION: "has a fraction that is not greater than 0 and at most 1",
}

CHECK = RuntimeFunction("check_policy", f"""
define internal void @check_policy(ptr %env, ptr %site, i32 %wrong, i64 %reason) {{
entry:
  ; A fault of the lowest lane of %wrong, if there is one.
  %some = icmp ne i32 %wrong, 0
  br i1 %some, label %report, label %done
{fault_if_any("%wrong", at.MISUSED, "%reason", block="report", after="done")}
  ret void
}}
""", (FAULT,), (CTTZ,))  # fmt: skip
