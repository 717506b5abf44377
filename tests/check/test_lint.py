"""The rules that read a kernel's text: what each finds, and what it must leave alone."""

import pytest

from ptxbench.check.lint import lint
from ptxbench.emulator.parse import parse
from ptxbench.pair import In, Out, Scalar, f32, u32

ARGS = [In("x", f32, lambda n: (n,)), Out("y", f32, lambda n: (n,)), Scalar("n", u32, lambda n: n)]

TEXT = """
.version 8.0
.target sm_90
.address_size 64
.global .u32 store[4];
.global .align 16 .u32 wide[4];
.const .u32 table[4] = {{1, 2, 3, 4}};
.visible .entry copy(.param .u64 x, .param .u64 y, .param .u32 n){directives}
{{
    .reg .u32 %a, %b, %c, %d, %mask;
    .reg .u64 %x, %y, %at, %wide;
    .reg .f32 %f, %g, %h;
    .reg .f64 %dd, %de;
    .reg .pred %p;
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
    return [each.code for each in lint(parse(TEXT.format(line=line, directives=directives)), "copy", ARGS)]


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
    # state that outlives a launch
    ("st.global.u32 [store], %a;",                                                    ["writable-module-state"]),
    ("mov.u64 %at, store; atom.global.add.u32 %a, [%at], 1;",                         ["writable-module-state"]),
    ("ld.global.u32 %a, [store]; ld.const.u32 %b, [table];",                          []),
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
    # addresses that go where no rule follows
    ("st.shared.u64 [tile], %x;",                                                     ["hides-address"]),
    ("mov.u64 %at, store; st.shared.u64 [tile], %at;",                                ["hides-address"]),
    ("mov.b64 {%a, %b}, %x; shfl.sync.bfly.b32 %a, %b, 1, 31, -1;",                   ["hides-address"]),
    ("ld.global.u64 %at, [%x]; st.shared.u64 [tile], %at;",                           []),
    # where something lies
    ("setp.lt.u64 %p, %x, 4096;",                                                     ["compares-address"]),
    ("mov.u32 %a, tile; setp.ge.u32 %p, %a, 1024;",                                   ["compares-address"]),
    ("setp.lt.u64 %p, %x, %y;",                                                       ["compares-address"]),
    ("add.u64 %at, %x, 64; setp.lt.u64 %p, %x, %at;",                                 []),    # the end of a loop
    # masks
    ("shfl.sync.bfly.b32 %a, %b, 1, 31, 0xFFFFFFFF;",                                 []),
    ("shfl.sync.bfly.b32 %a, %b, 1, 31, -1;",                                         []),
    ("shfl.sync.bfly.b32 %a, %b, 1, 31, 0xFFFF;",                                     ["partial-mask"]),
    ("mov.u32 %mask, 255; shfl.sync.bfly.b32 %a, %b, 1, 31, %mask;",                  ["partial-mask"]),
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
    # vectors
    ("ld.shared.v4.f32 {%f, %g, %h, %f}, [tile];",                                    []),
    ("ld.shared.v4.f32 {%f, %g, %h, %f}, [tile+4];",                                  ["misaligned-vector"]),
    ("ld.shared.v2.f32 {%f, %g}, [loose];",                                           ["misaligned-vector"]),
    ("st.global.v4.u32 [wide], {%a, %b, %c, %d};",                                    ["writable-module-state"]),
    ("ld.global.v4.f32 {%f, %g, %h, %f}, [%x+8];",                                    ["odd-vector-offset"]),
    ("ld.global.v2.f32 {%f, %g}, [%x+8];",                                            []),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), FOUND)
def test_a_rule_finds_what_is_wrong_and_nothing_else(line, expected):
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


@pytest.mark.parametrize(("sizes", "expected"), [("2", ["needs-clusters"]), ("1, 4, 1", ["needs-clusters"]), ("1", [])])
def test_a_pairs_launch_has_no_clusters(sizes, expected):
    assert codes("ret;", f" .reqnctapercluster {sizes}") == expected


def test_a_kernel_beside_the_pairs_own_is_not_read():
    other = TEXT.format(line="mov.u32 %a, %clock;", directives="")
    assert lint(parse(other), "another", ARGS) == []


def test_a_complaint_names_its_line_and_what_is_there():
    (found,) = lint(parse(TEXT.format(line="st.global.f32 [%x], %f;", directives="")), "copy", ARGS)
    assert (found.line, found.message) == (21, "st.global.f32 to 'x', which the kernel is given to read.")
