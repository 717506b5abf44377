"""Every metric of a timed variant, of a counted one, and of one without either."""

import dataclasses
import re

import pytest

from ptxbench.emulator import counters
from ptxbench.errors import UsageError
from ptxbench.metrics import BY_NAME, METRICS, choose
from ptxbench.result import (
    BuildReport,
    Cell,
    CheckReport,
    ExecutedReport,
    LaunchReport,
    RooflineLimits,
    Round,
    VariantResult,
)

BUILD = BuildReport(
    source_sha256="s",
    ptx_sha256="p",
    registers=32,
    spill_store_bytes=8,
    spill_load_bytes=4,
    stack_bytes=16,
    shared_bytes=1024,
    occupancy=0.75,
    sass={"total": 40, "LDG": 2},
    opcodes={"IMAD": 8, "IMAD.WIDE": 4, "IMAD.WIDE.U32": 2, "LDG.E.128.CONSTANT": 2, "LDGSTS.E.BYPASS.128": 1},
)
CHECK = CheckReport("float64", "1 ulp", [{"n": 1}], max_error=1e-7)
COUNTS = {
    **dict.fromkeys(counters.ADDITIVE, 0),
    "ptx_warp_instructions": 300,
    "ptx_global_load_requests": 10,
    "ptx_global_load_sectors": 40,
    "ptx_global_store_requests": 10,
    "ptx_global_store_sectors": 80,
    "ptx_shared_load_conflicts": 3,
    "ptx_shared_store_conflicts": 4,
    "ptx_async_requests": 3,
    "ptx_atomic_global_requests": 1,
    "ptx_atomic_shared_requests": 5,
    "ptx_active_lane_share": 0.5,
}


def cell(**variants):
    return Cell(
        pair="scale",
        size={"n": 1000},
        arch="sm_90",
        launch=LaunchReport((2, 1, 1), (128, 1, 1)),
        work={"flops": 1000, "bytes": 8000},
        variants=variants,
        rounds=variants.pop("rounds", ()),
    )


TIMED = cell(
    cuda=VariantResult("cuda", "verified", build=BUILD, check=CHECK),
    ptx=VariantResult("ptx", "verified", build=BUILD, check=CHECK),
    rounds=[Round(0, 0, ("cuda", "ptx"), "A", [[2000, 1000, 1000, 2000]] * 8)],
)
COUNTED = cell(
    cuda=VariantResult("cuda", "verified", build=BUILD, check=CHECK, counts={**COUNTS, "ptx_warp_instructions": 400}),
    ptx=VariantResult("ptx", "verified", build=BUILD, check=CHECK, counts=COUNTS),
)
IDLE = dataclasses.replace(
    cell(ptx=VariantResult("ptx", "verified", counts=dict.fromkeys(COUNTS, 0))), work={"flops": 1000, "bytes": 0}
)
WIDE = dataclasses.replace(COUNTED, launch=LaunchReport((10**6, 1, 1), (128, 1, 1)))
CLOCKED = dataclasses.replace(TIMED, rounds=[dataclasses.replace(TIMED.rounds[0], solo_mhz={"A": 1000.0, "B": 1500.0})])


def derived(cuda, ptx, code="other"):
    """COUNTED, with machine instructions: at least, most likely, at most; `code`: the hash of the code of ptx."""
    numbers, codes = {"cuda": cuda, "ptx": ptx}, {"cuda": "code", "ptx": code}
    variants = {
        name: dataclasses.replace(
            variant,
            build=dataclasses.replace(BUILD, sass_sha256=codes[name]),
            executed=ExecutedReport(least=numbers[name][0], fit=numbers[name][1], most=numbers[name][2]),
        )
        for name, variant in COUNTED.variants.items()
    }
    return dataclasses.replace(COUNTED, variants=variants)


DERIVED = derived((160, 180, 200), (80, 90, 100))
NEITHER = cell(ptx=VariantResult("ptx", "broken", "no such instruction"))

VALUES = [
    ("time",                             TIMED,   1e-6),
    ("ratio",                            TIMED,   0.5),
    ("bandwidth",                        TIMED,   8e9),
    ("compute",                          TIMED,   1e9),
    ("share",                            TIMED,   None),    # the device is unknown
    ("intensity",                        TIMED,   0.125),
    ("max_error",                        TIMED,   1e-7),
    ("registers",                        TIMED,   32),
    ("spills",                           TIMED,   12),
    ("stack",                            TIMED,   16),
    ("shared",                           TIMED,   1024),
    ("sass",                             TIMED,   40),
    ("occupancy",                        TIMED,   0.75),
    ("time",                             COUNTED, None),    # an emulator has no time
    ("ratio",                            COUNTED, None),
    ("bandwidth",                        COUNTED, None),
    ("ptx_warp_instructions",            COUNTED, 300),
    ("ptx_warp_instructions",            TIMED,   None),    # a GPU counts nothing
    ("ptx_instructions_ratio",           COUNTED, 0.75),
    ("ptx_instructions_ratio",           TIMED,   None),
    ("ptx_active_lane_share",            COUNTED, 0.5),
    ("ptx_global_sectors",               COUNTED, 120),
    ("ptx_global_sectors_per_request",   COUNTED, 6),
    ("ptx_global_load_sectors_per_request", COUNTED, 4),
    ("ptx_shared_conflicts",             COUNTED, 7),
    ("ptx_shared_wavefronts",            COUNTED, 0),
    ("ptx_atomics",                      COUNTED, 6),
    ("ptx_barriers",                     COUNTED, 0),
    ("ptx_direct_loads",                 COUNTED, 10 - 3),
    ("ptx_direct_loads",                 IDLE,    0),
    ("ptx_global_load_sectors_per_request", IDLE, None),
    ("intensity",                        IDLE,    None),
    ("cycles_ratio",                     TIMED,   None),    # the clocks are unknown
    ("cycles_ratio",                     CLOCKED, 0.75),
    ("launched_warps",                   TIMED,   None),
    ("launched_warps",                   COUNTED, 2 * 4),
    ("launched_warps",                   WIDE,    132 * 64),  # an H100 holds no more
    ("launched_warps",                   dataclasses.replace(WIDE, arch="sm_999"), None),
    ("sass_executed",                    COUNTED, None),
    ("sass_executed",                    DERIVED, 90),
    ("sass_executed_ratio",              DERIVED, 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "result", "value"), VALUES)
def test_a_metric_is_derived_from_the_cell(name, result, value):
    derived = BY_NAME[name].of(result, "ptx")
    assert derived == (None if value is None else pytest.approx(value, rel=1e-12))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_does_not_exist_for_a_variant_that_never_ran(metric):
    assert metric.of(NEITHER, "ptx") is None


def test_a_variant_that_is_not_verified_has_no_time():
    wrong = cell(
        cuda=TIMED.variants["cuda"], ptx=VariantResult("ptx", "wrong", build=BUILD, check=CHECK), rounds=TIMED.rounds
    )
    assert BY_NAME["time"].of(wrong, "ptx") is None
    assert BY_NAME["ratio"].of(wrong, "ptx") is None


def test_the_ratio_has_an_interval_and_the_references_is_one_without_interval():
    ratio = BY_NAME["ratio"]
    low, high = ratio.interval(TIMED, "ptx", TIMED.variants["ptx"])
    assert low == pytest.approx(0.5)
    assert high == pytest.approx(0.5)
    assert ratio.of(TIMED, "cuda") == 1.0
    assert ratio.interval(TIMED, "cuda", TIMED.variants["cuda"]) is None
    assert ratio.of(COUNTED, "cuda") is None


@pytest.mark.parametrize("name", ["ratio", "cycles_ratio"])
def test_without_samples_a_ratio_has_no_interval(name):
    assert BY_NAME[name].interval(COUNTED, "ptx", COUNTED.variants["ptx"]) is None


BOUNDS = [
    (DERIVED,                                              "ptx",  (80 / 200, 100 / 160)),
    (DERIVED,                                              "cuda", (1.0, 1.0)),
    (derived((160, 180, 200), (80, 90, 100), code="code"), "ptx",  (1.0, 1.0)),  # the same machine code
    (derived((0, 180, 200), (80, 90, 100)),                "ptx",  None),
    (derived((160, 180, None), (80, 90, 100)),             "ptx",  None),
    (derived((160, 180, 200), (None, 90, 100)),            "ptx",  None),
    (COUNTED,                                              "ptx",  None),
    (dataclasses.replace(DERIVED, variants={"ptx": DERIVED.variants["ptx"]}), "ptx", None),
]  # fmt: skip


@pytest.mark.parametrize(("result", "variant", "bounds"), BOUNDS)
def test_the_ratio_of_executed_instructions_is_a_range(result, variant, bounds):
    assert BY_NAME["sass_executed_ratio"].interval(result, variant, result.variants[variant]) == bounds


def test_every_counter_of_the_emulator_is_a_metric():
    derived = {"ptx_barrier_phases", "ptx_mbarrier_phases", "ptx_active_lane_share"}
    assert not {*counters.ADDITIVE, *derived} - BY_NAME.keys()


def test_names_are_unique_and_described():
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert metric.name.replace("_", "").isalnum()
        assert metric.description.endswith(".")
        assert len(metric.heading) <= 17


SASS = [
    ("sass.IMAD",                14),
    ("sass.IMAD.WIDE",           6),
    ("sass.IMAD.U32",            2),      # a modifier at any position
    ("sass.IMAD.U32.WIDE",       2),
    ("sass.IMAD.WIDE.HI",        0),      # both modifiers, not either
    ("sass.LDG",                 2),      # LDGSTS is another opcode
    ("sass.LDG.128",             2),
    ("sass.LDG.12",              0),
    ("sass.LDGSTS",              1),
    ("sass.IMA",                 0),
    ("sass.UCGABAR_ARV",         0),      # it was disassembled, and has none
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), SASS)
def test_instructions_of_an_opcode_and_some_of_its_modifiers_are_counted(name, value):
    (metric,) = choose([name])
    assert metric.name == name
    assert metric.heading == name.removeprefix("sass.")
    assert metric.of(COUNTED, "ptx") == value
    assert metric.of(NEITHER, "ptx") is None


def test_without_disassembly_instruction_counts_are_absent():
    driver = BuildReport(source_sha256="s", ptx_sha256="p")
    assert choose(["sass.LDG"])[0].of(cell(ptx=VariantResult("ptx", "verified", build=driver)), "ptx") is None


@pytest.mark.parametrize(
    "name", ["sass.", "sass.ldg", "sass.LDG.", "sass.LDG..128", "sass..LDG", "sas.LDG", "LDG.128", "sass.LDG 128"]
)
def test_a_mistyped_opcode_gets_the_right_spelling(name):
    message = rf"^Unknown column '{re.escape(name)}'\. Instructions of SASS .* sass\.OPCODE, .* sass\.IMAD\.WIDE\.$"
    with pytest.raises(UsageError, match=message):
        choose([name])


def test_columns_are_chosen_by_name_in_their_order():
    assert [metric.name for metric in choose(["sass", "time"])] == ["sass", "time"]
    assert [metric.name for metric in choose(["sass.LDG", "sass"])] == ["sass.LDG", "sass"]
    with pytest.raises(UsageError, match=r"Unknown column 'registrs'\. Did you mean 'registers'\?"):
        choose(["registrs"])
    with pytest.raises(UsageError, match=r"Unknown column 'x'\. Names are time, ratio, .* sass\.OPCODE") as error:
        choose(["x"])
    assert "Write 'ptx_' to list them all" in str(error.value)
    assert str(error.value).count("ptx_") == 2


def test_a_part_of_a_name_lists_the_names_that_contain_it():
    with pytest.raises(UsageError) as error:
        choose(["Sleep"])
    assert str(error.value) == "Unknown column 'Sleep'. Names with 'Sleep' are ptx_sleeps, ptx_sleep_ns."
    with pytest.raises(UsageError) as error:
        choose(["ptx_"])
    assert all(name in str(error.value) for name in BY_NAME if name.startswith("ptx_"))


# ---- the limits of the device

LIMITS = RooflineLimits("Fake 1000", "published: nobody", bytes_per_s=1e10, f32=1e9, tensor=1e12, boost_mhz=1000)


def limited(limits=LIMITS, opcodes=(), work=(), **changes):
    """TIMED, with 1000 flops and 8000 bytes in 1 us, with limits and machine code."""
    build = dataclasses.replace(BUILD, opcodes=dict.fromkeys(opcodes, 1))
    variants = {name: dataclasses.replace(variant, build=build) for name, variant in TIMED.variants.items()}
    return dataclasses.replace(
        TIMED, limits=limits, work={**TIMED.work, "written": 0, **dict(work)}, **({"variants": variants} | changes)
    )


AT_HALF_CLOCK = [dataclasses.replace(TIMED.rounds[0], clock_mhz=[400, 500, 600])]

SHARES = [
    # 8000 bytes take 0.8 us at 10 GB/s; 1000 flops 1 us at 1 Gflop/s
    ("the longer counts",          limited(opcodes=["FFMA"]),                              1.0,   "f32"),
    ("tensor cores are faster",    limited(opcodes=["HMMA.16816.F32", "FADD"]),            0.8,   "memory"),
    ("many flops of matrices",     limited(opcodes=["HGMMA.64x8x16"], work={"flops": 10**6}), 1.0, "tensor"),
    ("no flops at all",            limited(opcodes=["IADD3"], work={"flops": 0}),          0.8,   "memory"),
    ("few flops of some unit",     limited(opcodes=["IMAD"], work={"flops": 100}),         0.8,   "memory"),
    ("many flops of no known rate", limited(opcodes=["IMAD"]),                             None,  None),
    ("double precision",           limited(opcodes=["DFMA", "FFMA"]),                      None,  None),
    ("bytes in dot products",      limited(opcodes=["IDP.4A.S8.S8", "FFMA"]),              None,  None),
    ("matrices of another type",   limited(opcodes=["IMMA.16832.S8.S8", "FFMA"]),          None,  None),
    ("a move that looks like one", limited(opcodes=["HFMA2.MMA", "FFMA"]),                 1.0,   "f32"),
    ("half the clock",             limited(opcodes=["FFMA"], rounds=AT_HALF_CLOCK),        2.0,   "f32"),
    ("a launch",                   limited(opcodes=["FFMA"], labels=["LAUNCH-BOUND"]),     1.0,   "launch"),
    ("no limits",                  limited(None, opcodes=["FFMA"]),                        None,  None),
    ("bandwidth alone",            limited(RooflineLimits("x", "measured", 1e10), opcodes=["IADD3"], work={"flops": 0}),
                                                                                           0.8,   "memory"),
    ("f32 of an unknown rate",     limited(RooflineLimits("x", "measured", 1e10), opcodes=["FFMA"]), None, None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "result", "share", "tag"), SHARES, ids=[row[0] for row in SHARES])
def test_the_share_of_the_limit_and_what_it_is(what, result, share, tag):
    metric = BY_NAME["share"]
    share_of_limit = metric.of(result, "ptx")
    assert share_of_limit == (None if share is None else pytest.approx(share))
    if share is not None:
        assert metric.tag(result, result.variants["ptx"]) == tag


def test_without_a_time_there_is_an_intensity_and_no_share():
    counted = dataclasses.replace(COUNTED, limits=LIMITS)
    bare = {name: dataclasses.replace(variant, build=None) for name, variant in counted.variants.items()}
    counts = {**COUNTS, "ptx_warp_instructions_f32": 10}
    bare["ptx"] = dataclasses.replace(bare["ptx"], counts=counts)
    bare["ptx.mma"] = dataclasses.replace(
        bare["ptx"], counts={**counts, "ptx_mma_operations": 1, "ptx_mma_flops_f16": 9}
    )
    bare["ptx.s8"] = dataclasses.replace(bare["ptx"], counts={**counts, "ptx_mma_operations": 1, "ptx_mma_flops_s8": 9})
    counted = dataclasses.replace(counted, variants=bare)
    metric = BY_NAME["intensity"]
    assert BY_NAME["share"].of(counted, "ptx") is None
    assert metric.of(counted, "ptx") == 1000 / 8000
    tags = [metric.tag(counted, bare[name]) for name in ("ptx", "ptx.mma", "ptx.s8", "cuda")]
    assert tags == ["f32", "memory", None, None]


@pytest.mark.parametrize(
    ("changes", "ratio"),
    [
        ({},                                                                       0.5),
        ({"labels": ["ORACLE-WEAK"]},                                              None),
        ({"variants": {**TIMED.variants, "cuda": VariantResult("cuda", "wrong")}}, None),
        ({"variants": {"ptx": TIMED.variants["ptx"]}},                             None),
    ],
)  # fmt: skip
def test_there_is_no_ratio_with_an_unverified_variant_or_a_blind_oracle(changes, ratio):
    rounds = [dataclasses.replace(timed_round, solo_mhz={"A": 1000.0, "B": 1000.0}) for timed_round in TIMED.rounds]
    changed = dataclasses.replace(TIMED, rounds=rounds, **changes)
    for name in ("ratio", "cycles_ratio"):
        assert BY_NAME[name].of(changed, "ptx") == (None if ratio is None else pytest.approx(ratio))
        assert (BY_NAME[name].interval(changed, "ptx", changed.variants["ptx"]) is None) == (ratio is None)
