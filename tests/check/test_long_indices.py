"""Indices that have all their bits at the sizes that are launched, and too few at those that are timed."""

import mmap
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.check import footprints, long_indices
from ptxbench.check import suite as suites
from ptxbench.check.footprints import Footprint
from ptxbench.check.launching import CheckKernel
from ptxbench.check.long_indices import Difference, IndicesUnknown, LongIndices, large_sizes
from ptxbench.check.suite import CheckSuite
from ptxbench.emulator import memory
from ptxbench.emulator.image import TouchedMemory
from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, Scratch, ceil_div, f32, u8, u32
from tests.check.judging import KERNELS, SEED, judged, outcome, suite
from tests.folders import changed

PART, FAULT = "FuelExhausted", "MemoryFault"


def footprint(pages, ended="", stored=None):
    stored_ranges = None if stored is None else {"y": np.array(stored)}
    return Footprint({"y": frozenset(pages)}, stored_ranges, {"y": 4}, ended)


# the footprint of a candidate's CTA, that of the pair's, what differs
FOOTPRINTS = [
    (footprint([0]),                     footprint([0]),                  None),
    (footprint([0, 1]),                  footprint([0]),                  "uses"),
    (footprint([0]),                     footprint([0, 1]),               "uses"),
    (footprint([0], PART),               footprint([0, 1]),               None),     # it was stopped
    (footprint([0, 2], PART),            footprint([0, 1]),               "uses"),
    (footprint([0, 1]),                  footprint([0], PART),            None),     # the other one was
    (footprint([1]),                     footprint([0], PART),            "uses"),
    (footprint([0], FAULT),              footprint([0]),                  "ends"),
    (footprint([0], FAULT),              footprint([0], FAULT),           None),
    (footprint([0]),                     footprint([0], FAULT),           None),
    (footprint([0], stored=[0, 8]),      footprint([0], stored=[0, 8]),   None),
    (footprint([0], stored=[0, 8]),      footprint([0], stored=[8, 16]),  "stores"),
    (footprint([0], stored=[0, 8]),      footprint([0]),                  None),     # not known
    (footprint([0]),                     footprint([0], stored=[0, 8]),   None),
    (footprint([0], PART, stored=[0, 8]), footprint([0], stored=[8, 16]), None),
    (footprint([0], stored=[0, 8]),      footprint([0], PART, [8, 16]),   None),
]  # fmt: skip


@pytest.mark.parametrize(("own", "other", "verb"), FOOTPRINTS)
def test_the_footprint_of_a_cta_is_compared_with_that_of_the_pair(own, other, verb):
    difference = own.difference(other)
    assert (difference and difference.split()[0]) == verb


def test_of_an_array_that_a_cta_does_not_use_it_reaches_nothing():
    unused, last = footprint([]), footprint([2, 3], stored=[[8192, 8200], [8208, 8212]])
    assert (unused.reach(), unused.begin(), unused.stored_bytes()) == ({"y": 0}, {"y": 0}, {})
    assert (last.reach(), last.begin(), last.stored_bytes()) == ({"y": 1}, {"y": 1 / 2}, {"y": 12})


def test_memory_that_only_a_kernel_needs_is_in_no_footprint():
    pair = SimpleNamespace(args=[Out("y", f32, lambda n: (n,)), Scratch("s", u32, lambda n: (n,)), Scalar("n", u32, 1)])
    touched = TouchedMemory({"y": frozenset([0]), "s": frozenset([0])}, {"y": np.array([0, 8]), "s": np.array([0, 4])})
    of = footprints.of_arrays(pair, {"y": np.zeros(mmap.PAGESIZE + 1, u8), "s": np.zeros(1, u32)}, touched, "")
    assert (of.pages, of.lengths, list(of.stored)) == ({"y": {0}}, {"y": 2}, ["y"])


@pytest.mark.parametrize(
    ("elements", "tickets", "value"),
    [(64, 5, 5), (64, 0, 0), (65, 5, 2), (65, 0, None), (1 << 20, 5, 2), (1 << 21, 5, None)],
)
def test_memory_that_only_a_kernel_needs_holds_tickets_or_flags(elements, tickets, value):
    drawn = footprints.from_others(Scratch("s", u32, lambda n: (n,)), {"n": elements}, tickets)
    assert drawn is None if value is None else (drawn.shape, set(drawn.tolist())) == ((elements,), {value})


needs_pages = pytest.mark.skipif(not memory.shows_pages(), reason="the system does not show touched pages")

BLOCK = 256
COPY = Pair(
    purpose="Indices that are as long as an array of a bench size needs.",
    args=[In("x", f32, lambda n: (n,)), Out("y", f32, lambda n: (n,)), Scalar("n", u32, lambda n: n)],
    launch=lambda n: Launch(grid=ceil_div(n, BLOCK), block=BLOCK),
    reference=lambda x, n: {"y": x},
    tolerance=EXACT,
    check_sizes=[{"n": n} for n in (1, 255, 4096)],
    bench_sizes=[{"n": 1 << 20}, {"n": 1 << 27}],
    flops=lambda n: 0,
)
TEXT = """.version 7.0
.target sm_75
.address_size 64
.visible .entry copy(.param .u64 x, .param .u64 y, .param .u32 n)
{
    .reg .u64 %x, %y;
    .reg .u32 %n, %i, %j, %block, %thread, %grid, %high, %at;
    .reg .b16 %half, %top;
    .reg .f32 %v, %float;
    .reg .pred %past, %far;
    .shared .u16 kept[256];
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %n, [n];
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    mov.u32 %grid, %nctaid.x;
    mad.lo.u32 %i, %block, 256, %thread;
    setp.ge.u32 %past, %i, %n;
    @%past bra DONE;
    INDEX
    mov.u32 %j, %i;
    LOAD
    mad.wide.u32 %x, %j, 4, %x;
    ld.global.f32 %v, [%x];
    STORE
    mad.wide.u32 %y, %i, 4, %y;
    st.global.f32 [%y], %v;
DONE:
    ret;
}
"""


def kernel(index="", load="", store=""):
    text = TEXT.replace("INDEX", index).replace("LOAD", load).replace("STORE", store)
    return CheckKernel(text, "copy", "sm_90")


def launched():
    return {"n": 50_176}


GATHER = Pair(
    purpose="An index that is read from an array.",
    args=[
        In("x", f32, lambda n: (n, 1024)),
        In("rows", u32, lambda n: (n,), values=lambda rng, shape, n: rng.permutation(n)),
        Out("y", f32, lambda n: (n,)),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=n, block=32),
    reference=lambda x, rows, n: {"y": x[rows, 0]},
    tolerance=EXACT,
    check_sizes=[{"n": n} for n in (1, 100)],
    bench_sizes=[{"n": 1 << 16}],
    flops=lambda n: 0,
)
GATHERING = """.version 7.0
.target sm_75
.address_size 64
.visible .entry gather(.param .u64 x, .param .u64 rows, .param .u64 y, .param .u32 n)
{
    .reg .u64 %x, %rows, %y;
    .reg .u32 %block, %row, %at;
    .reg .f32 %v;
    ld.param.u64 %x, [x];
    ld.param.u64 %rows, [rows];
    ld.param.u64 %y, [y];
    mov.u32 %block, %ctaid.x;
    mad.wide.u32 %rows, %block, 4, %rows;
    ld.global.u32 %row, [%rows];
    shl.b32 %at, %row, 10;
    CUT
    mad.wide.u32 %x, %at, 4, %x;
    ld.global.f32 %v, [%x];
    mad.wide.u32 %y, %block, 4, %y;
    st.global.f32 [%y], %v;
    ret;
}
"""


@needs_pages
def test_an_index_that_is_read_from_an_array_has_all_its_bits():
    right, wrong = (
        CheckKernel(GATHERING.replace("CUT", cut), "gather", "sm_90") for cut in ("", "and.b32 %at, %at, 0xffffff;")
    )
    indices = LongIndices(GATHER, {"ptx": right})
    assert indices.difference(right, lambda: {"n": 100}) is None
    difference = indices.difference(wrong, lambda: {"n": 100})
    assert difference.words == "uses other elements of 'x' than that of the pair's kernels"
    assert 1 << 14 < difference.size["n"] <= 1 << 15


@pytest.mark.parametrize(("shape", "zeros"), [((1 << 21,), 1 << 20), (((1 << 18) + 3, 8), (1 << 20) + 24), ((9,), 0)])
def test_the_last_rows_of_a_large_array_of_indices_are_drawn(shape, zeros):
    def anywhere(rng, shape, n):
        return rng.integers(1, n, shape, endpoint=True)

    indices = footprints.indices_for(In("i", u32, lambda n: shape, values=anywhere), {"n": 1000}).reshape(-1)
    assert not indices[:zeros].any()
    assert (np.diff(indices[zeros:].astype(int)) >= 0).all()
    assert indices[zeros] >= 1
    permutation = In("i", u32, lambda n: (1 << 21,), values=lambda rng, shape, n: rng.permutation(5).reshape(shape))
    assert footprints.indices_for(permutation, {"n": 1000}) is None
    huge = In("i", u32, lambda n: (1 << 25,), values=anywhere)
    assert footprints.indices_for(huge, {"n": 1000}) is None


@pytest.fixture(scope="module")
def copies():
    return LongIndices(COPY, {"ptx": kernel()})


OF_BLOCK = "mad.lo.u32 %i, %block, 256, %thread;"
CUTS = [
    ("and.b32 %i, %i, 0xfffff;", 20),
    ("shl.b32 %i, %i, 12; shr.u32 %i, %i, 12;", 20),
    ("prmt.b32 %i, %i, 0, 0x4210;", 24),
    ("min.u32 %i, %i, 0x1fffff;", 21),
    ("rem.u32 %i, %i, 1000003;", 20),
    ("bfi.b32 %i, 0, %i, 18, 14;", 18),
    ("bfe.u32 %i, %i, 0, 20;", 20),
    ("lop3.b32 %i, %i, 0x1fffff, 0, 0xc0;", 21),
    ("mul24.lo.u32 %i, %i, 1;", 24),
    ("cvt.rn.f32.u32 %float, %i; cvt.rzi.u32.f32 %i, %float;", 24),
    ("setp.ge.u32 %far, %i, 0x100000; @%far mov.u32 %i, 5;", 20),
    ("setp.ge.u32 %far, %i, 0x400000; @%far ret;", 22),
    ("mov.b32 {%half, %top}, %block; cvt.u32.u16 %block, %half;" + OF_BLOCK, 24),
    ("cvt.u16.u32 %half, %block; cvt.u32.u16 %block, %half;" + OF_BLOCK, 24),
    ("cvt.u16.u32 %half, %block; add.u16 %half, %half, 0; cvt.u32.u16 %block, %half;" + OF_BLOCK, 24),
    (  # through shared memory
        "mov.u32 %at, kept; mad.lo.u32 %at, %thread, 2, %at; st.shared.u16 [%at], %block; ld.shared.u16 %block, [%at];"
        + OF_BLOCK,
        24,
    ),
]


@needs_pages
@pytest.mark.parametrize(("cut", "bits"), CUTS, ids=[cut.split()[0] for cut, _ in CUTS])
def test_a_cut_of_an_index_is_found_near_the_size_at_which_it_loses_bits(copies, cut, bits):
    found = copies.difference(kernel(cut), launched)
    assert re.match("(uses|stores to) other elements of '[xy]' than |ends with MemoryFault, ", found.words)
    assert 0.75 * 2**bits < found.size["n"] < 2.2 * 2**bits


@needs_pages
@pytest.mark.parametrize("part", ["load", "store"])
def test_a_cut_of_one_access_alone_is_found(copies, part):
    name, array = {"load": ("%j", "x"), "store": ("%i", "y")}[part]
    found = copies.difference(kernel(**{part: f"and.b32 {name}, {name}, 0xfffff;"}), launched)
    assert found.words.startswith(f"uses other elements of '{array}' than ")


@needs_pages
def test_a_kernel_that_fails_at_a_large_size_is_found_if_those_of_the_pair_do_not(copies):
    found = copies.difference(kernel("setp.ge.u32 %far, %i, 0x400000; @%far trap;"), launched)
    assert found.words == "ends with KernelTrap, unlike that of the pair's kernels"


RIGHT = [
    "",
    "mov.u32 %high, %i; and.b32 %i, %i, 0xffff; and.b32 %high, %high, 0xffff0000; or.b32 %i, %i, %high;",
    "sub.u32 %block, %grid, %block; sub.u32 %block, %block, 1;" + OF_BLOCK,  # in reverse
    "xor.b32 %thread, %thread, 255;" + OF_BLOCK,
    "shr.u32 %high, %grid, 2; rem.u32 %at, %block, 4; mul.lo.u32 %at, %at, %high; shr.u32 %block, %block, 2;"
    "add.u32 %block, %block, %at;" + OF_BLOCK,  # four parts in turn
    "and.b32 %high, %grid, 1; xor.b32 %high, %high, 1; xor.b32 %block, %block, %high;" + OF_BLOCK,  # pairs of CTAs
    "prefetch.global.L2 [%x];",
]


@needs_pages
@pytest.mark.parametrize("index", RIGHT)
def test_a_right_kernel_touches_what_those_of_the_pair_touch(copies, index):
    assert copies.difference(kernel(index), launched) is None


HALVES = "shr.u32 %high, %grid, 1; add.u32 %block, %block, %high; rem.u32 %block, %block, %grid;" + OF_BLOCK


@needs_pages
def test_of_other_work_for_the_ctas_it_is_known_how_far_it_reaches(copies):
    assert copies.difference(kernel(HALVES), launched) is None
    found = copies.difference(kernel(HALVES + "rem.u32 %i, %i, 1000003;"), launched)
    assert re.fullmatch("reaches a smaller part of '[xy]' than at smaller sizes", found.words)
    assert 1 << 19 < found.size["n"] < 1 << 23


@needs_pages
@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("setp.lt.u32 %far, %thread, 255; @%far and.b32 %i, %i, 0xfffff;", "begins at a smaller part of 'y' than"),
        ("setp.ge.u32 %far, %i, 0x100000; @%far or.b32 %i, %i, 1;", "stores to fewer elements of 'y' than"),
        ("setp.ge.u32 %far, %i, 0x100000; AGAIN: @%far bra AGAIN;", "does not end, though it has as much to do as"),
    ],
    ids=["begins", "stores", "ends"],
)
def test_a_cta_with_other_work_has_as_much_of_it_at_large_sizes(copies, store, words):
    found = copies.difference(kernel(HALVES, store=store), launched)
    assert found.words == f"{words} at smaller sizes"
    assert 1 << 20 < found.size["n"] < 1 << 23


@needs_pages
def test_a_cta_with_other_work_must_not_fail_at_a_large_size(copies):
    found = copies.difference(kernel(HALVES + "setp.ge.u32 %far, %i, 0x400000; @%far trap;"), launched)
    assert found.words == "ends with KernelTrap, unlike that of the pair's kernels"


@needs_pages
def test_of_work_that_goes_less_far_at_small_sizes_too_nothing_is_known(copies):
    """From 50,176 elements on, all CTAs have their half as far from the start."""
    near = "setp.gt.u32 %far, %grid, 196; @%far shr.u32 %block, %block, 1;" + OF_BLOCK
    with pytest.raises(IndicesUnknown, match="other work"):
        copies.difference(kernel(near), launched)


@needs_pages
def test_where_memory_is_lacking_smaller_sizes_are_tried_and_that_is_said(copies, monkeypatch):
    monkeypatch.setattr(long_indices, "available", lambda: 1 << 26)
    with pytest.raises(IndicesUnknown, match=r"^n=134217728 takes more memory .* tried up to n=8388608$"):
        copies.difference(kernel(), launched)
    assert isinstance(copies.difference(kernel("bfi.b32 %i, 0, %i, 18, 14;"), launched), Difference)
    monkeypatch.setattr(long_indices, "available", lambda: 0)
    with pytest.raises(IndicesUnknown, match="tried at no size like it"):
        copies.difference(kernel(), launched)


def test_where_the_system_does_not_show_pages_nothing_is_known(copies, monkeypatch):
    monkeypatch.setattr(long_indices, "shows_pages", lambda: False)
    with pytest.raises(IndicesUnknown, match="this system"):
        copies.difference(kernel(), launched)


def test_the_sizes_have_the_largest_arrays_and_dimensions_and_few_flops():
    softmax, gemm = suite("softmax").pair, suite("fp8_mma_sync").pair
    assert [dict(size) for size in large_sizes(softmax)] == [
        {"rows": 8192, "columns": 8192},
        {"rows": 1024, "columns": 50257},
    ]
    assert [dict(size) for size in large_sizes(gemm)] == [{"m": 8192, "n": 8192, "k": 8192}]
    assert LongIndices(gemm, {}).sizes[-1] == {"m": 8192, "n": 8192, "k": 128}


# ---- whole judgements

INDEX = "mad.lo.u32  %i, %block, 256 /*= BLOCK */, %thread;"


def of_triad(*lines):
    """The PTX of triad with more lines after its index."""
    text = changed((KERNELS / "ptx" / "triad.ptx").read_text(), INDEX, "\n".join([INDEX, *lines]))
    return judged(Path("cut.ptx"), "triad", text.encode(), stages=("parses", "hidden"))


@needs_pages
def test_a_kernel_is_launched_where_its_index_loses_bits():
    judgement = of_triad("and.b32 %i, %i, 0x1ffff;")
    assert outcome(judgement) == "hidden output-unwritten"
    assert judgement.findings[0].message.startswith("n=")


TURNS = (
    ".reg .u32 %turns; .reg .pred %more;",
    "mov.u32 %turns, 0;",
    "TURN: add.u32 %turns, %turns, 1;",
    "setp.lt.u32 %more, %turns, LAST;",
    "setp.gt.and.u32 %more, %n, 1000000, %more;",
    "@%more bra TURN;",
)


@needs_pages
def test_a_kernel_that_ends_only_at_the_sizes_that_are_launched_is_found():
    endless, slow = (of_triad(*(line.replace("LAST", last) for line in TURNS)) for last in ("0xffffffff", "5000"))
    assert outcome(endless) == "hidden endless"
    assert (outcome(slow), slow.findings, slow.notes) == ("accepted", (), ())


def test_a_kernel_that_has_the_other_bits_too_is_accepted():
    lines = (
        ".reg .u32 %low, %top;",
        "mov.u32 %top, %i;",
        "and.b32 %low, %i, 0x1ffff;",
        "and.b32 %top, %top, 0x3ffe0000;",
    )
    judgement = of_triad(*lines, "or.b32 %i, %low, %top;")
    assert (outcome(judgement), judgement.findings) == ("accepted", ())


@needs_pages
def test_where_a_reference_takes_too_long_zeros_show_what_is_never_written(monkeypatch):
    monkeypatch.setattr(suites, "MOST_BYTES", 1 << 22)
    judgement = of_triad("shl.b32 %i, %i, 15; shr.u32 %i, %i, 15;")
    assert outcome(judgement) == "hidden output-unwritten"
    assert ": a CTA uses other elements of " in judgement.findings[0].message
    assert judgement.findings[0].message.endswith(" elements of 'a', from 524,288 on, are never written.")


@pytest.mark.long
@needs_pages
def test_an_index_that_loses_bits_only_at_sizes_that_are_too_large_is_a_warning():
    text = (KERNELS / "cuda" / "reduce_sum.cu").read_text()
    narrow = changed(text, "for (unsigned chunk = blockIdx.x;", "for (unsigned short chunk = blockIdx.x;")
    judgement = judged(Path("cut.cu"), "reduce_sum", narrow.encode(), stages=("parses", "hidden"))
    assert [finding.code for finding in judgement.findings] == ["narrow-index"]


@needs_pages
def test_a_kernel_that_is_right_where_its_ctas_begin_to_have_other_work_is_accepted():
    swapped = (
        ".reg .u32 %other; .reg .pred %swaps;",
        "mov.u32 %other, %nctaid.x; and.b32 %other, %other, 1; setp.eq.u32 %swaps, %other, 0;",
        "setp.gt.and.u32 %swaps, %n, 1000000, %swaps;",
        "@%swaps xor.b32 %block, %block, 1;",
        "mad.lo.u32 %i, %block, 256, %thread;",
    )
    judgement = of_triad(*swapped)
    assert (outcome(judgement), judgement.findings) == ("accepted", ())
    [note] = [note for note in judgement.notes if note.startswith("hidden: n=")]
    assert note.endswith("its results are right there, and not known at larger sizes")


@needs_pages
def test_a_judgement_notes_that_little_memory_was_free(monkeypatch):
    monkeypatch.setattr(long_indices, "available", lambda: 1 << 26)
    judgement = of_triad()
    assert outcome(judgement) == "accepted"
    [note] = [note for note in judgement.notes if note.startswith("hidden: ")]
    assert "takes more memory than is free" in note


def test_a_size_that_can_be_launched_costs_no_more_than_the_limits():
    triad = CheckSuite(suite("triad").loaded, "sm_90", SEED)
    assert triad.can_launch({"n": 1 << 20})
    assert triad.beyond_indices({"n": 1 << 28}) == []
    assert not triad.can_launch({"n": 1 << 28}, times=4)


def test_a_long_sum_has_whole_numbers_whose_sum_is_exact():
    """The tolerance of a sum of millions of real numbers would hide that some are added twice."""
    [[case]] = suite("reduce_sum").beyond_indices({"n": 1 << 16, "ctas": 3})
    assert case.label.endswith(" (whole numbers)")
    assert not np.any(case.expected.bounds["total"])


def test_where_a_pair_draws_indices_a_launch_has_those_that_lose_bits():
    """Where only great ones show an error, drawn ones may all be small."""
    size = {"tokens": 16, "targets": 1, "columns": 8, "rows": 64}
    own = suite("scatter_add_bf16")
    found, drawn = (next(iter(series)) for series in own.beyond_indices(size))
    expected = footprints.with_indices(own.pair, size, drawn.arguments)["idx"]
    assert (found.arguments["idx"] == expected).all()
    assert (np.diff(expected.astype(int)) >= 0).all()
    assert (drawn.arguments["idx"] != expected).any()
    assert found.arguments["x"].any()
