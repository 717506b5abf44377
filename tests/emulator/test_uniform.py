"""Registers that hold a parameter in every lane: a block loads it again, as long as nothing else is written there."""

import numpy as np
import pytest

from ptxbench import emulator
from tests.emulator.harness import HEADER

BODIES = {  # of a kernel with the parameters `s` (s16) and `n` (u32): the result in %r, and what it is
    "a load in the first block": ("ld.param.u32 %r, [n]; bra NEXT; NEXT:", lambda t, s, n: n),
    "a signed load": ("ld.param.s16 %r, [s]; bra NEXT; NEXT:", lambda t, s, n: s),
    "an unsigned load": ("ld.param.u16 %r, [s]; bra NEXT; NEXT:", lambda t, s, n: s % (1 << 16)),
    "a copy": ("ld.param.u32 %a, [n]; mov.u32 %r, %a; bra NEXT; NEXT:", lambda t, s, n: n),
    "a copy, then another value": (
        "ld.param.u32 %a, [n]; mov.u32 %r, %a; add.u32 %a, %a, 1; bra NEXT; NEXT:", lambda t, s, n: n),
    "a copy of a copy": ("ld.param.s16 %a, [s]; mov.u32 %b, %a; mov.u32 %r, %b; bra NEXT; NEXT:", lambda t, s, n: s),
    "another value, then a load": ("mov.u32 %r, %tid.x; ld.param.u32 %r, [n]; bra NEXT; NEXT:", lambda t, s, n: n),
    "a load, then another value": ("ld.param.u32 %r, [n]; mov.u32 %r, %tid.x; bra NEXT; NEXT:", lambda t, s, n: t),
    "another value in a later block": ("ld.param.u32 %r, [n]; bra NEXT; NEXT: mov.u32 %r, %tid.x;", lambda t, s, n: t),
    "in some lanes of a later block": (
        "ld.param.u32 %r, [n]; bra NEXT; NEXT: @%low mov.u32 %r, %tid.x;", lambda t, s, n: np.where(t < 20, t, n)),
    "a guarded load": (
        "mov.u32 %r, %tid.x; @%low ld.param.u32 %r, [n]; bra NEXT; NEXT:", lambda t, s, n: np.where(t < 20, n, t)),
    "a guarded copy": (
        "mov.u32 %r, 5; ld.param.u32 %a, [n]; @%low mov.u32 %r, %a; bra NEXT; NEXT:",
        lambda t, s, n: np.where(t < 20, n, 5)),
    "a load in some lanes' block": (
        "mov.u32 %r, %tid.x; @%low bra NEXT; ld.param.u32 %r, [n]; NEXT:", lambda t, s, n: np.where(t < 20, t, n)),
    "a sum in a loop": (
        "ld.param.u32 %a, [n]; mov.u32 %r, 0; ROUND: add.u32 %r, %r, %a; add.u32 %a, %a, 1; "
        "setp.lt.u32 %more, %a, 1003; @%more bra ROUND;", lambda t, s, n: n + n + 1 + n + 2),
}  # fmt: skip


SANITIZED = ("another value in a later block", "a guarded load", "a sum in a loop")


@pytest.mark.parametrize("name", BODIES)
def test_a_register_with_a_parameter_has_its_value_in_every_block(name):
    body, expected = BODIES[name]
    text = f"""{HEADER}
.visible .entry kernel(.param .u64 to, .param .s16 s, .param .u32 n)
{{
    .reg .u64 %to;
    .reg .u32 %r, %a, %b, %thread;
    .reg .pred %low, %more;
    ld.param.u64 %to, [to];
    cvta.to.global.u64 %to, %to;
    mov.u32 %thread, %tid.x;
    setp.lt.u32 %low, %thread, 20;
    {body}
    mad.wide.u32 %to, %thread, 4, %to;
    st.global.u32 [%to], %r;
    ret;
}}
"""
    for sanitize in (False, True)[: 1 + (name in SANITIZED)]:
        out = np.zeros(40, np.int32)
        done = emulator.run(text, grid=1, block=40, args=[out, np.int16(-7), np.uint32(1000)], sanitize=sanitize)
        assert (out == expected(np.arange(40), -7, 1000)).all()
        assert not done.findings
