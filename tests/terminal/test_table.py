"""Printed tables, compared whole."""

import dataclasses
import io

import pytest
from rich.console import Console

from ptxbench.metrics import METRICS, choose
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
from ptxbench.terminal import CellTable, OmittedColumns, closing_lines, limits_notice, notice, summary

COUNTS = {
    "ptx_warp_instructions": 15360,
    "ptx_global_load_sectors": 16384,
    "ptx_global_store_sectors": 8192,
    "ptx_shared_load_conflicts": 0,
    "ptx_shared_store_conflicts": 0,
}


def build(code, total=42, spilled=0):
    return BuildReport("s", "p", code, 22, spilled, spilled, 0, 0, 1.0, {"total": total})


def verified(language, error=6e-8, counts=None, **options):
    check = CheckReport("float64", "1 ulp", [{"n": 65536}], error)
    return VariantResult(language, "verified", build=build(**options), check=check, counts=counts)


COUNTED = Cell(
    "triad",
    {"n": 65536},
    "sm_90",
    LaunchReport((64, 1, 1), (256, 1, 1)),
    {"flops": 131072, "bytes": 786432},
    {
        "cuda": verified("cuda", counts=COUNTS, code="A"),
        "ptx": verified("ptx", 0.0, {**COUNTS, "ptx_warp_instructions": 13824}, code="B", total=40),
    },
)
TIMED = dataclasses.replace(
    COUNTED,
    variants={"cuda": verified("cuda", code="A"), "ptx": verified("ptx", code="B")},
    rounds=[Round(0, 0, ("cuda", "ptx"), "A", [[4000, 3000 + i, 3000 - i, 4000] for i in range(9)])],
)
FAILED = dataclasses.replace(
    COUNTED,
    variants={
        "cuda": COUNTED.variants["cuda"],
        "cuda@fast": VariantResult("cuda", "skipped", "NVRTC is not there. Install ptxbench[cu13]."),
        "ptx": VariantResult(
            "ptx", "wrong", "triad.ptx, n=3: a[2] is 1, expected 2; 1 of 3 elements is outside 1 ulp."
        ),
        "ptx.tma": VariantResult("ptx", "unsupported", "triad.tma.ptx:61: unknown instruction 'cp.x'."),
    },
)


def printed(*renderables, width=100, encoding="utf-8", **options):
    """The output of a console of that width, without trailing blanks."""
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding, write_through=True), width=width, highlight=False, **options)
    for renderable in renderables:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in raw.getvalue().decode(encoding).split("\n"))


def test_counts_are_printed_with_their_finding():
    assert (
        printed(CellTable(COUNTED), closing_lines([COUNTED]), summary([COUNTED]), notice([COUNTED]))
        == """\
triad  n=65,536  sm_90, grid 64, block 256

         verified   PTX instr.  instr. / cuda  sectors  regs  spills  SASS  occup.
variant  max error                          ×                      B             %
──────────────────────────────────────────────────────────────────────────────────
cuda     ✔ 6.0e-08      15,360          1.000   24,576    22       0    42     100
ptx      ✔ exact        13,824          0.900   24,576    22       0    40     100

n=65536: ptx issues 10 % fewer PTX instructions than cuda, moves the same sectors and has 4.8 %
fewer SASS instructions.
1 cell, 2 variants: 2 verified.
Counts of PTX on a CPU emulator, not times. Executed SASS is derived from them and from the machine
code. All other counts are of PTX, which ptxas may change.
"""
    )


def derived(name, *numbers, reason=None):
    """The variant of COUNTED with that many executed machine instructions: the least, the most, the likeliest."""
    return dataclasses.replace(COUNTED.variants[name], executed=ExecutedReport(*numbers, whole=True, reason=reason))


def test_executed_machine_instructions_have_priority_over_ptx_counts_and_a_range_makes_no_claim():
    slow = "how often a slow path runs depends on the data"
    exact = dataclasses.replace(
        COUNTED, variants={"cuda": derived("cuda", 15000, 15000, 15000), "ptx": derived("ptx", 12000, 12120, 12000)}
    )
    wide = dataclasses.replace(
        COUNTED, variants={"cuda": exact.variants["cuda"], "ptx": derived("ptx", 12000, 16000, 12500, reason=slow)}
    )
    none = dataclasses.replace(
        COUNTED, variants={"cuda": exact.variants["cuda"], "ptx": derived("ptx", None, None, None, reason="it waits")}
    )
    assert (
        printed(CellTable(exact), closing_lines([exact]))
        == """\
triad  n=65,536  sm_90, grid 64, block 256

         verified     SASS executed   exec. / cuda  sectors  regs  spills  SASS  occup.
variant  max error                               ×                      B             %
───────────────────────────────────────────────────────────────────────────────────────
cuda     ✔ 6.0e-08           15,000          1.000   24,576    22       0    42     100
ptx      ✔ exact    12,000 - 12,120  0.800 - 0.808   24,576    22       0    40     100

n=65536: ptx executes 20 % fewer machine instructions than cuda, moves the same sectors and has
4.8 % fewer SASS instructions.
"""
    )
    assert "12,000 - 16,000  0.800 - 1.067" in printed(CellTable(wide))
    assert f"i ptx: a range of executed SASS: {slow}." in printed(CellTable(wide))
    assert "i ptx: no number of executed SASS: it waits." in printed(CellTable(none))
    assert "ptx may execute more or fewer machine instructions than cuda" in printed(closing_lines([wide]))
    assert "ptx moves as many sectors as cuda" in printed(closing_lines([none]))
    for cell in (wide, none):
        assert "PTX instructions" not in printed(closing_lines([cell]))
    overlapping = dataclasses.replace(
        COUNTED, variants={"cuda": derived("cuda", 12000, 12100, 12000), "ptx": derived("ptx", 12050, 12060, 12055)}
    )
    assert "ptx may execute more or fewer machine instructions than cuda" in printed(closing_lines([overlapping]))


def test_times_with_the_interval_of_their_ratio():
    assert (
        printed(CellTable(TIMED), closing_lines([TIMED]))
        == """\
triad  n=65,536  sm_90, grid 64, block 256

         verified    time   time / cuda  bandwidth  regs  spills  SASS  occup.
variant  max error     µs             ×       GB/s             B             %
──────────────────────────────────────────────────────────────────────────────
cuda     ✔ 6.0e-08  4.000         1.000      196.6    22       0    42     100
ptx      ✔ 6.0e-08  3.000  0.750 ±0.000      262.1    22       0    42     100

n=65536: ptx has the same instruction mix as cuda and takes 25 % less time (99 % interval 25.00 to
25.00 %; 1 process, so no verdict).
"""
    )
    assert notice([TIMED]) is None


def test_a_failed_variant_has_a_reason_and_no_numbers():
    assert (
        printed(CellTable(FAILED), summary([FAILED]))
        == """\
triad  n=65,536  sm_90, grid 64, block 256

           verified       PTX instr.  instr. / cuda  sectors  regs  spills  SASS  occup.
variant    max error                              ×                      B             %
────────────────────────────────────────────────────────────────────────────────────────
cuda       ✔ 6.0e-08          15,360          1.000   24,576    22       0    42     100
cuda@fast  - skipped               -              -        -     -       -     -       -
ptx        ✘ wrong                 -              -        -     -       -     -       -
ptx.tma    ? unsupported           -              -        -     -       -     -       -

✘ ptx is wrong: triad.ptx, n=3: a[2] is 1, expected 2; 1 of 3 elements is outside 1 ulp.
? ptx.tma is beyond the emulator: triad.tma.ptx:61: unknown instruction 'cp.x'.
- cuda@fast is skipped: NVRTC is not there. Install ptxbench[cu13].

1 cell, 4 variants: 1 verified, 1 wrong, 1 unsupported, 1 skipped.
"""
    )


def test_if_nothing_ran_only_the_builds_are_shown():
    unsupported = dataclasses.replace(COUNTED.variants["ptx"], status="unsupported", reason="no.", counts=None)
    lines = printed(CellTable(dataclasses.replace(COUNTED, variants={"ptx": unsupported}))).splitlines()
    assert lines[2].split() == ["verified", "regs", "spills", "SASS", "occup."]


def test_a_narrow_terminal_omits_less_important_columns():
    lines = printed(CellTable(COUNTED), width=72).splitlines()
    assert lines[2].split() == ["verified", "PTX", "instr.", "instr.", "/", "cuda", "sectors", "regs", "SASS"]
    assert printed(OmittedColumns([COUNTED, TIMED]), width=72).splitlines() == [
        "72 columns have no room for spills and occup.: use a wider terminal, or",
        "--columns spills,occupancy.",
    ]
    assert (
        printed(OmittedColumns([COUNTED])) == printed(OmittedColumns([COUNTED]), width=30) == ""
    )  # 30: the table is split
    assert max(map(len, lines)) <= 72


def test_spills_are_kept_longer_than_occupancy_if_there_are_any():
    spilling = {
        "cuda": verified("cuda", counts=COUNTS, code="A"),
        "ptx": verified("ptx", counts=COUNTS, code="B", spilled=8),
    }
    lines = printed(CellTable(dataclasses.replace(COUNTED, variants=spilling)), width=78).splitlines()
    assert lines[2].split()[-3:] == ["regs", "spills", "SASS"]


def test_bank_conflicts_are_a_column_only_if_there_are_any():
    conflicting = {
        "cuda": verified("cuda", counts={**COUNTS, "ptx_shared_load_conflicts": 31}, code="A"),
        "ptx": verified("ptx", counts=COUNTS, code="B"),
    }
    text = printed(CellTable(dataclasses.replace(COUNTED, variants=conflicting)))
    assert "conflicts" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "conflicts" not in printed(CellTable(COUNTED))


def test_chosen_columns_are_all_shown():
    lines = printed(CellTable(COUNTED, choose(["sass", "time"]))).splitlines()
    assert lines[2].split() == ["verified", "SASS", "time"]
    assert lines[5].split() == ["cuda", "✔", "6.0e-08", "42", "-"]


def test_columns_that_do_not_fit_go_into_a_further_table_uncut():
    text = printed(CellTable(COUNTED, METRICS), width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert "…" not in text
    for metric in METRICS:
        assert metric.heading in text
    assert text.count("\nptx      ✔ exact") > 5
    assert printed(CellTable(COUNTED), width=30).count("\nptx      ✔ exact") > 1


def test_remarks_of_the_tools_are_shown_once():
    warned = {
        name: dataclasses.replace(
            result, build=dataclasses.replace(result.build, log="ptxas warning : 'setmaxnreg' ignored")
        )
        for name, result in COUNTED.variants.items()
    }
    text = printed(CellTable(dataclasses.replace(COUNTED, variants=warned)))
    assert "\n! cuda and ptx: ptxas warning : 'setmaxnreg' ignored\n" in text


def test_the_heading_shows_the_launch():
    assert "sm_90, grid 64, block 256\n" in printed(CellTable(COUNTED))
    launch = LaunchReport((64, 4, 1), (256, 1, 1), cluster=(2, 1, 1), cooperative=True)
    heading = printed(CellTable(dataclasses.replace(COUNTED, launch=launch)))
    assert "sm_90, grid 64 x 4, block 256, cluster 2, cooperative\n" in heading
    for dependent, words in ((True, "a chain of 8 dependent launches"), (False, "a chain of 8 launches")):
        launch = LaunchReport((64, 4, 1), (256, 1, 1), launches=8, dependent=dependent)
        assert f"block 256, {words}\n" in printed(CellTable(dataclasses.replace(COUNTED, launch=launch)))


def test_labels_are_in_the_heading_except_those_in_a_finding():
    text = printed(CellTable(dataclasses.replace(COUNTED, labels=["UNSTABLE", "BITS-DIFFER ptx"])))
    assert text.startswith("triad  n=65,536  sm_90, grid 64, block 256  UNSTABLE\n")


def test_a_terminal_without_unicode_gets_ascii():
    text = printed(CellTable(FAILED), width=100, encoding="latin-1")
    assert "ok 6.0e-08" in text
    assert "x wrong" in text
    assert "---" in text


def test_text_from_outside_is_not_treated_as_markup():
    hostile = dataclasses.replace(
        FAILED, variants={"ptx": VariantResult("ptx", "broken", "k.ptx:1: [bold]x[/] at [%rd1+4] is no [red].")}
    )
    assert "[bold]x[/] at [%rd1+4] is no [red]." in printed(CellTable(hostile))


@pytest.mark.parametrize("options", [{"no_color": True, "force_terminal": True}, {"force_terminal": False}])
def test_without_colour_no_colour_is_written(options):
    text = printed(CellTable(FAILED), color_system="truecolor" if "no_color" in options else None, **options)
    assert "\x1b[3" not in text  # bold and dim may stay: NO_COLOR is about colour


LIMITED = dataclasses.replace(
    TIMED,
    limits=RooflineLimits("H100 SXM", "published: NVIDIA H100 datasheet", 3.35e12, 67e12, 989e12, 1980),
    work={"flops": 2000, "bytes": 8_000_000, "written": 400_000},
)


def test_the_share_of_the_limit_names_the_limit():
    assert (
        printed(CellTable(LIMITED))
        == """\
triad  n=65,536  sm_90, grid 64, block 256

         verified    time   time / cuda   of limit  bandwidth  regs  spills  SASS  occup.
variant  max error     µs             ×          %       TB/s             B             %
─────────────────────────────────────────────────────────────────────────────────────────
cuda     ✔ 6.0e-08  4.000         1.000  60 memory      2.000    22       0    42     100
ptx      ✔ 6.0e-08  3.000  0.750 ±0.000  80 memory      2.667    22       0    42     100

"""
    )


def test_a_chosen_column_of_limits_names_its_device():
    counted = dataclasses.replace(
        COUNTED, limits=dataclasses.replace(LIMITED.limits, source="a model, published: NVIDIA H100 datasheet")
    )
    assert (
        printed(CellTable(counted, choose(["intensity", "sass"])))
        == """\
triad  n=65,536  sm_90, grid 64, block 256

         verified    flop / byte  SASS
variant  max error
──────────────────────────────────────
cuda     ✔ 6.0e-08  0.167 memory    42
ptx      ✔ exact    0.167 memory    40

i Limits of H100 SXM: 3.350 TB/s, f32 67.00 Tflop/s, tensor 989.0 Tflop/s (a model, published:
  NVIDIA H100 datasheet).

"""
    )


def test_the_limits_of_a_device_are_shown_once():
    assert printed(limits_notice([LIMITED, LIMITED])).split("\n")[0] == (
        "Limits of H100 SXM: 3.350 TB/s, f32 67.00 Tflop/s, tensor 989.0 Tflop/s (published: NVIDIA H100"
    )
    assert limits_notice([COUNTED, TIMED, dataclasses.replace(LIMITED, rounds=[])]) is None


def test_where_written_bytes_may_stay_in_l2_no_share_is_shown_and_the_notice_says_why():
    some = dataclasses.replace(LIMITED, work={**LIMITED.work, "written": 500_000})
    assert "of limit" not in printed(CellTable(some))
    rows = printed(CellTable(some, choose(["time", "share"]))).split("\n")[5:7]
    assert [row.split()[-1] for row in rows] == ["-", "-"]
    warm = dataclasses.replace(LIMITED, cache="warm")
    assert (
        "No share of the memory bandwidth is shown where data may be in L2 before the launch or written bytes may stay"
        in " ".join(printed(limits_notice([LIMITED, some, warm])).split())
    )


# ---- the first finding


def explained(**ptx):
    """A cell with different machine code for cuda and ptx; `ptx`: changes of the ptx build."""
    sides = {"cuda": verified("cuda", code="A"), "ptx": verified("ptx", code="B")}
    report = dataclasses.replace(sides["ptx"].build, **ptx)
    return dataclasses.replace(
        COUNTED, variants={**sides, "ptx": dataclasses.replace(sides["ptx"], build=report)}, labels=()
    )


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_first_finding_of_the_pair_is_one_line_below_its_table(width):
    cell = explained(spill_store_bytes=8, spill_load_bytes=8)
    lines = printed(CellTable(cell), width=width).splitlines()
    (found_line,) = [line for line in lines if line.startswith("differs ")]
    assert found_line == "differs  Registers spill to memory: ptx 16 bytes a thread."
    assert lines[lines.index(found_line) - 2].startswith("ptx ")
    long = explained(log="ptxas info : (C7508) Potential Performance Loss: " + "a very long remark " * 9)
    text = printed(CellTable(long), width=width)
    assert max(map(len, text.splitlines())) <= min(width, 100)
    assert " ".join(text.split()).count("a very long remark") == 2 * 9  # here whole, and among the remarks
    assert "…" not in text


def test_the_first_finding_explains_a_time_and_without_times_is_only_a_difference():
    timed = dataclasses.replace(TIMED, variants=explained(spill_store_bytes=8, spill_load_bytes=8).variants)
    assert "why  Registers spill" in printed(CellTable(timed))
    assert "differs" not in printed(CellTable(timed))


def test_the_first_finding_compares_with_the_best_cuda_c_or_with_the_chosen_row():
    spilling = explained(spill_store_bytes=8, spill_load_bytes=8)
    fast = dataclasses.replace(derived("cuda", 9, 9, 9), build=build("C", spilled=16))
    cell = dataclasses.replace(spilling, variants={**spilling.variants, "cuda@fast": fast})
    cell = dataclasses.replace(cell, variants={**cell.variants, "cuda": derived("cuda", 12, 12, 12)})
    assert "differs  Registers spill to memory: cuda@fast 32 bytes and ptx 16 bytes a thread." in printed(
        CellTable(cell)
    )
    assert "differs  Registers spill to memory: ptx 16 bytes a thread." in printed(CellTable(cell, reference="cuda"))


def test_facts_in_the_table_or_its_sentence_are_not_repeated_as_a_finding():
    assert "differs" not in printed(CellTable(explained(sass_sha256="A")))  # the same machine code
    assert "differs" not in printed(CellTable(explained()))  # the same mix


def test_a_pair_that_was_not_verified_has_no_explanation():
    spilling = explained(spill_store_bytes=8)
    wrong = dataclasses.replace(spilling.variants["ptx"], status="wrong", reason="k.ptx: no.")
    assert "differs" not in printed(
        CellTable(dataclasses.replace(spilling, variants={**spilling.variants, "ptx": wrong}))
    )
    assert "differs" not in printed(
        CellTable(dataclasses.replace(spilling, variants={"ptx": spilling.variants["ptx"]}))
    )
