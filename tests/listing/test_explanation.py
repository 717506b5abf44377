"""The findings on two listings, or on two variants of a run, in words and as data. No tool runs here."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from ptxbench.executed import BlockCount, Executed
from ptxbench.exporters import listing as exporter
from ptxbench.listing.difference import compare
from ptxbench.listing.explanation import (
    ANALYSES,
    BRIEF,
    ExplainedPair,
    explain,
    memory,
    of_cell,
)
from ptxbench.listing.explanation.finding import ExecutedRange, VariantContrast, VariantSide, percent, relation
from ptxbench.listing.explanation.memory import first_place
from ptxbench.listing.explanation.python import DOUBLES, INTEGERS, NEGATIVE, READ_ONLY, classes
from ptxbench.listing.explanation.sass_findings import generic, shortened, widths
from ptxbench.listing.text import Listing
from ptxbench.pair import Launch
from ptxbench.result import (
    BROKEN,
    VERIFIED,
    BuildReport,
    Cell,
    ExecutedReport,
    LaunchReport,
    VariantResult,
    to_json,
)
from ptxbench.toolchain.lines import MachineInstruction
from tests.runs import run_of

ROOT = Path(__file__).parents[2]


def listing(variant, *code, counted=None, machine=None, **report):
    """`code`: texts of SASS, or (text, line of the PTX) or (text, line, label before it)."""
    sass = tuple(
        MachineInstruction(16 * i, line)
        if isinstance(line, str)
        else MachineInstruction(16 * i, line[0], line[2:], line[1])
        for i, line in enumerate(code)
    )
    report_fields = {"sass_sha256": variant, "registers": 32, "shared_bytes": 0, **report}
    build = BuildReport(source_sha256="", ptx_sha256="", **report_fields)
    return Listing(
        variant, "ptx", Path(f"{variant}.ptx"), "k", "sm_90", (), (), {}, sass, build, True, counted, machine
    )


def sentences(left, right, launch=None):
    return {finding.kind: finding.text for finding in explain(ExplainedPair(compare(left, right), launch))}


ADD = ("FADD R1, R2, R3", "EXIT")


def test_if_the_machine_code_is_identical_no_other_finding_is_reported():
    texts = sentences(listing("cuda", *ADD, sass_sha256="x"), listing("ptx", "EXIT", sass_sha256="x", registers=99))
    assert texts == {
        "same code": "ptx is the same machine code as cuda, to the bit: a difference in time would be noise."
    }


@pytest.mark.parametrize(("launch", "right_launch", "same"), [
    (Launch(4, 64), None, True), (Launch(4, 64), Launch(4, 64), True), (Launch(4, 64), Launch(2, 128), False),
])  # fmt: skip
def test_identical_machine_code_is_no_reason_for_equal_times_if_the_launches_differ(launch, right_launch, same):
    sides = compare(listing("cuda", *ADD, sass_sha256="x"), listing("ptx", *ADD, sass_sha256="x"))
    kinds = {finding.kind for finding in explain(ExplainedPair(sides, launch, right_launch=right_launch))}
    assert ("same code" in kinds) == same
    own = None if right_launch is None else LaunchReport(right_launch.grid_xyz, right_launch.block_xyz)
    run = dataclasses.replace(
        cell(cuda=variant("cuda"), ptx=variant("ptx", report={"sass_sha256": "cuda"}, launch=own)),
        launch=LaunchReport(launch.grid_xyz, launch.block_xyz),
    )
    assert ("same code" in {finding.kind for finding in of_cell(run, "ptx")}) == same


def test_the_same_mix_is_not_reported_as_a_difference():
    texts = sentences(listing("cuda", *ADD), listing("ptx", *ADD[::-1]))
    assert texts == {
        "same mix": "ptx has the instructions of cuda, each as often, in a different order or with different registers."
    }


# left, right: code and report; kind, message
TOLD = [
    ((("FADD R1, R2, R3",) * 3 + ("EXIT",), {}), (("FADD R1, R2, R3", "EXIT"), {}),
     "instructions", "ptx has 2 SASS instructions, cuda 4: 50 % fewer. Most of it is FADD 3 to 1."),
    ((("FADD R1, R2, R3",) * 4 + ("MOV R1, R2",) * 2, {}), (("FMUL R1, R2, R3",) * 5, {}),
     "instructions", "ptx has 5 SASS instructions, cuda 6: 17 % fewer. Most of it is FADD 4 to 0, MOV 2 to 0."),
    ((ADD, {}), (("FMUL R1, R2, R3", "EXIT"), {}),
     "instructions", "cuda and ptx both have 2 SASS instructions, but not the same. "
                     "Most of it is FADD 1 to 0, FMUL 0 to 1."),
    ((ADD, {"spill_store_bytes": 8, "spill_load_bytes": 16}), (ADD, {}),
     "spills", "Spilled registers go through memory: cuda 24 bytes a thread, stores and loads."),
    ((ADD, {}), (ADD, {"registers": 40}),
     "registers", "ptx needs 40 registers, cuda 32."),
    ((("@P0 ATOM.E.ADD P0, RZ, [R2], R3", "LD.E R1, [R2]", "LD.E R1, [R4]"), {}), (("ATOMG.E.ADD R1", "LDG.E R1"), {}),
     "generic addressing", "cuda has generic addresses, whose memory space is unknown: 2 LD, 1 ATOM."),
    ((("LDG.E R1, [R2]",) * 4, {}), (("LDG.E.128.CONSTANT R1, [R2]",), {}),
     "access width", "Global loads in the code, by bytes a thread: cuda 4 of 4 bytes; ptx 1 of 16 bytes."),
    ((("STG.E.64 [R2], R1",), {}), (("STG.E.U16 [R2], R1",), {}),
     "access width", "Global stores in the code, by bytes a thread: cuda 1 of 8 bytes; ptx 1 of 2 bytes."),
    ((("LDG.E.S16 R1, [R2]",), {}), (("LDG.E.U8 R1, [R2]", "LDG.E.S8 R1, [R2]"), {}),
     "access width", "Global loads in the code, by bytes a thread: cuda 1 of 2 bytes; ptx 2 of 1 byte."),
    ((("FMUL R1, R2, R3", "FADD R1, R1, R4"), {}), (("FFMA R1, R2, R3, R4",), {}),
     "fused multiply-add", "cuda has 1 more separate multiplication and addition, ptx 1 more fused multiply-add."),
    ((("FSETP.GEU.AND P1, PT, |R2|, 1.175494350822287508e-38, PT",), {}), (("NOP",), {}),
     "subnormal numbers",
     "Guards for subnormal numbers: cuda 1, ptx 0. In CUDA C --use_fast_math removes them."),
    ((("F2F.F16.F32 R1, R2", "I2FP.F32.S32 R1, R2"), {}), (ADD, {}),
     "conversions", "Conversions between types: cuda 2, ptx 0."),
    ((ADD, {}), (ADD, {"log": "ptxas info : (C7508) Potential Performance Loss: 'setmaxnreg' ignored\nother"}),
     "ptxas", "ptx: ptxas info : (C7508) Potential Performance Loss: 'setmaxnreg' ignored"),
    ((ADD, {"log": "ptxas info : (C7519) Potential Performance Loss: wgmma is serialized"}), (ADD, {}),
     "ptxas", "cuda: ptxas info : (C7519) Potential Performance Loss: wgmma is serialized"),
]  # fmt: skip


TOLD += [
    ((("ATOM.E.ADD.BF16x2.RN.STRONG.GPU P0, R1",) * 4, {}), (("REDG.E.ADD.BF16x8.RN.STRONG.GPU [R2]",), {}),
     "access width", "Global atomics in the code, by bytes a thread: cuda 4 of 4 bytes; ptx 1 of 16 bytes."),
    ((("IADD3.X R1", "IADD3 R2", "IMAD.WIDE.U32 R4"), {}), (("IMAD.WIDE.U32.X R4", "IMAD.WIDE.U32 R4"), {}),
     "carries", "In ptx 1 multiply-adds take a carry along (IMAD.WIDE.X), in cuda 0, which has 2 more additions."),
    ((("MOV R1, 0xf000f", "HFMA2.MMA R2, -RZ, RZ, 1024, 1024", "IMAD.MOV.U32 R3, RZ, RZ, 0x7", "@P0 UMOV UR4, 1"), {}),
     (("MOV R1, RZ", "HFMA2.MMA R2, -RZ, RZ, 0, 0", "MOV R3, R4", "IMAD.MOV.U32 R3, RZ, RZ, R4", "MOV R1, 0x0"), {}),
     "constants", "Instructions that only put a constant into a register: cuda 4, ptx 0."),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "kind", "text"), TOLD)
def test_a_difference_is_reported_with_its_figures(left, right, kind, text):
    assert sentences(listing("cuda", *left[0], **left[1]), listing("ptx", *right[0], **right[1]))[kind] == text


def test_occupancy_is_computed_for_the_launch():
    few, many = listing("cuda", *ADD), listing("ptx", *ADD, registers=128)
    launch = Launch(grid=1, block=256)
    assert (
        sentences(few, many, launch)["occupancy"] == "ptx needs 128 registers, cuda 32: occupancy 25 % against 100 %."
    )
    shared = listing("ptx", *ADD, shared_bytes=57_344)  # four CTAs of 56 KiB fit an SM
    assert sentences(few, shared, launch)["occupancy"] == (
        "ptx needs 57,344 bytes of shared memory, cuda 0: occupancy 50 % against 100 %."
    )
    both = {finding.kind: finding for finding in explain(ExplainedPair(compare(few, listing("ptx", *ADD, registers=128,
                                                                           shared_bytes=57_344)), launch))}  # fmt: skip
    assert both["occupancy"].text == (
        "ptx needs 128 registers, cuda 32; ptx needs 57,344 bytes of shared memory, cuda 0: "
        "occupancy 25 % against 100 %."
    )
    assert both["occupancy"].line == "ptx has occupancy 25 % against 100 % of cuda."
    assert (
        sentences(many, few, launch)["occupancy"] == "cuda needs 32 registers, ptx 128: occupancy 100 % against 25 %."
    )
    dynamic = Launch(grid=1, block=256, shared_bytes=57_344)  # takes as much in both, and little more fits on the SM
    assert sentences(few, listing("ptx", *ADD, shared_bytes=57_344), dynamic)["occupancy"] == (
        "ptx needs 114,688 bytes of shared memory, cuda 57,344: occupancy 25 % against 50 %."
    )
    near = listing("ptx", *ADD, registers=31)
    assert sentences(few, near, launch)["registers"] == "ptx needs 31 registers, cuda 32; occupancy is the same."


def test_a_store_to_another_cta_of_the_cluster_is_not_a_generic_address():
    """SASS has only ST for it; what was counted says which memory was meant."""
    report = BuildReport(source_sha256="", ptx_sha256="")
    right = VariantSide("ptx", report, {"STG.E.128": 5})

    def kinds(**counts):
        contrast = VariantContrast(VariantSide("cuda", report, {"STG.E.128": 5, "ST.E": 1}, counts=counts), right)
        return {finding.kind for analysis in (generic, widths) for finding in analysis(contrast)}

    assert kinds(ptx_cluster_store_requests=128, ptx_generic_accesses=0) == set()
    assert kinds(ptx_cluster_store_requests=128, ptx_generic_accesses=4) == {"generic addressing", "access width"}
    assert kinds() == {"generic addressing", "access width"}


def test_equal_values_are_not_reported():
    wide = ("LDG.E.128 R1, [R2]", "LDG.E R1, [R2]", "EXIT")
    more = ("LDG.E.128 R1, [R2]", "LDG.E R1, [R2]", "LDG.E R1, [R2]", "EXIT")
    assert set(sentences(listing("cuda", *wide), listing("ptx", *more))) == {"instructions"}  # of the same widths
    assert set(sentences(listing("cuda", *ADD), listing("ptx", "FFMA R1, R2, R3, R4", "EXIT"))) == {"instructions"}


def test_more_of_both_kinds_of_carries_is_not_a_finding():
    more = ("IMAD.WIDE.U32.X R4, R1, R2, R3", "IADD3 R1, R2, R3", "IADD3 R5, R2, R3")
    assert "carries" not in sentences(listing("cuda", *more[1:2]), listing("ptx", *more))


def test_the_most_expensive_finding_comes_first():
    left = listing("cuda", "LD.E R1, [R2]", "I2F R1, R2", spill_load_bytes=4)
    kinds = [finding.kind for finding in explain(ExplainedPair(compare(left, listing("ptx", *ADD, registers=16))))]
    assert kinds == ["spills", "generic addressing", "instructions", "conversions", "registers"]


def test_the_order_matches_the_documentation():
    rows = re.findall(
        r"^\| (\w[\w -]+) \| .*", (ROOT / "docs" / "show.md").read_text().split("| finding |")[1].split("\n\n")[0], re.M
    )
    assert len(rows) == len(set(rows))
    others = ("same code", "same mix", "unrolling")  # given in place of another finding
    assert [row for row in rows if row not in others] == list(dict.fromkeys(name for name, _ in ANALYSES))


# ---- what the emulator counted


def counters(**values):
    return {f"ptx_{name}": value for name, value in values.items()}


def of(left, right):
    """The findings about two variants with these counts of lines 3 and 7."""
    both = [
        listing(name, code, counted={line: counters(**counts) for line, counts in zip((3, 7), lines, strict=False)})
        for name, code, lines in (("cuda", "NOP", left), ("ptx", "EXIT", right))
    ]
    return {finding.kind: finding for finding in explain(ExplainedPair(compare(*both)))}


LOAD = {"global_load_requests": 10, "global_load_sectors": 160, "global_load_bytes": 5120}
GATHER = {"global_load_requests": 10, "global_load_sectors": 320, "global_load_bytes": 1280}
SHARED = {"shared_load_requests": 10, "shared_load_wavefronts": 10}

# lines of cuda, lines of ptx; kind, text, places
COUNTED = [
    ([GATHER, LOAD], [LOAD, LOAD], "sectors",
     "ptx touches 320 sectors of global memory, cuda 480: 33 % fewer. In cuda, cuda.ptx:3 touches the most.",
     ["cuda.ptx:3"]),
    ([GATHER, LOAD], [LOAD, LOAD], "sectors per request",
     "At cuda.ptx:3 a warp's load touches 32 sectors, and its bytes would fit in 4.", ["cuda.ptx:3"]),
    ([GATHER], [LOAD, GATHER], "sectors per request",
     "At cuda.ptx:3 and ptx.ptx:7 a warp's load touches 32 sectors, and its bytes would fit in 4.",
     ["cuda.ptx:3", "ptx.ptx:7"]),
    ([SHARED], [SHARED | {"shared_load_conflicts": 5}, SHARED | {"shared_load_conflicts": 25}], "bank conflicts",
     "Passes over shared memory that bank conflicts add: cuda none, ptx 30 (1.5 an access); most at ptx.ptx:7.",
     ["ptx.ptx:7"]),
    ([{"atomic_global_requests": 4}], [{"atomic_global_requests": 1}], "atomics",
     "ptx makes 1 atomic requests, cuda 4: 75 % fewer.", ["cuda.ptx:3", "ptx.ptx:3"]),
    ([{"atomic_cluster_requests": 4}], [{"cluster_store_requests": 4}], "atomics",
     "ptx makes 0 atomic requests, cuda 4.", ["cuda.ptx:3"]),
    ([{"branches": 20, "divergent_branches": 0}], [{"branches": 20, "divergent_branches": 3}], "divergence",
     "Divergent branches of the PTX: cuda none, ptx 3 of 20; most at ptx.ptx:3.", ["ptx.ptx:3"]),
    ([{"barriers": 8}], [{"barriers": 20}], "barriers",
     "Warps arrive at 20 barriers in ptx, at 8 in cuda: 2.5 times as many.", []),
    ([{"warp_instructions": 100, "warp_instructions_move": 60}], [{"warp_instructions": 70,
                                                                  "warp_instructions_move": 30}],
     "executed instructions",
     "Before ptxas, warps execute 70 PTX instructions in ptx, 100 in cuda: 30 % fewer. Most of it is moves, "
     "30 against 60.", []),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "kind", "text", "places"), COUNTED)
def test_findings_on_executions_name_their_lines(left, right, kind, text, places):
    finding = of(left, right)[kind]
    assert finding.text == text
    assert [str(place) for place in finding.places] == places
    assert len(finding.line) <= BRIEF
    assert kind not in of(left, left) or kind == "sectors per request"


def test_small_differences_are_not_reported():
    near = {name: value * 103 // 100 for name, value in (GATHER | SHARED | {"shared_load_conflicts": 100}).items()}
    findings = of([GATHER | SHARED | {"shared_load_conflicts": 100}], [near])
    assert findings.keys() == {"instructions", "sectors per request"}


def test_the_same_machine_instructions_ignore_the_ptx_instruction_count():
    counts = {3: counters(warp_instructions=100)}, {3: counters(warp_instructions=70)}
    both = [listing(name, *ADD, counted=by_line) for name, by_line in zip(("cuda", "ptx"), counts, strict=True)]
    assert [finding.kind for finding in explain(ExplainedPair(compare(*both)))] == ["same mix"]


def test_the_lines_of_an_unrolled_loop_are_one_of_the_file():
    """NVRTC has unrolled line 20 into the lines 3 to 5 of its PTX; line 7 has no line of the CUDA C."""
    counts = {3: GATHER, 4: GATHER, 5: GATHER, 6: LOAD | {"global_load_sectors": 400}, 7: GATHER}
    whole = listing("cuda", "NOP", counted={line: counters(**numbers) for line, numbers in counts.items()})
    unrolled = dataclasses.replace(whole, language="cuda", path=Path("k.cu"), origin={3: 20, 4: 20, 5: 20, 6: 21})
    side = VariantSide("cuda", whole.report, {}, listing=unrolled, counts={"ptx_global_load_sectors": 1_680})
    sums = [(str(place), place.ptx_line, counts["ptx_global_load_sectors"]) for place, counts in side.lines.items()]
    assert sums == [
        ("k.cu:20", 3, 960), ("k.cu:21", 6, 400), ("line 7 of the PTX of k.cu", 7, 320),
    ]  # fmt: skip
    assert str(first_place(side, "ptx_global_load_sectors")) == "k.cu:20"
    assert first_place(side, "ptx_barriers") is None


def test_a_line_with_few_of_the_sectors_is_not_named():
    rare = {"global_store_requests": 1, "global_store_sectors": 32, "global_store_bytes": 128}
    assert "sectors per request" not in of([LOAD, LOAD | rare], [LOAD, LOAD | rare])
    one_lane = {"global_store_requests": 9, "global_store_sectors": 9, "global_store_bytes": 36}
    assert "sectors per request" not in of([one_lane], [one_lane])  # a sector is the least there is


def test_of_two_wasteful_lines_the_one_that_wastes_more_is_named():
    lesser = {"global_store_requests": 5, "global_store_sectors": 100, "global_store_bytes": 640}
    for lines in ([GATHER, lesser], [lesser, GATHER]):
        (place, _) = of(lines, lines)["sectors per request"].places
        assert place.line == (3, 7)[lines.index(GATHER)]


def test_a_ticket_per_cta_causes_no_finding():
    few, more = ({"atomic_global_requests": count, "warp_instructions": 1_000} for count in (4, 9))
    assert "atomics" not in of([few], [more])
    assert "atomics" in of([few], [more | {"atomic_global_requests": 10}])


def test_uncounted_executions_cause_no_finding():
    left, right = listing("cuda", *ADD, counted={1: counters(atomic_global_requests=9)}), listing("ptx", *ADD)
    assert [finding.kind for finding in explain(ExplainedPair(compare(left, right)))] == ["same mix"]


# ---- loops


def code_of(*body):
    """A loop of `body` between other instructions."""
    (text, line), *others = body
    code = [("S2R R0, SR_TID.X", 1), (text, line, ".L_x_0"), *others]
    return [*code, ("ISETP.NE.AND P0, PT, R1, RZ, PT", 8), ("@P0 BRA .L_x_0", 9), ("EXIT", 10)]


def ran(counts, *, least=None, most=None):
    """Executions of SASS: the count of each instruction."""
    blocks = [BlockCount(16 * i, 16 * i + 16, float(count)) for i, count in enumerate(counts)]
    fit = sum(counts)
    return Executed(least or fit, fit, most or fit, blocks=blocks)


def loop(*body, rounds=100, name="cuda", outside=1, **ends):
    """A listing with SASS that is a loop of `body`, with that many trips, and `outside` before and after it."""
    code = code_of(*body)
    counts = [outside, *[rounds] * (len(code) - 2), outside]
    return listing(name, *code, machine=ran(counts, **ends))


LOAD_ADD = [("LDG.E R1, [R2]", 3), ("FADD R3, R3, R1", 4)]


def kinds(left, right):
    return {finding.kind for finding in explain(ExplainedPair(compare(left, right)))}


def test_wide_or_overlapping_ranges_suppress_findings_on_executions():
    more = [("MOV R9, 0x1", 5), ("MOV R8, 0x2", 6)]
    long, short = loop(*LOAD_ADD, *more), loop(*LOAD_ADD, name="ptx")  # 602 and 402 machine instructions
    claims = {"loops", "executed instructions"}
    assert claims <= kinds(long, short)
    assert not claims & kinds(long, loop(*LOAD_ADD, name="ptx", most=430))
    assert not claims & kinds(loop(*LOAD_ADD, *more, least=500), short)
    assert claims <= kinds(long, loop(*LOAD_ADD, name="ptx", most=410))
    unknown = dataclasses.replace(
        short, machine=Executed(reason="it spins"), counted={3: counters(warp_instructions=1)}
    )
    counted = dataclasses.replace(long, counted={3: counters(warp_instructions=100)})
    assert not claims & kinds(counted, unknown)  # and not from PTX counts, which may point the other way


EXECUTIONS = [
    # (least, most, likeliest) of cuda and of ptx: the sentence, or None
    ((100, 100, 100), (70, 70, 70), "30 % fewer"),
    ((100, 100, 100), (150, 150, 150), "50 % more"),
    ((100, 100, 100), (250, 250, 250), "150 % more"),
    ((1000, 1010, 1000), (800, 801, 800), "20 to 21 % fewer"),
    ((800, 801, 800), (1000, 1010, 1000), "25 to 26 % more"),
    ((100, 100, 100), (96, 96, 96), None),  # hardly differs
    ((100, 100, 100), (70, 73, 70), None),  # wide
    ((1000, 1030, 1000), (1020, 1060, 1060), None),  # they meet
    ((None, None, None), (70, 70, 70), None),
    ((0, 0, 0), (70, 70, 70), None),
]


@pytest.mark.parametrize(("cuda", "ptx", "share"), EXECUTIONS)
def test_executions_are_compared_by_the_ranges_that_they_lie_in(cuda, ptx, share):
    sides = [
        VariantSide(name, listing(name, *ADD).report, {}, executed=ExecutedRange(*numbers))
        for name, numbers in (("cuda", cuda), ("ptx", ptx))
    ]
    findings = list(memory.executed(VariantContrast(*sides)))
    if share is None:
        assert findings == []
    else:
        assert findings[0].line == f"Warps execute {share} machine instructions in ptx than in cuda."
        assert len(findings[0].line) <= BRIEF


def test_the_opcode_with_most_of_a_difference_is_named():
    left = listing("cuda", "FADD R1", "MOV R1", "EXIT", machine=ran([100, 50, 10]))
    right = listing("ptx", "FADD R1", "IADD3 R1", "EXIT", machine=ran([60, 30, 10]))
    finding = {one.kind: one for one in explain(ExplainedPair(compare(left, right)))}["executed instructions"]
    assert finding.text == (
        "Warps execute 38 % fewer machine instructions in ptx than in cuda: 100 against 160. Most of it is MOV, "
        "0 against 50."
    )
    assert finding.figures == {
        "executed machine instructions": {"cuda": 160, "ptx": 100},
        "MOV": {"cuda": 50, "ptx": 0},
    }

    ranges = ExecutedRange(100, 100, 100, {"MOV": 60, "SEL": 40}), ExecutedRange(70, 70, 70, {"MOV": 55, "SEL": 15})
    for (left, right), sentence in ((ranges, "15 against 40."), (ranges[::-1], "40 against 15.")):
        (finding,) = memory.executed_sass(contrast(), left, right)
        assert finding.text.endswith(f"Most of it is SEL, {sentence}")


def contrast(**executed):
    """Two variants that differ in PTX instructions, each with these executed machine instructions."""
    build = listing("both", *ADD).report
    counts = {"cuda": counters(warp_instructions=100), "ptx": counters(warp_instructions=50)}
    return VariantContrast(
        *(VariantSide(name, build, {}, counts=counts[name], executed=executed.get(name)) for name in counts)
    )


def test_ptx_instructions_are_compared_only_if_neither_side_has_machine_instructions():
    assert [finding.kind for finding in memory.executed(contrast())] == ["executed instructions"]
    assert list(memory.executed(contrast(ptx=ExecutedRange(70, 70, 70)))) == []


CLASSES = [
    ("add.s64",          "%rd1, %rd2, 8",   [INTEGERS]),
    ("setp.lt.s64",      "%p1, %rd1, 0",    [INTEGERS, NEGATIVE]),
    ("setp.lt.s64",      "%p1, %rd1, 10",   [INTEGERS]),
    ("setp.gt.s64",      "%p1, %rd1, 0",    [INTEGERS]),
    ("ld.global.u64",    "%rd1, [%rd2]",    []),
    ("ld.global.nc.f64", "%fd1, [%rd2]",    [READ_ONLY]),
    ("st.global.f64",    "[%rd2], %fd1",    []),
    ("mul.f64",          "%fd1, %fd1, 0.5", [DOUBLES]),
    ("cvt.f64.f32",      "%fd1, %f1",       [DOUBLES]),
    ("cvt.rn.f32.f64",   "%f1, %fd1",       [DOUBLES]),
    ("cvt.s64.s32",      "%rd1, %r1",       []),
    ("mov.f64",          "%fd1, %fd2",      []),
    ("ret",              "",                []),
]  # fmt: skip


@pytest.mark.parametrize(("opcode", "operands", "found"), CLASSES)
def test_instructions_of_python_are_of_these_classes(opcode, operands, found):
    assert list(classes(opcode, operands)) == found


def test_python_is_compared_with_another_language_on_either_side():
    head = (".visible .entry k(", ")", "{")
    code = (*head, "add.s64 %rd1, %rd1, 8;", "setp.lt.s64 %p1, %rd1, 0;", "mul.f64 %fd1, %fd1, 0.5;", "}")
    counted = {4: counters(warp_instructions=30), 5: counters(warp_instructions=20)}
    python = dataclasses.replace(listing("numba", "NOP"), language="numba", ptx=code, counted=counted)
    cuda = dataclasses.replace(
        listing("cuda", "EXIT"), language="cuda", ptx=(*head, "ld.global.nc.f32 %f1, [%rd1];", "}"),
        counted={4: counters(warp_instructions=10)},
    )  # fmt: skip
    for sides in ((python, cuda), (cuda, python)):
        texts = sentences(*sides)
        assert texts[INTEGERS].startswith("numba executes 50 PTX instructions on 64-bit integers, cuda 0. 20 of them")
        assert texts[READ_ONLY].startswith("cuda executes 10 read-only loads (ld.global.nc), numba none: ")
        assert DOUBLES not in texts  # its line was not executed
    texts = sentences(dataclasses.replace(python, counted=None), cuda)
    assert texts[DOUBLES].startswith("numba has 1 PTX instructions in double precision, cuda 0. ")
    assert not {INTEGERS, DOUBLES} & sentences(python, dataclasses.replace(python, variant="other")).keys()


# ---- of a run


def variant(name, **changes):
    report = {"sass_sha256": name, "registers": 32, "occupancy": 1.0, "opcodes": {"FADD": 3, "EXIT": 1}}
    build = BuildReport(source_sha256="", ptx_sha256="", **(report | changes.pop("report", {})))
    return VariantResult("ptx" if name.startswith("ptx") else "cuda", VERIFIED, build=build, **changes)


def cell(**variants):
    shape = LaunchReport((1, 1, 1), (256, 1, 1))
    return Cell("k", {"n": 1}, "sm_90", shape, {"flops": 0, "bytes": 0}, variants)


def test_a_stored_run_gives_the_same_findings():
    spilling = variant("ptx", report={"spill_store_bytes": 8, "registers": 255, "occupancy": 0.125})
    findings = of_cell(cell(cuda=variant("cuda"), ptx=spilling), "ptx")
    assert [(finding.kind, finding.line) for finding in findings] == [
        ("spills", "Registers spill to memory: ptx 8 bytes a thread."),
        ("occupancy", "ptx needs 255 registers, cuda 32: occupancy 12 % against 100 %."),
        ("same mix", "ptx has the instruction mix of cuda: each opcode as often."),
    ]
    counted = cell(cuda=variant("cuda", counts=counters(barriers=8)), ptx=variant("ptx", counts=counters(barriers=4)))
    assert [finding.kind for finding in of_cell(counted, "ptx")] == ["barriers", "same mix"]
    shared = counters(**SHARED, shared_store_requests=0, shared_store_conflicts=0)
    cuda, ptx = (
        variant(name, counts=shared | counters(shared_load_conflicts=n)) for name, n in (("cuda", 0), ("ptx", 30))
    )
    finding = of_cell(cell(cuda=cuda, ptx=ptx), "ptx")[0]
    assert finding.text == "Passes over shared memory that bank conflicts add: cuda none, ptx 30 (3 an access)."
    more = counters(warp_instructions=200)  # of PTX, which points the other way
    for most, kinds_told in ((75, ["executed instructions", "same mix"]), (150, ["same mix"])):
        executed = cell(
            cuda=variant("cuda", executed=ExecutedReport(100, 100, 100), counts=counters(warp_instructions=100)),
            ptx=variant("ptx", executed=ExecutedReport(74, most, 75), counts=more),
        )
        assert [finding.kind for finding in of_cell(executed, "ptx")] == kinds_told


def test_unknown_machine_code_is_not_the_same():
    unknown = {"sass_sha256": None, "registers": None, "occupancy": None, "opcodes": {}}
    driver = cell(cuda=variant("cuda", report=unknown), ptx=variant("ptx", report=unknown))
    assert of_cell(driver, "ptx") == ()


def test_unknown_registers_are_not_compared():
    unknown = variant("cuda", report={"registers": None, "occupancy": None})
    more = variant("ptx", report={"registers": 40, "occupancy": 0.5})
    for cuda, ptx in ((unknown, more), (more, unknown)):
        assert [finding.kind for finding in of_cell(cell(cuda=cuda, ptx=ptx), "ptx")] == ["same mix"]


def test_a_short_form_names_as_many_details_as_fit_in_a_line():
    details = ["FADD 4 to 0", "MOV 2 to 0"]
    assert shortened("Text", details) == "Text: FADD 4 to 0, MOV 2 to 0."
    assert shortened("t" * (BRIEF - 20), details) == "t" * (BRIEF - 20) + ": FADD 4 to 0."
    assert shortened("t" * BRIEF, details) == "t" * BRIEF + "."


def test_a_variant_that_was_not_built_has_no_findings():
    alone = cell(cuda=variant("cuda"), ptx=VariantResult("ptx", BROKEN, "no"))
    assert of_cell(alone, "ptx") == of_cell(cell(cuda=variant("cuda")), "ptx") == ()


# ---- as data


def test_the_document_has_kinds_figures_and_places():
    sides = [listing(name, "NOP", counted={3: counters(barriers=n)}) for name, n in (("a", 1), ("b", 2))]
    case = ExplainedPair(compare(*sides),
                None, {"n": 3}, {"b": "why"})  # fmt: skip
    document = json.loads(exporter.to_json(case.sides, [case]))
    assert (document["counted_at"], document["not_counted"]) == ({"n": 3}, {"b": "why"})
    first = document["findings"][0]
    assert first["variants"] == ["a", "b"]
    assert first["figures"] == {"barriers": {"a": 1, "b": 2}}


@pytest.mark.parametrize(("before", "after", "words"), [
    (4, 4, "."), (0, 4, "."), (4, 3, ": 25 % fewer."), (4, 5, ": 25 % more."), (4, 0, "."),
    (2, 5, ": 2.5 times as many."), (1000, 1, ": 99.9 % fewer."),
])  # fmt: skip
def test_a_relation_is_written_in_words(before, after, words):
    assert relation(before, after) == words


def test_no_share_is_rounded_to_nothing_or_to_all():
    assert [percent(share) for share in (0.0004, 0.031, 0.12, 0.996, 0.99996, 1)] == [
        "0.04 %", "3.1 %", "12 %", "99.6 %", "99.9 %", "100 %",
    ]  # fmt: skip


def test_the_findings_of_a_run_come_from_its_verified_ptx():
    spilling = variant("ptx", report={"spill_store_bytes": 8})
    other = variant("ptx.other", report={"registers": 40})
    wrong = dataclasses.replace(variant("ptx.wrong"), status="wrong")
    findings = exporter.findings_of_run(
        run_of([cell(**{"cuda": variant("cuda"), "ptx": spilling, "ptx.other": other, "ptx.wrong": wrong})])
    )
    assert [(finding["pair"], finding["size"], finding["variants"], finding["kind"]) for finding in findings] == [
        ("k", {"n": 1}, ["cuda", "ptx"], "spills"),
        ("k", {"n": 1}, ["cuda", "ptx"], "same mix"),
        ("k", {"n": 1}, ["cuda", "ptx.other"], "same mix"),
        ("k", {"n": 1}, ["cuda", "ptx.other"], "registers"),
    ]
    assert exporter.findings_of_run(run_of([cell(ptx=spilling)])) == []
    assert (
        exporter.findings_of_run(
            run_of([cell(cuda=dataclasses.replace(variant("cuda"), status="wrong"), ptx=spilling)])
        )
        == []
    )
    document = json.loads(to_json(run_of([cell(cuda=variant("cuda"), ptx=spilling)]), findings=findings))
    assert document["findings"][0]["figures"] == {"spill_bytes": {"cuda": 0, "ptx": 8}}
