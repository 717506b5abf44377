"""The sentences on a cell, row by row: the facts in the results, and the expected words."""

import dataclasses

import numpy as np
import pytest

from ptxbench import stats
from ptxbench.result import BuildReport, Cell, CheckReport, ExecutedReport, LaunchReport, Round, VariantResult
from ptxbench.rival import corrected, rival_of
from ptxbench.stats import Interval
from ptxbench.wording.findings import closing, compilers, difference, finding, problems, remarks
from tests.runs import Kernel, Noise, Sampling
from tests.runs import cell as timed_cell

CHECK = CheckReport("float64", "exact", [{"n": 1}], max_error=0.0)
COUNTS = {
    "ptx_warp_instructions": 1000,
    "ptx_global_load_sectors": 100,
    "ptx_global_store_sectors": 100,
    "ptx_shared_load_wavefronts": 0,
    "ptx_shared_store_wavefronts": 0,
    "ptx_shared_load_conflicts": 0,
    "ptx_shared_store_conflicts": 0,
    "ptx_atomic_global_requests": 0,
    "ptx_atomic_shared_requests": 0,
    "ptx_barriers": 0,
}


def variant(language="ptx", code=None, sass=None, status="verified", reason=None, counts=None, **changes):
    """A result with machine code `code`, SASS counts `sass`, and counters that differ from COUNTS by `changes`."""
    build = BuildReport("s", "p", sass_sha256=code, sass={"total": sum(sass.values()), **sass} if sass else {})
    if status != "verified":
        return VariantResult(language, status, reason)
    return VariantResult(language, status, build=build, check=CHECK, counts={**COUNTS, **changes} if counts else None)


def counted(code=None, sass=None, language="ptx", **changes):
    return variant(language, code, sass, counts=True, **{f"ptx_{name}": value for name, value in changes.items()})


def cell(variants, rounds=(), labels=(), size=None):
    return Cell("scale", size or {"n": 1}, "sm_90", LaunchReport((1, 1, 1), (32, 1, 1)), {"flops": 1, "bytes": 1},
                variants, labels=labels, rounds=rounds)  # fmt: skip


def against(ptx, cuda=None, **others):
    return cell({"cuda": cuda or counted(language="cuda", code="A", sass={"FFMA": 4}), "ptx": ptx, **others})


MIX, OTHER = {"FFMA": 4}, {"FADD": 2, "FMUL": 2}

FINDINGS = [
    ("the same machine code, whatever PTX counts say",
     counted("A", MIX, warp_instructions=500),
     "ptx is the same machine code as cuda."),
    ("the same instructions in another order",
     counted("B", MIX),
     "ptx has the same instruction mix as cuda, issues the same PTX instructions and moves the same sectors."),
    ("fewer instructions",
     counted("B", OTHER, warp_instructions=880),
     "ptx issues 12 % fewer PTX instructions than cuda and moves the same sectors."),
    ("fewer sectors",
     counted("B", OTHER, global_store_sectors=50),
     "ptx issues as many PTX instructions as cuda and moves 25 % fewer sectors."),
    ("a little more",
     counted("B", OTHER, warp_instructions=1003),
     "ptx issues 0.3 % more PTX instructions than cuda and moves the same sectors."),
    ("many times as many",
     counted("B", OTHER, warp_instructions=2500),
     "ptx issues 2.5 times the PTX instructions of cuda and moves the same sectors."),
    ("conflicts where there were none",
     counted("B", OTHER, shared_load_conflicts=31, shared_load_wavefronts=32),
     "ptx issues as many PTX instructions as cuda, moves the same sectors, needs 32 shared wavefronts where there "
     "were none and has 31 bank conflicts where there were none."),
    ("fewer instructions in the machine code too",
     counted("B", {"FFMA": 3}, warp_instructions=880),
     "ptx issues 12 % fewer PTX instructions than cuda, moves the same sectors and has 25 % fewer SASS instructions."),
    ("machine code that is not known",
     counted(None),
     "ptx issues as many PTX instructions as cuda and moves the same sectors."),
    ("nothing but the machine code",
     variant(code="B", sass=OTHER),
     "ptx has other machine code than cuda."),
    ("a variant that is not verified",
     variant(status="wrong", reason="y[0] is 1."),
     ""),
]  # fmt: skip


@pytest.mark.parametrize(("ptx", "words"), [row[1:] for row in FINDINGS], ids=[row[0] for row in FINDINGS])
def test_the_finding_matches_the_data(ptx, words):
    assert finding(against(ptx)) == words


def test_a_counter_that_is_zero_on_one_side_gives_no_percentage():
    cuda = counted("A", MIX, language="cuda", shared_load_conflicts=31, shared_load_wavefronts=64)
    sentence = finding(against(counted("B", OTHER, shared_load_wavefronts=64), cuda))
    assert sentence.endswith("moves the same sectors and has no bank conflicts where there were 31.")


def test_without_a_verified_reference_there_is_no_claim():
    assert finding(against(counted("B"), variant("cuda", status="wrong", reason="y[0] is 1."))) == ""
    assert finding(cell({"ptx": counted("A")})) == ""


def test_the_flag_that_explains_the_difference_is_named():
    fast = {"cuda@fast": counted("C", OTHER, "cuda"), "cuda.exp2@fast": counted("B", OTHER, "cuda")}
    sentence = finding(against(counted("B", OTHER, warp_instructions=880), **fast))
    assert "moves the same sectors. cuda.exp2@fast is the same machine code as ptx." in sentence
    del fast["cuda.exp2@fast"]
    sentence = finding(against(counted("B", OTHER, warp_instructions=880), **fast))
    assert "moves the same sectors. cuda@fast has the same instruction mix as ptx." in sentence


def test_a_flag_with_the_same_mix_explains_nothing_if_the_reference_has_it_too():
    sentence = finding(against(counted("B", MIX), **{"cuda@fast": counted("C", MIX, "cuda")}))
    assert "has the same instruction mix as ptx" not in sentence
    sentence = finding(against(counted("B", MIX), **{"cuda@fast": counted("B", MIX, "cuda")}))
    assert "cuda@fast is the same machine code as ptx." in sentence


def test_a_flag_explains_nothing_if_the_default_is_the_same_code():
    assert finding(against(counted("A", MIX), **{"cuda@fast": counted("A", MIX, "cuda")})) == (
        "ptx is the same machine code as cuda. cuda@fast is the same machine code as cuda."
    )


def test_every_ptx_variant_gets_its_sentence():
    sentence = finding(against(counted("A", MIX), **{"ptx.unrolled": counted("B", OTHER, warp_instructions=500)}))
    assert sentence == (
        "ptx is the same machine code as cuda. "
        "ptx.unrolled issues 50 % fewer PTX instructions than cuda and moves the same sectors. "
        "ptx.unrolled issues the fewest of the hand-written PTX."
    )


def timed(ns_cuda, ns_ptx, processes=1):
    """Blocks A B B A with a little noise, in that many processes."""
    blocks = [[ns_cuda + i, ns_ptx + i, ns_ptx - i, ns_cuda - i] for i in range(10)]
    rounds = [Round(i, i, ("cuda", "ptx"), "A", blocks) for i in range(processes)]
    return cell({"cuda": variant("cuda", "A", MIX), "ptx": variant("ptx", "B", OTHER)}, rounds)


def test_a_time_has_its_interval_and_one_process_gives_no_verdict():
    assert finding(timed(1000, 800)) == (
        "ptx takes 20 % less time than cuda (99 % interval 20.00 to 20.00 %; 1 process, so no verdict)."
    )
    assert "takes 25 % more time than cuda" in finding(timed(800, 1000))


# ns of cuda, of ptx, labels, ends of the control's log ratio, verdict
VERDICTS = [
    (1000, 800,  [],                 None,            "FASTER"),
    (800,  1000, [],                 None,            "SLOWER"),
    (1000, 1001, [],                 None,            "SAME"),
    (1000, 800,  [],                 (-0.3, 0.1),     "INCONCLUSIVE: more --rounds may decide"),  # within the noise
    (1000, 800,  ["UNSTABLE"],      (-0.001, 0.001), "FASTER"),                            # reported, without a reason
    (1000, 800,  ["THROTTLED"],      None,            "THROTTLED, so no verdict"),
    (1000, 800,  ["BIASED"],         None,            "BIASED, so no verdict"),
    (1000, 800,  ["LAUNCH-BOUND"],   None,            "LAUNCH-BOUND, so no verdict"),
]  # fmt: skip


@pytest.mark.parametrize(("cuda", "ptx", "labels", "noise", "verdict"), VERDICTS)
def test_from_three_processes_on_there_is_a_verdict_unless_a_label_forbids_it(cuda, ptx, labels, noise, verdict):
    tested_cell = dataclasses.replace(timed(cuda, ptx, processes=3), labels=labels)
    assert finding(tested_cell, noise and Interval(noise[0], 0, noise[1])).endswith(f"; {verdict}).")


# ns of cuda, of ptx, MHz of cuda alone in three rounds, of ptx, verdict
CLOCKS = [
    (1000, 800,  (1755, 1755, 1755), (1755, 1755, 1755), "FASTER"),
    (1000, 800,  (1755, 1740, 1755), (1755, 1755, 1740), "FASTER"),                     # NVML reports steps of 15 MHz
    (1000, 800,  (1400, 1400, 1400), (1750, 1750, 1750), "FASTER in time and SAME in cycles"),
    (1000, 1000, (1400, 1400, 1400), (1750, 1750, 1750), "SAME in time and SLOWER in cycles"),
    (800,  1000, (1755, 1755, 1755), (900,  900,  900),  "SLOWER in time and FASTER in cycles"),
    (1000, 800,  (1755, 1755, 1400), (1755, 1755, 1755), "FASTER in time and INCONCLUSIVE in cycles"),
]  # fmt: skip


@pytest.mark.parametrize(("cuda", "ptx", "of_cuda", "of_ptx", "verdict"), CLOCKS)
def test_a_difference_in_time_that_is_not_in_cycles_gives_no_verdict(cuda, ptx, of_cuda, of_ptx, verdict):
    tested_cell = timed(cuda, ptx, processes=3)
    clocked = [
        dataclasses.replace(measured, solo_mhz={"A": a, "B": b})
        for measured, a, b in zip(tested_cell.rounds, of_cuda, of_ptx, strict=True)
    ]
    sentence = finding(dataclasses.replace(tested_cell, rounds=clocked))
    if " " in verdict:
        verdict = f"INCONCLUSIVE: CLOCK-DEPENDENT, {verdict}; lock the clock by nvidia-smi -lgc MHZ"
    assert sentence.endswith(f"; {verdict}).")


def test_an_interval_around_one_shows_no_difference():
    blocks = [[1000, 1000 + i, 1000 - i, 1000] for i in (-9, -5, -3, -1, 2, 4, 6, 8, 3, -4)]
    tested_cell = dataclasses.replace(timed(1, 1), rounds=[Round(0, 0, ("cuda", "ptx"), "A", [
        [a, b + i, b + i, a] for (a, b, _, _), i in zip(blocks, (-9, -5, -3, -1, 2, 4, 6, 8, 3, -4), strict=True)]
    )])  # fmt: skip
    assert finding(tested_cell).startswith("ptx is not measurably faster or slower than cuda (99 % interval -")


def test_times_of_the_same_machine_code_are_not_ranked():
    tested_cell = timed(1000, 800)
    same = {
        name: dataclasses.replace(result, build=BuildReport("s", "p", sass_sha256="A"))
        for name, result in tested_cell.variants.items()
    }
    assert finding(dataclasses.replace(tested_cell, variants=same)) == "ptx is the same machine code as cuda."


def test_bits_that_differ_are_reported():
    tested_cell = dataclasses.replace(against(counted("A", MIX)), labels=["BITS-DIFFER ptx"])
    assert finding(tested_cell).endswith("ptx wrote different bits than the first variant, with equal values.")


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ({"ptx": True, "cuda": True},   ""),
        ({"ptx": False, "cuda": True},  " ptx writes different bits when launched again on the same data."),
        ({"ptx": False, "cuda": False}, " cuda and ptx write different bits when launched again on the same data."),
        ({"ptx": None, "cuda": None},   ""),
    ],
)  # fmt: skip
def test_launches_with_different_output_bits_are_reported(checks, words):
    same_code = against(counted("A", MIX))
    variants = {
        name: dataclasses.replace(result, check=dataclasses.replace(CHECK, deterministic=checks[name]))
        for name, result in same_code.variants.items()
    }
    assert finding(dataclasses.replace(same_code, variants=variants)) == f"ptx is the same machine code as cuda.{words}"


def test_a_weak_oracle_is_reported_and_no_time_is_compared():
    weak = dataclasses.replace(timed(1000, 900, processes=3), labels=["ORACLE-WEAK"], oracle=["'y' all zero"])
    assert " % less time" not in finding(weak)
    assert finding(weak).endswith("The pair's reference and tolerance would accept 'y' all zero. No time is compared.")
    assert " % less time" in finding(dataclasses.replace(weak, labels=[], oracle=[]))
    alone = cell({"ptx": counted()}, labels=["ORACLE-WEAK"])
    assert finding(dataclasses.replace(alone, oracle=["a", "b"])) == (
        "The pair's reference and tolerance would accept a and b."
    )


def test_wrong_results_come_first():
    tested_cell = cell({
        "cuda": variant("cuda", status="skipped", reason="NVRTC is not there."),
        "ptx": variant(status="unsupported", reason="line 9."),
        "ptx.a": variant(status="broken", reason="reads past the end."),
        "ptx.b": variant(status="wrong", reason="y[0] is 1."),
    })  # fmt: skip
    assert [str(problem) for problem in problems(tested_cell)] == [
        "ptx.b is wrong: y[0] is 1.",
        "ptx.a is broken: reads past the end.",
        "ptx is beyond the emulator: line 9.",
        "cuda is skipped: NVRTC is not there.",
    ]


def test_variants_with_the_same_reason_are_reported_together():
    tested_cell = cell(
        {name: variant("cuda", status="skipped", reason="no NVRTC.") for name in ("cuda", "cuda@fast", "cuda.b")}
    )
    assert [str(problem) for problem in problems(tested_cell)] == ["cuda, cuda@fast and cuda.b are skipped: no NVRTC."]


def test_sizes_with_the_same_finding_share_a_closing_line():
    same, less = against(counted("A", MIX)), against(counted("B", OTHER, warp_instructions=500))
    assert closing([same]) == ["n=1: ptx is the same machine code as cuda."]
    assert closing([same, dataclasses.replace(same, size={"n": 2})]) == [
        "n=1; n=2: ptx is the same machine code as cuda."
    ]
    assert closing([dataclasses.replace(same, size={"n": 1}), dataclasses.replace(less, size={"n": 2})]) == [
        "n=1: ptx is the same machine code as cuda.",
        "n=2: ptx issues 50 % fewer PTX instructions than cuda and moves the same sectors.",
    ]
    assert closing([against(variant(status="wrong", reason=""))]) == []


# ---- the best CUDA C, and the best hand-written PTX


def ran(least, most=None, language="ptx", code=None, **changes):
    """A result with so many executed machine instructions; `most`: the end of a range."""
    most = least if most is None else most
    result = counted(code or f"{language} {least} {most}", None, language, **changes)
    return dataclasses.replace(result, executed=ExecutedReport(least, most, least, whole=True))


def unknown(language="ptx"):
    return dataclasses.replace(ran(1, language=language, code=f"{language}?"), executed=ExecutedReport(reason="why"))


SAME = "moves the same sectors"
RIVALS = [
    ("one CUDA C needs no introduction",
     {"cuda": ran(100, language="cuda"), "ptx": ran(90)},
     f"ptx executes 10 % fewer machine instructions than cuda and {SAME}."),
    ("the best one is named, not the first",
     {"cuda": ran(100, language="cuda"), "cuda@fast": ran(80, language="cuda"), "ptx": ran(90)},
     "ptx executes 12 % more machine instructions than cuda@fast, the CUDA C that executes the fewest, and "
     f"{SAME}."),
    ("a row with as few is named too",
     {"cuda": ran(80, language="cuda"), "cuda.b": ran(80, language="cuda", code="B"), "ptx": ran(90)},
     f"ptx executes 12 % more machine instructions than cuda and {SAME}. cuda.b executes as few as cuda."),
    ("also if others have more",
     {**{f"cuda{end}": ran(80, language="cuda", code=end) for end in ("", ".b")}, "cuda.c": ran(99, language="cuda"),
      "ptx": ran(80)},
     "ptx executes as many machine instructions as cuda, the CUDA C that executes the fewest, and "
     f"{SAME}. cuda.b executes as few as cuda."),
    ("the same machine code is one rival",
     {"cuda": ran(80, language="cuda", code="A"), "cuda@x": ran(80, language="cuda", code="A"), "ptx": ran(90)},
     f"ptx executes 12 % more machine instructions than cuda and {SAME}. cuda@x is the same machine code as cuda."),
    ("ranges that overlap are said",
     {"cuda": ran(1000, 1010, "cuda"), "cuda.b": ran(1005, 1020, "cuda"), "ptx": ran(900)},
     f"ptx executes 10 % fewer machine instructions than cuda, the CUDA C that likely executes the fewest, and {SAME}. "
     "cuda.b may execute fewer than cuda: their ranges overlap."),
    ("so is the range of the PTX itself",
     {"cuda": ran(1000, language="cuda"), "cuda.b": ran(1100, language="cuda"), "ptx": ran(990, 1010)},
     "ptx may execute more or fewer machine instructions than cuda, the CUDA C that executes the fewest, and "
     f"{SAME}."),
    ("a range may begin at zero",
     {"cuda": ran(0, 100, language="cuda"), "ptx": ran(90)},
     f"ptx may execute more or fewer machine instructions than cuda and {SAME}."),
    ("a row without a number is not compared, and this is said",
     {"cuda": unknown("cuda"), "cuda.b": ran(100, language="cuda"), "ptx": ran(90)},
     f"ptx executes 10 % fewer machine instructions than cuda.b and {SAME}. cuda has no number of executed "
     "instructions and cannot be compared."),
    ("nor is PTX without a number",
     {"cuda": ran(100, language="cuda"), "ptx": unknown()}, "ptx moves as many sectors as cuda."),
    ("another grid is named",
     {"cuda": ran(100, language="cuda"),
      "ptx": dataclasses.replace(ran(90), launch=LaunchReport((2, 1, 1), (16, 1, 1)))},
     f"ptx executes 10 % fewer machine instructions than cuda (other geometry), and {SAME}."),
    ("a CUDA C of another grid is no rival if one has that of the PTX",
     {"cuda": ran(100, language="cuda"),
      "cuda.b": dataclasses.replace(ran(50, language="cuda"), launch=LaunchReport((2, 1, 1), (16, 1, 1))),
      "ptx": ran(90)},
     f"ptx executes 10 % fewer machine instructions than cuda and {SAME}."),
    ("rows that say the same are said once",
     {"cuda": ran(100, language="cuda"), "ptx": ran(90), "ptx.a": ran(90, code="a"), "ptx.b": ran(90, code="b")},
     f"ptx executes 10 % fewer machine instructions than cuda and {SAME}. ptx.a, ptx.b: as ptx."),
    ("the best PTX is named",
     {"cuda": ran(100, language="cuda"), "ptx": ran(90), "ptx.a": ran(80), "ptx.b": ran(80, code="b")},
     f"ptx executes 10 % fewer machine instructions than cuda and {SAME}. "
     f"ptx.a executes 20 % fewer machine instructions than cuda and {SAME}. ptx.b: as ptx.a. "
     "ptx.a and ptx.b execute the fewest of the hand-written PTX."),
    ("unless ranges leave it open",
     {"cuda": ran(2000, language="cuda"), "ptx": ran(1000, 1010), "ptx.a": ran(1005, 1030)},
     f"ptx executes 50 % fewer machine instructions than cuda and {SAME}. "
     "ptx.a: as ptx. ptx or ptx.a executes the fewest of the hand-written PTX: their ranges overlap."),
    ("a library is not CUDA C",
     {"library.x": ran(10, language="library"), "cuda": ran(100, language="cuda"), "ptx": ran(90)},
     f"ptx executes 10 % fewer machine instructions than cuda and {SAME}."),
    ("a wrong row is no rival",
     {"cuda": ran(100, language="cuda"), "cuda@fast": variant("cuda", status="wrong", reason="x"), "ptx": ran(90)},
     f"ptx executes 10 % fewer machine instructions than cuda and {SAME}."),
]  # fmt: skip


@pytest.mark.parametrize(("variants", "words"), [row[1:] for row in RIVALS], ids=[row[0] for row in RIVALS])
def test_hand_written_ptx_is_compared_with_the_best_cuda_c(variants, words):
    assert finding(cell(variants)) == words


def test_a_chosen_row_is_compared_with_instead():
    rows = cell({"cuda": ran(100, language="cuda"), "cuda@fast": ran(80, language="cuda"), "ptx": ran(90)})
    assert finding(rows, reference="cuda") == f"ptx executes 10 % fewer machine instructions than cuda and {SAME}."
    assert finding(rows, reference="cuda.x") == "cuda.x is not a row of this pair, so nothing is compared with it."
    assert finding(rows, reference="ptx") == ""
    wrong = cell({"cuda": variant("cuda", status="wrong", reason="x"), "ptx": ran(90)})
    assert finding(wrong, reference="cuda") == "cuda is not verified, so nothing is compared with it."


def test_what_compilers_said_and_which_they_were_is_said_once():
    def built(language, **report):
        result = variant(language)
        return dataclasses.replace(result, build=dataclasses.replace(result.build, **report))

    rows = cell({
        "cuda": built("cuda", compiler="clang 19", log="C7508"), "cuda.b": built("cuda", compiler="clang 19"),
        "ptx": built("ptx", log="C7508"), "numba": built("numba", compiler="numba-cuda 0.30"),
        "ptx.broken": variant(status="broken"),
    })  # fmt: skip
    assert remarks(rows) == ["cuda and cuda.b: compiled by clang 19", "cuda and ptx: C7508"]
    assert compilers(rows) == ["numba: compiled by numba-cuda 0.30."]


def test_the_upper_end_of_a_ratio_is_the_greatest_to_any_row_of_the_rival():
    raced = race({"cuda": 50, "cuda.b": 49, "cuda.c": 52, "ptx": 45})
    rival = rival_of(raced)
    assert (rival.name, set(rival.rows)) == ("cuda.b", {"cuda", "cuda.b", "cuda.c"})
    ratio = rival.ratio(raced.rounds, "ptx")
    highs = {row: stats.ratio_between(raced.rounds, "ptx", row, "cuda", corrected(1)).high for row in rival.rows}
    assert ratio.high == max(highs.values()) > min(highs.values())
    assert ratio.value == pytest.approx(45 / 49, rel=0.01)
    assert [corrected(comparisons) for comparisons in (0, 1, 5)] == [
        stats.LEVEL, stats.LEVEL, pytest.approx(1 - (1 - stats.LEVEL) / 5)
    ]  # fmt: skip


def race(times, rounds=5, labels=()):
    """A cell whose rows take these microseconds."""
    kernels = {name: Kernel(us, code=name) for name, us in times.items()}
    return timed_cell(
        np.random.default_rng(1), "scale", {"n": 1}, kernels, Sampling(rounds, noise=QUIET), labels=labels
    )


QUIET = Noise(sample=0.002, process=0.0005)

# times in microseconds, what must be said, what must not
RACES = [
    ({"cuda": 50, "cuda@fast": 45, "ptx": 43},
     ["as cuda@fast, the fastest CUDA C, and takes 4.5 % less time", "; FASTER)"], ["tied", "fastest hand"]),
    ({"cuda": 50, "cuda@fast": 45, "ptx": 47},  # faster than cuda alone is not faster than CUDA C
     ["4.4 % more time", "; SLOWER)"], ["FASTER"]),
    ({"cuda": 45, "cuda@fast": 45, "cuda.b": 60, "ptx": 43},
     ["the CUDA C with the least time", "statistically tied with", "; FASTER)"], ["cuda.b", "fastest"]),
    ({"cuda": 45, "ptx": 43, "ptx.a": 40},
     ["ptx.a is the fastest hand-written PTX."], ["tied"]),
    ({"cuda": 45, "ptx": 40, "ptx.a": 40},
     ["are statistically tied as the fastest hand-written PTX."], ["is the fastest"]),
]  # fmt: skip


@pytest.mark.parametrize(("times", "present", "absent"), RACES)
def test_times_name_the_fastest_row_or_say_that_it_is_tied(times, present, absent):
    words = finding(race(times))
    assert [part for part in present if part not in words] == [], words
    assert [part for part in absent if part in words] == [], words


@pytest.mark.parametrize(("rounds", "labels"), [(2, ()), (5, ["THROTTLED"])])
def test_if_times_allow_no_verdict_no_row_is_certainly_the_fastest(rounds, labels):
    words = finding(race({"cuda": 50, "cuda@fast": 45, "ptx": 43, "ptx.a": 40}, rounds, labels))
    assert "so no verdict)" in words
    assert "There is no verdict on which CUDA C is the fastest." in words
    assert "the CUDA C with the least time" in words
    assert "the fastest hand-written PTX" not in words


@pytest.mark.parametrize(
    ("value", "other_value", "words"),
    [
        (88,    100,    "12 % fewer"),
        (997,   1000,   "0.3 % fewer"),
        (99999, 100000, "0.001 % fewer"),
        (199,   100,    "99 % more"),
        (1,     1000,   "99.9 % fewer"),
        (1,     99999,  "99.9 % fewer"),  # some are left
    ],
)  # fmt: skip
def test_a_difference_is_written_in_words(value, other_value, words):
    assert difference(value, other_value) == words
