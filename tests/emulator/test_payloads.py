"""NaNs that are only moved keep their bits, next to any arithmetic: only NaNs from arithmetic are canonical."""

import numpy as np
import pytest

from ptxbench import emulator
from tests.emulator.harness import program

PAYLOAD = {"f32": 0x7FA00123, "f64": 0x7FF4000000000123}

CASES = [
    ("guard",      "@%p add.rn.KIND %f, %f, %f;",                                         "nothing is written"),
    ("selp",       "add.rn.KIND %g, %f, %f;\n selp.KIND %f, %g, %f, %p;",                 "selp copies"),
    ("selp_other", "add.rn.KIND %g, %f, %f;\n selp.KIND %f, %f, %g, %q;",                "selp copies"),
    ("slct",       "add.rn.KIND %g, %f, %f;\n slct.KIND.s32 %f, %g, %f, -1;",             "slct copies"),
    ("slct_f32",   "add.rn.KIND %g, %f, %f;\n slct.KIND.f32 %f, %g, %f, 0fBF800000;",     "slct copies"),
]  # fmt: skip


def kernel(name, lines, kind):
    return program(f""".visible .entry payload_{name}_{kind}(.param .u64 x)
{{
    .reg .{kind} %f, %g;
    .reg .b64 %x;
    .reg .b32 %n;
    .reg .pred %p, %q;
    ld.param.u64 %x, [x];
    ld.global.{kind} %f, [%x];
    mov.u32 %n, %tid.x;
    setp.gt.u32 %p, %n, 99;             // false
    not.pred %q, %p;                    // true
    {lines.replace("KIND", kind)}
    st.global.{kind} [%x], %f;
    ret;
}}
""")


KERNELS = {(name, kind): kernel(name, lines, kind) for name, lines, _ in CASES for kind in PAYLOAD}


@pytest.mark.parametrize("kind", PAYLOAD)
@pytest.mark.parametrize(("name", "why"), [(name, why) for name, _, why in CASES])
def test_a_nan_that_was_only_moved_keeps_its_payload_next_to_arithmetic(name, why, kind):
    x = np.array([PAYLOAD[kind]], np.uint32 if kind == "f32" else np.uint64)
    emulator.run(KERNELS[name, kind], grid=1, block=1, args=[x])
    assert x[0] == PAYLOAD[kind], why
