"""Which registers may depend on when other threads run."""

import pytest

from ptxbench.emulator.parse import parsed
from ptxbench.executed.spinning import from_others

KERNEL = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 address)
{
    .reg .u64 %%at, %%state;
    .reg .u32 %%a, %%b, %%c, %%d;
    .reg .pred %%p, %%q;
    .shared .align 16 .b8 kept[16];
LOOP:
    %s
    @%%q bra LOOP;
    ret;
}
"""

# instructions, and the registers whose value may depend on when other threads run
CASES = {
    "an atomic":                 ("atom.global.add.u32 %a, [%at], 1;",                                 "a"),
    "an atomic without result":  ("red.global.add.u32 [%at], 1;",                                      ""),
    "a volatile load":           ("ld.volatile.global.u32 %a, [%at];",                                 "a"),
    "an acquire load":           ("ld.acquire.gpu.global.u32 %a, [%at];",                              "a"),
    "a plain load":              ("ld.global.u32 %a, [%at]; add.u32 %b, %a, 1;",                       ""),
    "a vector":                  ("ld.volatile.global.v2.u32 {%a, %b}, [%at];",                        "ab"),
    "a wait":                    ("mbarrier.test_wait.shared.b64 %p, [kept], %state;",                 "p"),
    "an arrival":                ("mbarrier.arrive.shared.b64 %state, [kept];",                        ""),
    "what follows from it":      ("atom.global.add.u32 %a, [%at], 1; add.u32 %b, %c, %a;",             "ab"),
    "what followed before":      ("add.u32 %c, %b, 1; add.u32 %b, %a, 1; atom.global.inc.u32 %a, [%at], 7;", "abc"),
    "a comparison":              ("atom.global.add.u32 %a, [%at], 1; setp.lt.u32 %p|%q, %a, 9;",       "apq"),
    "under a condition":         ("ld.volatile.global.u32 %a, [%at]; setp.eq.u32 %p, %a, 0; @%p mov.u32 %b, 1;", "abp"),
    "a store":                   ("ld.volatile.global.u32 %a, [%at]; st.global.u32 [%at], %a;",        "a"),
    "through shared memory":     ("ld.shared.u32 %b, [kept]; ld.global.u32 %c, [%at];"
                                  "atom.global.add.u32 %a, [%at], 1; st.shared.u32 [kept+4], %a;",     "ab"),
    "another value in it":       ("atom.global.add.u32 %a, [%at], 1; st.shared.u32 [kept], %c;"
                                  "ld.shared.u32 %b, [kept];",                                         "a"),
    "a shared load at its address": ("atom.global.add.u32 %a, [%at], 1; ld.shared.u32 %b, [%a];"
                                  "ld.shared.u32 %c, [kept];",                                         "a"),
    "an arrival in it":          ("atom.global.add.u32 %a, [%at], 1; st.shared.u32 [kept], %a;"
                                  "mbarrier.arrive.shared.b64 %state, [kept+8];",                      "a"),
    "a load at its address":     ("atom.global.add.u64 %state, [%at], 1; ld.global.u32 %a, [%state];", "state"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_register_depends_on_other_threads_if_its_value_follows_from_theirs(case):
    instructions, names = CASES[case]
    function = parsed(KERNEL % instructions).functions["k"]
    expected = [names] if names == "state" else list(names)
    assert sorted(from_others(function.instructions)) == [f"%{name}" for name in expected]
