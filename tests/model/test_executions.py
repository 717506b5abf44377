"""The work of a launch, from executions of machine instructions; and the reasons for no claim."""

from dataclasses import replace

import numpy as np
import pytest

from ptxbench import floors
from ptxbench.model.cell import dram_bytes, of_cell
from ptxbench.model.executions import executions, wavefronts
from ptxbench.result import LaunchReport
from ptxbench.specifications import H100_SXM, MODELS
from ptxbench.toolchain.lines import MachineInstruction
from ptxbench.wording.model import claim_sentences, share
from tests.runs import Kernel, cell

CODE = (
    ("@!P0 LDG.E.128 R4, desc[UR4][R2.64]", 10),
    ("@!PT LDS RZ, [RZ]",                   11),
    ("LDS.128 R8, [R0]",                    11),
    ("FFMA R4, R4, R8, R9",                 12),
    ("IMAD.MOV.U32 R3, RZ, RZ, R4",         12),
    ("LOP3.LUT R3, R3, 0x1, RZ, 0xc0, !PT", 13),
    ("SHFL.BFLY PT, R5, R4, 0x1, 0x1f",     14),
    ("HMMA.16816.F32 R4, R8, R10, R4",      15),
    ("VIADD R3, R3, 0x1",                   16),
    ("EXIT",                                17),
)  # fmt: skip

BY_LINE = {
    10: {"ptx_global_load_sectors": 160, "ptx_warp_instructions": 10},
    11: {"ptx_shared_load_wavefronts": 40, "ptx_warp_instructions": 10},
    18: {"ptx_shared_load_wavefronts": 40, "ptx_warp_instructions": 10},  # merged into line 11
}


def code(*rows):
    return [MachineInstruction(16 * i, text, (), line) for i, (text, line) in enumerate(rows)]


def counted(rows=CODE, counts=10, interval=None, arch="sm_90", ctas=1000, bytes=0, wide=()):
    instructions = code(*rows)
    fit = {instruction.address: counts for instruction in instructions}
    total = counts * len(instructions)
    return executions(
        instructions, fit, interval or (total, total), BY_LINE, dict(wide), arch=arch, ctas=ctas, dram_bytes=bytes
    )  # fmt: skip


def test_each_instruction_counts_for_its_pipe_and_padding_for_an_issue_slot_alone():
    executed = counted().executed
    assert executed["warp_instructions"] == 100
    assert executed["pipes"] == {"LSU": 30, "FMA": 10, "IMAD": 10, "ALU": 10, "TENSOR": 10}
    assert (executed["shuffles"], executed["mma_fmas"], executed["ctas"]) == (10, 20480, 1000)
    assert executed["l1_sectors"] == 160
    assert executed["shared_wavefronts"] == 20  # half of the merged load's
    assert counted().unknown == ()


# further instructions of line 11, counts of merged accesses, passes over the banks
MERGED = [
    ((),                    {11: {16: 90}},        45),    # the merged one's own: half of them
    ((),                    {11: {8: 50}},         20),    # of another width
    ((),                    {18: {16: 90}},        20),    # of a line without an access
    (("LDS R9, [R0]",),     {11: {16: 90}},        20),    # some copies are not merged: the least of both
    (("LDS.128 R9, [R0]",), {11: {16: 90}},        45),
    (("LDS.64 R9, [R0]",),  {11: {16: 90, 8: 50}}, 20),    # of two widths: as if none were merged
]  # fmt: skip


@pytest.mark.parametrize(("more", "wide", "passes"), MERGED)
def test_merged_accesses_of_shared_memory_need_the_passes_of_their_width(more, wide, passes):
    assert counted((*CODE, *((text, 11) for text in more)), wide=wide).executed["shared_wavefronts"] == passes


@pytest.mark.parametrize(
    ("text", "passes"),
    [("LDS R8, [R0]", 40), ("LDS.64 R8, [R0]", 20), ("STS.128 [R0], R8", 40), ("@!PT LDS RZ, [RZ]", 0)],
)
def test_half_of_the_passes_of_a_wide_load_count(text, passes):
    executed = counted(((text, 11), CODE[-1])).executed
    assert (executed["shared_wavefronts"], executed["shuffles"]) == (passes, 0)


# of `ld.shared.v4` by lanes of which each eight read the same 128 bytes: a hand count gives one pass for a word of each
NARROWED = {"ptx_shared_load_wavefronts": 4, "ptx_shared_load_bytes": 512, "ptx_shared_load_requests": 1,
            "ptx_thread_instructions_on": 32}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "changed", "passes"),
    [
        ("LDS R8, [R0]", {}, 1),  # only one of the four registers is used
        ("LDS.64 R8, [R0]", {}, 1),  # half of the passes of two groups
        ("LDS.128 R8, [R0]", {}, 2),
        ("LDS R8, [R0]", {"ptx_thread_instructions_on": 64}, 1),  # another instruction in the line
        ("LDS R8, [R0]", {"ptx_shared_load_bytes": 128}, 4),  # PTX has 4 bytes too: conflicts
        ("LDSM.16.M88.4 R8, [R0]", {}, 4),
        ("LDS.128 R8, [R0]", {"ptx_shared_load_bytes": 128}, 2),  # wider than in PTX: no more than its passes
        ("LDS R8, [R0]", {name: 2 * count for name, count in NARROWED.items()}, 2),  # executed twice
        (
            "LDS R8, [R0]",  # twice, among other instructions of the line
            {**{name: 2 * count for name, count in NARROWED.items()}, "ptx_thread_instructions_on": 128},
            2,
        ),
    ],
)
def test_a_load_that_is_narrower_than_in_ptx_needs_no_more_than_the_passes_of_one_group(text, changed, passes):
    instructions = code((text, 11), CODE[-1])
    counts = {11: {**NARROWED, **changed}}
    assert wavefronts(instructions, counts, {}) == passes


def test_one_more_instruction_adds_exactly_its_executions_to_the_issue_slots():
    more = counted((*CODE[:-1], ("FADD R9, R9, R9", 16), CODE[-1])).executed
    before, after = (floors.floors(one, "sm_90", H100_SXM)["issue"] for one in (counted().executed, more))
    cycles = 10 / 4 / (132 * 1980e6)
    assert after - before == pytest.approx(cycles, rel=1e-9)


def test_the_lower_bound_of_an_interval_counts_and_inexact_counts_go_to_no_pipe():
    result = counted(interval=(92, 120))
    assert result.executed["warp_instructions"] == 92
    assert result.executed["pipes"] == {"LSU": 30, "FMA": 2, "IMAD": 2, "ALU": 2, "TENSOR": 10}  # LSU is exact
    assert result.width == pytest.approx(120 / 92 - 1)
    assert counted(interval=(60, 120)).executed["pipes"] == {"LSU": 30, "FMA": 0, "IMAD": 0, "ALU": 0, "TENSOR": 10}


# an instruction, its change of the executions
SIGNS = [
    ("FROB.E R1, R2",                  {"unknown": ("FROB.E",)}),
    ("HMMA.9999.F32 R4, R8, R10, R4",  {"unknown": ("HMMA.9999.F32",)}),
    ("REDG.E.ADD.F32 [R2], R3",        {"atomics": ("REDG",)}),
    ("UBLKCP.S.G [UR4], [UR6], UR8",   {"bulk": ("UBLKCP",)}),
    ("ATOMS.ADD R1, [R2], R3",         {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "signs"), SIGNS)
def test_the_reason_for_no_claim_is_named(text, signs):
    result = counted((*CODE, (text, 20)))
    assert {name: getattr(result, name) for name in ("unknown", "atomics", "bulk") if getattr(result, name)} == signs


def test_code_that_no_warp_runs_does_not_prevent_a_claim():
    instructions = code(*CODE, ("FROB.E R1, R2", 20))
    fit = {instruction.address: 10 for instruction in instructions[:-1]}
    assert executions(instructions, fit, (100, 100), BY_LINE, {}, arch="sm_90", ctas=9, dram_bytes=0).unknown == ()


# ---- the model of a cell

BIG = replace(
    cell(np.random.default_rng(1), "triad", {"n": 64}, {"cuda": Kernel(None, "A"), "ptx": Kernel(None, "B")}),
    launch=LaunchReport((1000, 1, 1), (128, 1, 1)),
    work={"flops": 1, "bytes": 3 << 30, "written": 1 << 30},
)


def of(ptx, cuda=None, one=BIG):
    base = counted(counts=1_000_000) if cuda is None else cuda
    return of_cell(one, "h100", {"cuda": base, "ptx": ptx})


def test_fewer_executions_of_everything_lower_the_floor():
    model = of(counted(counts=900_000))
    assert (model.gpu, model.verdict, model.reason) == ("h100", floors.LOWER, None)
    assert model.claims == {"ptx": {"verdict": "lower", "reason": None}}
    assert set(model.floors) == {"cuda", "ptx"}
    assert max(model.floors["ptx"].values()) < max(model.floors["cuda"].values())
    assert of(counted(counts=1_100_000)).verdict == floors.HIGHER


@pytest.mark.parametrize(("width", "shown"), [(0.0, "0.90"), (0.1, "0.90"), (0.3, "0.90 - 0.97")])
def test_the_share_of_the_reference_is_an_interval_where_executions_are(width, shown):
    model = of(replace(counted(counts=900_000), width=width))
    assert share(model, "ptx") == shown
    assert share(model, "cuda") == "-"


def changed(**fields):
    return replace(counted(counts=900_000), **fields)


FEW = {**counted(counts=900_000).executed, "ctas": 131}

# the executions of the variant, the reason for no claim
REASONS = [
    (changed(unknown=("FROB",)),   "ptx executes FROB, an opcode without a pipe in the table"),
    (changed(atomics=("ATOMG",)),  "ptx executes global atomics (ATOMG)"),
    (changed(bulk=("UTMALDG",)),   "ptx executes bulk copies, or what only clusters or warpgroups do (UTMALDG)"),
    (changed(width=0.2),           "the executed instructions are an interval 20 % wide"),
    (changed(executed=FEW),        "fewer CTAs than the 132 SMs of the GPU"),
    ("it waits in a loop",         "ptx has no executed counts: it waits in a loop"),
]  # fmt: skip


@pytest.mark.parametrize(("ptx", "reason"), REASONS)
def test_effects_outside_the_model_prevent_a_claim(ptx, reason):
    model = of(ptx)
    assert (model.verdict, model.reason) == (floors.NO_CLAIM, reason)


def test_the_time_between_the_launches_of_a_chain_prevents_a_claim():
    chain = replace(BIG, launch=replace(BIG.launch, launches=8))
    model = of(counted(counts=900_000), one=chain)
    assert (model.verdict, model.reason) == (
        floors.NO_CLAIM, "a chain of launches: the floors have no time between launches"
    )  # fmt: skip


def test_the_same_machine_code_is_named_before_other_reasons():
    same = replace(BIG, variants={**BIG.variants, "ptx": BIG.variants["cuda"]})
    assert of(changed(unknown=("FROB",)), one=same).reason == "same machine code"


def test_another_grid_prevents_a_claim():
    wider = replace(BIG.variants["ptx"], launch=LaunchReport((500, 1, 1), (256, 1, 1)))
    model = of(counted(counts=900_000), one=replace(BIG, variants={**BIG.variants, "ptx": wider}))
    assert model.reason == "other geometry: the launches differ"


def test_the_claim_about_a_cell_is_that_about_ptx_or_about_its_first_variant():
    variants = {"cuda": BIG.variants["cuda"], "other": replace(BIG.variants["ptx"], build=None), **BIG.variants}
    known = {"cuda": counted(counts=1_000_000), "other": counted(counts=1_100_000), "ptx": counted(counts=900_000)}
    assert of_cell(replace(BIG, variants=variants), "h100", known).verdict == floors.LOWER
    assert of_cell(replace(BIG, variants=variants), "h100", {**known, "ptx": "wrong"}).verdict == floors.NO_CLAIM
    del known["ptx"]
    assert of_cell(replace(BIG, variants=variants), "h100", known).verdict == floors.HIGHER
    assert of_cell(BIG, "h100", {"cuda": known["cuda"]}).reason == "there is no variant to compare"
    alone = replace(BIG, variants={"ptx": BIG.variants["ptx"]})
    assert of_cell(alone, "h100", {"ptx": changed()}).claims == {
        "ptx": {"verdict": floors.NO_CLAIM, "reason": "there is no cuda to compare with"}
    }


# opcodes of both sides, whether their use of caches is the same
POLICIES = [
    ("ld.global.f32",         "ld.global.cg.f32",              False),
    ("ld.global.f32",         "ld.global.L2::128B.f32",        False),
    ("ld.global.f32",         "prefetch.global.L2",            False),
    ("st.global.f32",         "st.global.cs.f32",              False),
    ("ld.global.f32",         "ld.global.ca.f32",              True),    # the default
    ("ld.global.f32",         "ld.global.v4.f32",              True),    # counted elsewhere
    ("ld.global.f32",         "ld.shared.f32",                 True),
]  # fmt: skip


@pytest.mark.parametrize(("cuda", "ptx", "alike"), POLICIES)
def test_other_cache_operators_prevent_a_claim(cuda, ptx, alike):
    other = {name: replace(BIG.variants[name], opcodes={op: 64}) for name, op in (("cuda", cuda), ("ptx", ptx))}
    model = of(counted(counts=900_000), one=replace(BIG, variants=other))
    assert model.reason == (None if alike else "other cache operators, cache hints or prefetches")


def test_a_launch_that_takes_very_little_time_prevents_a_claim():
    model = of(counted(counts=9), counted(counts=10))
    assert model.reason == "too small a launch: its highest floor is under 5 µs"


def test_a_variant_without_floors_is_named_with_the_reason():
    """The row of the table has no numbers, and the claim may have another reason."""
    model = of("it is wrong", "it waits in a loop")
    assert model.floors == {}
    assert model.notes == {"cuda": "no floors: it waits in a loop", "ptx": "no floors: it is wrong"}
    assert of(counted(counts=900_000)).notes == {}
    assert claim_sentences(of("it is wrong"))[-1] == "ptx: no floors: it is wrong."
    skipped = replace(BIG, variants={**BIG.variants, "ptx.new": replace(BIG.variants["ptx"], status="skipped")})
    assert of(counted(counts=900_000), one=skipped).notes == {"ptx.new": "no floors: it is skipped"}


def test_what_floors_leave_out_is_named():
    assert of(changed(unknown=("FROB",))).notes["ptx"] == "the floors leave out FROB, which the model does not have"
    assert of(changed(bulk=("UTMALDG",))).notes["ptx"].startswith("the floors have no time of bulk copies, clusters")


ATOM = ("ATOM.E.ADD.STRONG.GPU R1, [R2], R3", 20)


@pytest.mark.parametrize(
    ("counter", "atomics", "bulk"), [("global", ("ATOM",), ()), ("cluster", (), ("ATOM",)), ("shared", ("ATOM",), ())]
)
def test_an_atomic_of_the_cluster_is_not_a_global_one(counter, atomics, bulk):
    instructions = code(*CODE, ATOM)
    fit, lines = {instruction.address: 10 for instruction in instructions}, {3: {f"ptx_atomic_{counter}_requests": 10}}
    result = executions(instructions, fit, (100, 100), lines, {}, arch="sm_90", ctas=9, dram_bytes=0)
    assert (result.atomics, result.bulk) == (atomics, bulk)


def test_dram_moves_reads_from_cold_caches_and_data_beyond_the_caches():
    assert dram_bytes(BIG) == (2 << 30) + (1 << 30) - (128 << 20)
    assert dram_bytes(replace(BIG, work={"flops": 1, "bytes": 300, "written": 100})) == 200
    assert dram_bytes(replace(BIG, cache="warm")) == 0


def test_every_model_has_rates_and_its_own_name():
    assert len({specification.name for _, specification in MODELS.values()}) == len(MODELS)
    for arch, specification in MODELS.values():
        assert floors.floors(counted(counts=10).executed, arch, specification)
