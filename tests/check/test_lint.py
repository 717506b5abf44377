"""The rules that read a kernel's text: the findings of each, and texts without a finding."""

import pytest

from ptxbench.check.lint import lint
from ptxbench.emulator.parse import parse
from ptxbench.pair import In, Out, Scalar, TensorMap, f32, u32

ARGS = [In("x", f32, lambda n: (n,)), Out("y", f32, lambda n: (n,)), Scalar("n", u32, lambda n: n)]

TEXT = """
.version 8.0
.target sm_90
.address_size 64
.global .u32 store[4];
.global .align 16 .u32 wide[4];
.global .u64 where = store;
.global .u64 deeper[2] = {{0, where}};
.const .u32 table[4] = {{1, 2, 3, 4}}; .func helper() {{ ret; }}
.visible .entry copy(.param .u64 x, .param .u64 y, .param .u32 n){directives}
{{
    .reg .u32 %a, %b, %c, %d, %mask;
    .reg .u64 %x, %y, %at, %wide;
    .reg .f32 %f, %g, %h;
    .reg .f64 %dd, %de;
    .reg .pred %p, %q, %mine, %any;
    .shared .align 16 .f32 tile[8];
    .shared .f32 loose[8];
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y]; mov.u32 %d, %ctaid.x; mad.wide.u32 %y, %d, 4, %y;
    cvta.to.global.u64 %x, %x;
    setp.eq.u32 %p, %a, 0;
    {line}
}}
"""


def codes(line, directives=""):
    return [finding.code for finding in lint(parse(TEXT.format(line=line, directives=directives)), "copy", ARGS)]


FOUND = [
    # a load past a write
    ("ld.global.nc.f32 %f, [%y]; st.global.f32 [%y], %f;",                            ["nc-of-written"]),
    ("st.global.f32 [%y+4], %f; mov.u64 %at, %y; ld.global.nc.f32 %f, [%at];",        ["nc-of-written"]),
    ("ld.nc.f32.global %f, [%y]; st.f32.global [%y], %f;",                            ["nc-of-written"]),
    ("ld.global.nc.f32 %f, [%x]; st.global.f32 [%y], %f;",                            []),
    ("mov.u64 %at, %x; ld.global.nc.f32 %f, [%at]; mov.u64 %at, %y; st.global.f32 [%at], %f;", []),  # used twice
    ("mov.u64 %at, %x; @%p mov.u64 %at, %y; ld.global.nc.f32 %f, [%at]; st.global.f32 [%y], %f;",
     ["nc-of-written"]),                                                              # one way or the other
    ("bra B; A: ld.global.nc.f32 %f, [%at]; ret; B: mov.u64 %at, %y; st.global.f32 [%y], %f; bra A;",
     ["nc-of-written"]),                                                              # around a corner
    ("atom.global.add.f32 %f, [%y], %f; ld.global.nc.f32 %g, [%y];",                  ["nc-of-written"]),
    # a write to an input
    ("st.global.f32 [%x], %f;",                                                       ["input-written"]),
    ("red.global.add.f32 [%x+4], %f;",                                                ["input-written"]),
    ("mad.wide.u32 %at, %a, 4, %x; st.global.f32 [%at], %f;",                         ["input-written"]),
    ("selp.b64 %at, %x, %y, %p; st.global.f32 [%at], %f;",                            []),    # may be the output
    ("ld.global.u64 %at, [%x]; st.global.f32 [%at], %f;",                             []),    # loaded: from anywhere
    ("fence.proxy.async.shared::cta; st.global.f32 [%x], %f;",                        ["input-written"]),
    # state that outlives a launch
    ("st.global.u32 [store], %a;",                                                    ["writable-module-state"]),
    ("mov.u64 %at, store; atom.global.add.u32 %a, [%at], 1;",                         ["writable-module-state"]),
    ("ld.global.u32 %a, [store]; ld.const.u32 %b, [table];",                          []),
    ("mov.u64 %at, store; mad.wide.u32 %at, %d, 4, %at; st.u32 [%at], %a;",           ["writable-module-state"]),
    ("mov.u64 %at, %y; @%p mov.u64 %at, store; red.add.u32 [%at], 1;",                ["writable-module-state"]),
    ("mov.u64 %at, store; ld.u32 %a, [%at]; st.global.u32 [%y], %a;",                 []),    # a table
    ("ld.global.u64 %at, [where]; st.u32 [%at], %a;",                                 ["writable-module-state"]),
    ("mov.u64 %at, deeper; ld.u64 %at, [%at]; ld.u64 %at, [%at]; st.u32 [%at], %a;",  ["writable-module-state"]),
    ("ld.global.u64 %at, [where]; ld.u32 %a, [%at]; st.global.u32 [%y], %a;",         []),    # read by a pointer
    # contents that a GPU loses
    ("discard.global.L2 [%x], 128;",                                                  ["discards-input"]),
    ("mad.wide.u32 %at, %d, 128, %x; @%p discard.L2 [%at], 128;",                     ["discards-input"]),
    ("discard.global.L2 [%y], 128; st.global.f32 [%y], %f;",                          []),
    ("discard.global.L2 [%y], 128; discard.global.L2 [%y+128], 128;",                 []),
    ("mov.u64 %at, store; discard.global.L2 [%at], 128;",                             ["writable-module-state"]),
    ("discard.global.L2 [%y], 128; ld.global.nc.f32 %f, [%y];",                       ["nc-of-written"]),
    ("st.global.f32 [%y], %f; discard.global.L2 [%y], 128;",                          ["discards-output"]),
    ("A: discard.L2 [%y], 128; st.f32 [%y], %f; @%p bra A;",                          ["discards-output"]),
    ("ld.global.u64 %at, [%x]; st.global.f32 [%at], %f; discard.L2 [%y], 128;",       []),    # a store elsewhere
    ("applypriority.global.L2::evict_normal [%x], 128; prefetch.global.L2 [%x];",     []),
    ("createpolicy.fractional.L2::evict_first.b64 %at; ld.global.L2::cache_hint.f32 %f, [%x], %at;", []),
    # sleep
    ("nanosleep.u32 100; nanosleep.u32 200;",                                         ["sleeps"]),    # once
    # loops that wait by weak loads
    ("A: ld.global.u32 %a, [%y]; setp.eq.u32 %p, %a, 0; @%p bra A;",                  ["weak-poll"]),
    ("A: ld.u32 %a, [%y]; setp.ne.u32 %p, %a, 0; @%p ret; bra A;",                    ["weak-poll"]),
    ("A: @%p ld.global.u32 %a, [%y]; setp.eq.u32 %q, %a, %c; vote.sync.any.pred %q, %q, -1; @%q bra A;",
     ["weak-poll"]),
    ("A: ld.global.u32 %a, [%y]; setp.eq.u32 %p, %a, 0; add.u32 %b, %b, 1; setp.lt.u32 %q, %b, 99; "
     "and.pred %p, %p, %q; @%p bra A;", ["weak-poll"]),                               # no longer than so
    ("B: A: ld.global.u32 %a, [%y]; setp.eq.u32 %p, %a, 0; @%p bra A; st.global.u32 [%y+4], %b; add.u32 %b, %b, 1; "
     "setp.lt.u32 %q, %b, 9; @%q bra B;", ["weak-poll"]),                             # within another loop
    ("A: atom.global.cas.b32 %a, [%y], 0, 1; setp.ne.u32 %p, %a, 0; @!%p bra C; B: ld.global.u32 %b, [%y]; "
     "setp.ne.u32 %q, %b, 0; @%q bra B; bra A; C: ret;", ["weak-poll"]),              # a lock that looks first
    ("A: ld.global.u32 %a, [store]; setp.eq.u32 %p, %a, 0; @%p bra A;",               ["weak-poll"]),
    ("A: ld.acquire.gpu.global.u32 %a, [%y]; setp.eq.u32 %p, %a, 0; @%p bra A;",      []),
    ("A: ld.volatile.global.u32 %a, [%y]; setp.eq.u32 %p, %a, 0; @%p bra A;",         []),
    ("A: bar.sync 0; ld.global.u32 %a, [%y]; setp.eq.u32 %p, %a, 0; @%p bra A;",      []),    # a barrier orders it
    ("A: ld.global.u32 %a, [%y]; sub.u32 %a, %a, 1; st.global.u32 [%y], %a; setp.ne.u32 %p, %a, 0; @%p bra A;", []),
    ("A: ld.global.u32 %a, [%x]; setp.eq.u32 %p, %a, 0; @%p bra A;",                  []),    # it is never written
    ("A: ld.global.u32 %a, [%y]; add.u32 %b, %b, 1; setp.lt.u32 %p, %b, %a; @%p bra A;", []), # counts up to it
    ("A: ld.global.u32 %a, [%y]; setp.eq.u32 %p, %a, 0; add.u64 %y, %y, 4; @%p bra A;", []),  # looks for it
    ("A: ld.global.u32 %a, [%y]; atom.global.cas.b32 %b, [%y+4], %a, %c; setp.ne.u32 %p, %b, %a; @%p bra A;", []),
    ("A: ld.shared.u32 %a, [tile]; setp.eq.u32 %p, %a, 0; @%p bra A;",                []),    # the sanitizer's
    # clocks and places
    ("mov.u32 %a, %clock;",                                                           ["reads-clock"]),
    ("mov.u64 %at, %globaltimer;",                                                    ["reads-clock"]),
    ("mov.u32 %a, %smid;",                                                            ["reads-hardware"]),
    ("mov.u32 %a, %laneid;",                                                          []),
    ("mov.u32 %a, %total_smem_size;",                                                 ["reads-hardware"]),
    ("mov.b64 %at, {%smid, %a};",                                                     ["reads-hardware"]),
    # CTAs that store to one place
    ("ld.param.u64 %at, [y]; st.global.f32 [%at], %f;",                               ["same-place"]),
    ("ld.param.u64 %at, [y]; ld.global.u32 %a, [%at]; add.u32 %a, %a, 1; st.global.u32 [%at+4], %a;", ["same-place"]),
    ("ld.param.u64 %at, [y]; red.global.add.u32 [%at], %a;",                          []),
    ("ld.param.u64 %at, [y]; mad.wide.u32 %at, %d, 4, %at; st.global.f32 [%at], %f;", []),
    ("ld.param.u64 %at, [y]; ld.shared.u32 %a, [tile]; mad.wide.u32 %at, %a, 4, %at; st.global.f32 [%at], %f;", []),
    ("ld.param.u64 %at, [y]; setp.eq.u32 %p, %d, 0; @%p st.global.f32 [%at], %f;",    []),    # of one CTA
    ("ld.param.u64 %at, [y]; setp.ne.u32 %p, %d, 0; @%p ret; st.global.f32 [%at], %f;", []),
    ("ld.param.u64 %at, [y]; setp.ne.u32 %p, %d, %a; @!%p bra A; ret; A: st.global.f32 [%at], %f;", []),
    ("ld.param.u64 %at, [y]; setp.ne.u32 %q, %a, %d; setp.ne.u32 %mine, %b, 0; or.pred %any, %q, %mine; @%any bra A;"
     "st.global.f32 [%at], %f; A:",                                                   []),
    ("ld.param.u64 %at, [y]; setp.eq.u32 %q, %a, %d; @%q ret; st.global.f32 [%at], %f;", ["same-place"]),
    ("ld.param.u64 %at, [y]; setp.ne.u32 %q, %a, %d; @%q add.u32 %b, %b, 1; A: st.global.f32 [%at], %f;",
     ["same-place"]),                                                                 # after one instruction
    ("ld.param.u64 %at, [y]; setp.ge.u32 %q, %d, 9; @%q ret; st.global.f32 [%at], %f;", ["same-place"]),
    ("ld.param.u64 %at, [y]; setp.eq.u32 %q, %a, %d; setp.eq.u32 %mine, %b, 0; or.pred %any, %q, %mine; @!%any bra A;"
     "st.global.f32 [%at], %f; A:",                                                   ["same-place"]),
    ("ld.param.u64 %at, [y]; atom.global.add.u32 %a, [%y], 1; setp.ne.u32 %q, %a, 7; @%q ret; st.global.f32 [%at], %f;",
     []),                                                                             # the last CTA by its ticket
    ("ld.param.u64 %at, [y]; ld.global.u32 %a, [%x]; setp.ne.u32 %q, %a, 7; @%q ret; st.global.f32 [%at], %f;",
     ["same-place"]),
    ("ld.param.u64 %at, [y]; atom.global.add.u32 %a, [%y], 1; ld.shared.u32 %b, [tile]; setp.eq.u32 %q, %b, 0; @%q ret;"
     "st.global.f32 [%at], %f;", []),                                                 # by a flag that its thread 0 set
    # addresses that go where no rule follows
    ("st.shared.u64 [tile], %x;",                                                     ["hides-address"]),
    ("mov.u64 %at, store; st.shared.u64 [tile], %at;",                                ["hides-address"]),
    ("mov.b64 {%a, %b}, %x; shfl.sync.bfly.b32 %a, %b, 1, 31, -1;",                   ["hides-address"]),
    ("ld.global.u64 %at, [%x]; st.shared.u64 [tile], %at;",                           []),
    # where something lies
    ("setp.lt.u64 %p, %x, 4096;",                                                     ["compares-address"]),
    ("mov.u32 %a, tile; setp.ge.u32 %p, %a, 1024;",                                   ["compares-address"]),
    ("setp.lt.u64 %p, %x, %y;",                                                       ["compares-address"]),
    ("mov.u64 %at, helper; shr.u64 %at, %at, 40; setp.ne.u64 %p, %at, 3;",            ["compares-address"]),
    ("add.u64 %at, %x, 64; setp.lt.u64 %p, %x, %at;",                                 []),    # the end of a loop
    # a test of an alignment, which does not depend on the place
    ("and.b64 %at, %x, 15; setp.eq.u64 %p, %at, 0;",                                  []),
    ("or.b64 %at, %x, %y; cvt.u32.u64 %a, %at; and.b32 %a, %a, 252; setp.ne.s32 %p, %a, 0;", []),
    ("mov.u64 %wide, 6; shr.u64 %at, %x, 2; and.b64 %at, %at, %wide; setp.eq.u64 %p, %at, 0;", []),
    ("and.b64 %at, %x, 256; setp.eq.u64 %p, %at, 0;",                                 ["compares-address"]),
    ("shr.u64 %at, %x, 2; shr.u64 %at, %at, 4; and.b64 %at, %at, 7; setp.eq.u64 %p, %at, 0;", ["compares-address"]),
    ("A: shr.u64 %x, %x, 1; and.b64 %at, %x, 127; setp.eq.u64 %p, %at, 0; @%p bra A;", ["compares-address"]),
    ("mov.b64 {%b, %a}, %x; and.b32 %a, %a, 1; setp.eq.u32 %p, %a, 0;",               ["compares-address"]),
    ("mul.hi.u64 %at, %x, 3; and.b64 %at, %at, 1; setp.eq.u64 %p, %at, 0;",           ["compares-address"]),
    ("cvt.u64 %at; and.b64; setp.eq.u64 %p, %x, 0;",                                  ["compares-address"]),
    ("div.u64 %at, %x, 3; and.b64 %at, %at, 1; setp.eq.u64 %p, %at, 0;",              ["compares-address"]),
    ("cvt.rn.f32.u64 %f, %x; mov.b32 %a, %f; and.b32 %a, %a, 1; setp.eq.u32 %p, %a, 0;", ["compares-address"]),
    ("cvt.sat.u8.u64 %a, %x; and.b32 %a, %a, 1; setp.eq.u32 %p, %a, 0;",              ["compares-address"]),
    ("mov.u64 %at, store; and.b64 %at, %at, 1; setp.eq.u64 %p, %at, 0;",              ["compares-address"]),
    ("mbarrier.test_wait.shared.b64 %p, [tile], %at; selp.u32 %a, 1, 0, %p; setp.eq.u32 %q, %a, 0;", []),
    # masks
    ("shfl.sync.bfly.b32 %a, %b, 1, 31, 0xFFFFFFFF;",                                 []),
    ("shfl.sync.bfly.b32 %a, %b, 1, 31, -1;",                                         []),
    ("shfl.sync.bfly.b32 %a, %b, 1, 31, 0xFFFF;",                                     []),
    ("mov.u32 %mask, 0; shfl.sync.bfly.b32 %a, %b, 1, 31, %mask;",                    ["empty-mask"]),
    ("mov.u32 %mask, 255; @%p mov.u32 %mask, -1; shfl.sync.bfly.b32 %a, %b, 1, 31, %mask;", []),
    ("bar.warp.sync 0;",                                                              ["empty-mask"]),
    ("vote.sync.ballot.b32 %a, %p, 0;",                                               ["empty-mask"]),
    # contraction
    ("mul.f32 %f, %g, %h; add.f32 %f, %f, %g;",                                       ["contracts"]),
    ("mul.ftz.f32 %f, %g, %h; sub.ftz.f32 %h, %g, %f;",                               ["contracts"]),
    ("mul.rn.f32 %f, %g, %h; add.f32 %f, %f, %g;",                                    []),
    ("mul.f32 %f, %g, %h; add.rn.f32 %f, %f, %g;",                                    []),
    ("mul.f32 %f, %g, %h; add.f32 %g, %h, %h;",                                       []),
    ("mul.f64 %dd, %de, %de; add.f64 %de, %dd, %dd;",                                 ["contracts"]),
    ("mul.f16x2 %a, %b, %c; add.f16x2 %d, %a, %b;",                                   ["contracts"]),
    ("mul.bf16x2 %a, %b, %c; add.f16x2 %d, %a, %b;",                                  []),    # of another type
    ("mul.f32 %f, %g, %h; mov.f32 %f, %g; add.f32 %f, %f, %g;",                       []),
    ("mul.f32 %f, %g, %h; @%p bra A; A: add.f32 %h, %f, %g;",                         ["contracts"]),
    ("mov.f32 %f, %g; @%p bra A; mul.f32 %f, %g, %h; A: add.f32 %h, %f, %g;",         []),
    # vectors
    ("ld.shared.v4.f32 {%f, %g, %h, %f}, [tile];",                                    []),
    ("ld.shared.v4.f32 {%f, %g, %h, %f}, [tile+4];",                                  ["misaligned-vector"]),
    ("ld.shared.v2.f32 {%f, %g}, [loose];",                                           ["misaligned-vector"]),
    ("st.global.v4.u32 [wide], {%a, %b, %c, %d};",                                    ["writable-module-state"]),
    ("ld.global.v4.f32 {%f, %g, %h, %f}, [%x+8];",                                    ["odd-vector-offset"]),
    ("ld.global.v2.f32 {%f, %g}, [%x+8];",                                            []),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), FOUND)
def test_a_rule_finds_the_error_and_nothing_else(line, expected):
    assert codes(line) == expected


@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ("", ["setmaxnreg-dropped"]),
        (" .maxntid 384", ["setmaxnreg-dropped"]),
        (" .maxntid 384 .minnctapersm 1", []),
        (" .maxnreg 168", []),
    ],
)
def test_setmaxnreg_needs_a_bound_of_the_ctas(directives, expected):
    assert codes("setmaxnreg.inc.sync.aligned.u32 240;", directives) == expected


WAIT = "mbarrier.try_wait.parity.shared::cta.b64 %p, [tile], 0;"

# instructions after the wait, whether its result is used
ANSWERS = [
    ("",                                                              False),
    ("A: @%p bra A;",                                                 True),
    ("setp.eq.and.u32 %q, %a, 0, !%p;",                               True),
    ("not.pred %q, %p;",                                              True),
    ("setp.eq.u32 %p, %a, 0; @%p ret;",                               False),  # overwritten before it is read
    ("@%q setp.eq.u32 %p, %a, 0; @%p ret;",                           True),   # perhaps not overwritten
    ("bra B; A: @%p ret; B: setp.eq.u32 %p, %a, 0; bra A;",           False),  # overwritten around a corner
    ("bra B; A: @%p ret; B: @%q bra A; setp.eq.u32 %p, %a, 0; bra A;", True),
    ("selp.u32 %a, 1, 0, %p;",                                        True),
    ("mbarrier.test_wait.parity.shared::cta.b64 %p, [tile], 0;",      False),  # asked twice
    ("mbarrier.test_wait.parity.shared::cta.b64 %q, [tile], 0; @%q ret;", False),  # %p is still not used
]  # fmt: skip


@pytest.mark.parametrize(("more", "used"), ANSWERS)
def test_the_result_of_an_mbarrier_test_must_be_used(more, used):
    text = TEXT.replace("    setp.eq.u32 %p, %a, 0;\n", "").format(line=f"{WAIT} {more}", directives="")
    reported = [finding.code for finding in lint(parse(text), "copy", ARGS)]
    assert ("wait-unchecked" not in reported) == used


SEND = "st.shared::cluster.u32 [tile], %a;"
ARRIVE, HEAR = (
    "mbarrier.arrive{}.shared::cluster.b64 _, [tile];",
    "mbarrier.try_wait.parity{}.shared::cta.b64 %q, [tile], 0;",
)
RELEASE, ACQUIRE = ".release.cluster", ".acquire.cluster"

# instructions, how many of arrival and wait lack the scope of the cluster
SCOPES = [
    ((SEND, ARRIVE.format(""), HEAR.format("")),                                     2),
    ((SEND, ARRIVE.format(RELEASE), HEAR.format("")),                                1),
    ((SEND, ARRIVE.format(""), HEAR.format(ACQUIRE)),                                1),
    ((SEND, ARRIVE.format(RELEASE), HEAR.format(ACQUIRE)),                           0),
    ((SEND, ARRIVE.format(RELEASE), ARRIVE.format(""), HEAR.format(ACQUIRE)),        0),  # the other says "read"
    ((SEND, "fence.acq_rel.cluster;", ARRIVE.format(""), HEAR.format("")),           0),
    ((SEND, HEAR.format("")),                                                        0),
    (("ld.shared::cluster.u32 %a, [tile];", ARRIVE.format(""), HEAR.format("")),     0),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "narrow"), SCOPES)
def test_stores_to_other_ctas_need_messages_of_the_scope_of_the_cluster(lines, narrow):
    assert codes(" ".join([*lines, "@%q ret;"])).count("narrow-scope") == narrow


@pytest.mark.parametrize(
    ("sizes", "cluster", "expected"),
    [
        ("2",       (4, 1, 1), ["needs-clusters"]),
        ("1, 4, 1", (4, 1, 1), ["needs-clusters"]),
        ("1",       (2, 1, 1), ["needs-clusters"]),
        ("1, 4, 1", (1, 4, 1), []),
        ("2",       None,      []),
    ],
)  # fmt: skip
def test_the_clusters_of_an_entry_are_those_of_the_pairs_launch(sizes, cluster, expected):
    module = parse(TEXT.format(line="ret;", directives=f" .reqnctapercluster {sizes}"))
    assert [finding.code for finding in lint(module, "copy", ARGS, cluster)] == expected


def test_an_entry_without_clusters_takes_those_of_the_launch():
    assert lint(parse(TEXT.format(line="ret;", directives="")), "copy", ARGS, (2, 1, 1)) == []


def test_all_addresses_are_of_the_one_cta_of_a_grid():
    module = parse(TEXT.format(line="ld.param.u64 %at, [y]; st.global.f32 [%at], %f;", directives=""))
    assert lint(module, "copy", ARGS, one_cta=True) == []


def test_another_kernel_in_the_file_is_not_read():
    other = TEXT.format(line="mov.u32 %a, %clock;", directives="")
    assert lint(parse(other), "another", ARGS) == []


def test_a_finding_names_and_quotes_its_line():
    (complaint,) = lint(parse(TEXT.format(line="st.global.f32 [%x], %f;", directives="")), "copy", ARGS)
    assert (complaint.line, complaint.message) == (23, "st.global.f32 to 'x', which is an input.")


CALLED = """
.version 8.0
.target sm_90
.address_size 64
.global .u32 store;
.global .u32 table[2] = {{1, 2}};
.extern .func (.param .b64 got) malloc(.param .b64 size);
.extern .func (.param .b32 done) vprintf(.param .b64 format, .param .b64 values);
.func (.param .u64 same) pass(.param .u64 first, .param .align 8 .b8 both[16])
{{
    .reg .u64 %a, %b, %c;
    .reg .u32 %v;
    .reg .pred %none;
    .param .b64 size; .param .b64 got; .param .b32 done;
    ld.param.u64 %a, [first];
    ld.param.v2.u64 {{%b, %c}}, [both];
    ld.u32 %v, [%b];
    {inside}
    st.param.u64 [same], %a;
    ret;
}}
.func unused(.param .u64 first)
{{
    st.global.u32 [store], 1;
    nanosleep.u32 1;
    ret;
}}
.visible .entry copy(.param .u64 x, .param .u64 y, .param .u32 n)
{{
    .reg .u64 %x, %y, %at, %table, %store;
    .reg .u32 %v, %block;
    .param .u64 given; .param .align 8 .b8 pair[16]; .param .u64 got;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    mov.u32 %block, %ctaid.x;
    mad.wide.u32 %y, %block, 4, %y;
    mov.u64 %table, table;
    mov.u64 %store, store;
    st.param.u64 [given], {first};
    st.param.u64 [pair], %table;
    st.param.u64 [pair+8], {last};
    call (got), pass, (given, pair);
    ld.param.u64 %at, [got];
    {after}
    ret;
}}
"""


@pytest.mark.parametrize(
    ("first", "last", "inside", "after", "expected"),
    [
        ("%x", "%y", "st.u32 [%c], %v;", "ld.u32 %v, [%at];", []),  # reads the table, writes the output
        ("%x", "%store", "st.u32 [%c], %v;", "", ["writable-module-state"]),
        ("%store", "%y", "red.add.u32 [%a], 1;", "", ["writable-module-state"]),
        ("%store", "%y", "", "st.u32 [%at], %v;", ["writable-module-state"]),
        ("%x", "%y", "", "st.u32 [%at], %v;", ["input-written"]),
        ("%x", "%y", "discard.L2 [%a], 128;", "", ["discards-input"]),
        ("%x", "%x", "st.u32 [%c], %v;", "", ["input-written"]),
        ("%x", "%y", "nanosleep.u32 1;", "", ["sleeps"]),
        ("%x", "%y", "call (got), malloc, (size);", "", ["uses-heap"]),
        ("%x", "%y", "@%none call (done), vprintf, (size, size);", "", ["for-debugging"]),
        ("%x", "%y", "", "brkpt; brkpt;", ["for-debugging"]),
    ],
)
def test_the_rules_follow_calls(first, last, inside, after, expected):
    text = CALLED.format(first=first, last=last, inside=inside, after=after)
    assert [finding.code for finding in lint(parse(text), "copy", ARGS)] == expected


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ld.param.u64 %at, [map_x+8];", True),
        ("mov.u64 %at, map_x; cvta.param.u64 %at, %at; ld.u64 %wide, [%at+16];", True),
        ("mov.u64 %at, map_x; cvta.param.u64 %at, %at; prefetch.tensormap [%at];", False),
        ("ld.param.u32 %a, [n];", False),
    ],
)
def test_bytes_of_a_tensor_map_are_read_only_by_copies(line, found):
    """The emulator encodes a map in its own way, so they show where the kernel runs."""
    args = [*ARGS, TensorMap("of_x", of="x", box=(32,))]
    text = TEXT.replace(".param .u32 n)", ".param .u32 n, .param .align 64 .b8 map_x[128])")
    module = parse(text.format(line=line, directives=""))
    complaints = [(finding.code, finding.message) for finding in lint(module, "copy", args)]
    load = next((word for word in line.split() if word.startswith("ld.")), "")
    assert complaints == ([("reads-hardware", f"{load} reads bytes of the tensor map 'of_x'.")] if found else [])
