"""`ptxbench show`: real kernels through the real tools, the linked lines, the refusals."""

import json
import re

import pytest
from rich.cells import cell_len

from ptxbench import toolchain
from ptxbench.discovery import default_kernels
from tests.folders import CUDA, PTX, changed, kernels_folder
from tests.quick import every


def document(ran):
    assert (ran.status, ran.err) == (0, "")
    return json.loads(ran.out)


# ---- the shipped pairs: what kernels.md and their pages say of the machine code


def test_triad_is_the_same_machine_code_and_so_the_same_instruction_mix(ptxbench):
    ran = ptxbench("show", "triad", "--diff", "cuda", "ptx")
    assert ran.status == 0
    assert "\nSame machine code, to the bit.\nSimilarity 100.0 %: " in ran.out
    assert "\nSame instruction mix: every opcode as often on both sides.\n" in ran.out


def findings(ptxbench, name, *more):
    return {finding["kind"]: finding for finding in document(ptxbench("show", name, "--json", *more))["findings"]}


def test_for_triad_only_identical_machine_code_is_reported(ptxbench):
    (only,) = findings(ptxbench, "triad").values()
    assert only["kind"] == "same code"
    assert only["text"] == "ptx is the same machine code as cuda, to the bit: a difference in time would be noise."


def test_from_sm_100_on_the_code_of_triad_differs_only_outside_loads_stores_and_fmas(ptxbench):
    shown = document(ptxbench("show", "triad", "--arch", "sm_100", "--diff", "cuda", "ptx", "--json"))
    differing = shown["diff"]["opcodes"]
    assert not [name for name in differing if name.startswith(("LDG", "STG", "FFMA"))]
    assert {"bank conflicts", "sectors", "access width", "fused multiply-add"}.isdisjoint(
        finding["kind"] for finding in shown["findings"]
    )


def test_for_bigint_mul256_only_ptx_carries_in_multiply_adds(ptxbench):
    by_name = findings(ptxbench, "bigint_mul256", "--diff", "cuda.rows", "ptx")
    carries = by_name["carries"]["figures"]
    assert carries["carrying multiply-adds"]["cuda.rows"] == 0
    assert carries["carrying multiply-adds"]["ptx"] > 20
    assert carries["additions"]["cuda.rows"] > 3 * carries["additions"]["ptx"]
    assert by_name["carries"]["text"].startswith("In ptx ")
    assert "fewer. Most of it is IADD3 " in by_name["instructions"]["text"]
    assert (
        by_name["occupancy"]["figures"]["occupancy"]["ptx"] > by_name["occupancy"]["figures"]["occupancy"]["cuda.rows"]
    )
    round_of = by_name["loops"]["figures"]["instructions a round"]
    assert round_of["ptx"] < 0.6 * round_of["cuda.rows"]
    executed = by_name["executed instructions"]
    assert executed["text"].startswith("Warps execute 44 % fewer machine instructions in ptx than in cuda.rows: ")
    assert "Most of it is IADD3, " in executed["text"]
    # the rows lose because no carry of theirs rides: they have fewer PTX instructions, and execute more
    rows = findings(ptxbench, "bigint_mul256", "--diff", "cuda", "ptx.rows")
    assert "carries" not in rows
    assert re.match(
        r"Warps execute \d\d % more machine instructions in ptx\.rows ", rows["executed instructions"]["text"]
    )


def test_for_scatter_add_bf16_only_cuda_has_generic_addresses_and_narrow_atomics(ptxbench):
    by_name = findings(ptxbench, "scatter_add_bf16")
    assert next(iter(by_name)) == "generic addressing"
    assert by_name["generic addressing"]["text"].startswith(
        "cuda has generic addresses, whose memory space is unknown: 5 ATOM, "
    )
    assert by_name["generic addressing"]["figures"]["ATOM"] == {"cuda": 5, "ptx": 0}
    requests = by_name["atomics"]["figures"]["atomic requests"]
    assert requests["cuda"] == 4 * requests["ptx"] > 0
    assert [place["file"] for place in by_name["atomics"]["places"]] == ["scatter_add_bf16.cu", "scatter_add_bf16.ptx"]
    shown = document(ptxbench("show", "scatter_add_bf16", "--json"))["findings"]
    texts = [finding["text"] for finding in shown if finding["kind"] == "access width"]
    assert "Global atomics in the code, by bytes a thread: cuda 5 of 4 bytes; ptx 1 of 16 bytes." in texts
    narrow = findings(ptxbench, "scatter_add_bf16", "--diff", "cuda", "ptx.narrow")
    assert {"generic addressing", "instructions"} <= narrow.keys()
    assert "access width" not in narrow  # the typed address without the width


def test_for_w4a16_dequant_almost_every_lop3_needs_its_constant_in_a_register(ptxbench):
    by_name = findings(
        ptxbench, "w4a16_dequant", "--size", "rows=4,columns=1024,batch=2", "--diff", "cuda.known", "cuda.magic"
    )
    assert next(iter(by_name)) == "loops"
    constants = by_name["constants"]["figures"]["constants"]
    assert constants["cuda.known"] >= constants["cuda.magic"] + 20
    round_of = by_name["loops"]["figures"]["instructions a round"]
    assert round_of["cuda.magic"] < round_of["cuda.known"]
    assert [place["file"] for place in by_name["loops"]["places"]] == [
        "w4a16_dequant.known.cu",
        "w4a16_dequant.magic.cu",
    ]
    assert "unrolling" not in by_name  # as many rounds on both sides


def test_for_hgemm_mma_bank_conflicts_are_reported_with_their_lines(ptxbench):
    assert "bank conflicts" not in findings(ptxbench, "hgemm_mma", "--diff", "cuda", "ptx")
    conflicts = findings(ptxbench, "hgemm_mma", "--diff", "ptx", "ptx.noswizzle")["bank conflicts"]
    assert conflicts["figures"]["bank conflicts"]["ptx"] == 0
    assert conflicts["figures"]["bank conflicts"]["ptx.noswizzle"] > 1_000
    (place,) = conflicts["places"]
    text = (default_kernels() / "ptx" / "hgemm_mma.noswizzle.ptx").read_text().splitlines()[place["line"] - 1]
    assert "ldmatrix" in text
    assert f"most at hgemm_mma.noswizzle.ptx:{place['line']}" in conflicts["text"]


def test_executions_of_softmax_add_up_and_the_hottest_loop_is_unrolled(ptxbench):
    size = ("--size", "rows=4,columns=4096")
    hot = ptxbench("show", "softmax", "--variant", "ptx.passes", "--sass", "--counts", *size).out
    rows, _, summary = hot.rpartition("\n\n")
    counts = [int(match.replace(",", "")) for match in re.findall(r"^ *([\d,]+)  [0-9a-f]{4}  ", rows, re.M)]
    total, hottest = summary.splitlines()[:2]
    assert total == f"Warps execute {sum(counts):,} machine instructions."
    assert re.fullmatch(r"Loop [0-9a-f]{4} to [0-9a-f]{4}: \d+ instructions, unrolled by 4, 128 rounds, .*", hottest)


def test_an_unsupported_instruction_costs_only_the_counts(ptxbench, tmp_path):
    exotic = changed(PTX, "    ret;", "    multimem.red.relaxed.gpu.global.add.u32 [%y], %n;\n    ret;")
    exotic = changed(exotic, ".version 6.3\n.target sm_75", ".version 8.1\n.target sm_90")
    kernels = kernels_folder(tmp_path, ptx=exotic)
    ran = ptxbench("show", "scale", "--kernels", kernels)
    assert (ran.status, ran.err) == (0, "")
    comparison = " ".join(ran.out.split("ptx against cuda")[1].split())
    assert "- ptx was not counted: " in comparison
    assert "multimem" in comparison
    assert "SASS instructions" in comparison
    assert "Executions were counted" not in comparison
    shown = document(ptxbench("show", "scale", "--kernels", kernels, "--json"))
    assert list(shown["not_counted"]) == ["ptx"]
    hot = ptxbench("show", "scale", "--kernels", kernels, "--counts")  # which asks for counts and nothing else
    assert hot.err.startswith("Skipped: ")


def test_findings_are_below_the_listings_if_cuda_is_shown(ptxbench, kernels):
    def printed(*more):
        return ptxbench("show", "scale", "--kernels", kernels, *more).out

    assert re.search(r"\n\nptx against cuda\n- .*\bptx\b.*\n", printed())
    assert re.search(r"\n\nptx against cuda\n- .*\bptx\b.*\n", printed("--diff", "cuda", "ptx"))
    assert re.search(r"\n\ncuda against ptx\n- .*\bcuda\b.*\n", printed("--diff", "ptx", "cuda"))
    assert " against " not in printed("--variant", "ptx")


def test_bigint_mul256_has_carries_inside_wide_multiplications_in_ptx_alone(ptxbench):
    diff = document(ptxbench("show", "bigint_mul256", "--diff", "cuda.rows", "ptx", "--json"))["diff"]
    assert not diff["same_mix"]
    assert diff["similarity"] < 0.5
    cuda, ptx = diff["opcodes"]["IMAD.WIDE.U32.X"]
    assert cuda == 0
    assert ptx > 20
    assert diff["opcodes"]["IADD3"][0] > 10 * diff["opcodes"]["IADD3"][1]


def test_scatter_add_bf16_is_one_wide_reduction_in_ptx_and_loops_in_cuda(ptxbench):
    opcodes = document(ptxbench("show", "scatter_add_bf16", "--diff", "cuda", "ptx", "--json"))["diff"]["opcodes"]
    assert opcodes["REDG.E.ADD.BF16x8.RN.STRONG.GPU"] == [0, 1]
    assert opcodes["ATOM.E.ADD.BF16x2.RN.STRONG.GPU"] == [5, 0]


def test_the_instruction_mix_of_w4a16_dequant_differs(ptxbench):
    diff = document(ptxbench("show", "w4a16_dequant", "--diff", "cuda", "ptx", "--json"))["diff"]
    assert not diff["same_code"]
    assert 0.5 < diff["similarity"] < 1
    assert diff["moved"]


# ---- one small pair, whole


WHOLE = """\
cuda  scale.cu  sm_90, 17 SASS instructions, 10 registers

executed     CUDA C                               executed        SASS
                                                         4  0000  LDC R1, c[0x0][0x28]
                                                         1  0080  ULDC.64 UR4, c[0x0][0x208]
          1  // scale: y = a * x, one element a…
          2
      16  3  extern "C" __global__ void scale(c…
          4  {
      18  5      const unsigned i = 128 * block…         4  0010  S2R R7, SR_CTAID.X
                                                         4  0030  S2R R0, SR_TID.X
                                                         4  0040  LEA R7, R7, R0, 0x7
       8  6      if (i < n)                              4  0020  ULDC UR4, c[0x0][0x224]
                                                         4  0050  ISETP.GE.U32.AND P0, PT, R7, UR4,…
                                                         4  0060  .L_x_1: @P0 EXIT
       6  7          y[i] = a * x[i];                    1  0070  LDC.64 R2, c[0x0][0x210]
                                                         1  0090  ULDC UR6, c[0x0][0x220]
                                                         1  00a0  LDC.64 R4, c[0x0][0x218]
                                                         1  00b0  IMAD.WIDE.U32 R2, R7, 0x4, R2
                                                         1  00c0  LDG.E R2, desc[UR4][R2.64]
                                                         1  00d0  IMAD.WIDE.U32 R4, R7, 0x4, R4
                                                         1  00e0  FMUL R7, R2, UR6
                                                         1  00f0  STG.E desc[UR4][R4.64], R7
       4  8  }                                           1  0100  .L_x_2: EXIT
4 rows end in …, cut to 100 columns: COLUMNS=204 shows all of it.

Warps execute 38 machine instructions.
"""
"""The output of NVRTC and ptxas 13.5."""


def test_a_small_listing_is_shown_whole(ptxbench, kernels):
    ran = ptxbench("show", "scale", "--kernels", kernels, "--variant", "cuda", "--counts", "--size", "n=1")
    assert (ran.status, ran.err) == (0, "")
    if all(version.startswith("13.5.") for version in toolchain.versions().values()):
        assert ran.out == WHOLE
    numbers = [row[10] for row in ran.out.splitlines()[3:-3] if row[10:11].strip()]
    assert numbers == list("12345678")  # every line of the CUDA C once, whatever the tools' versions


def test_by_default_both_sides_are_shown_and_globs_choose_others(ptxbench, kernels):
    def shown(*more):
        return re.findall(
            r"^(\S+)  scale\.\w+  sm_90, ", ptxbench("show", "scale", "--kernels", kernels, *more).out, re.M
        )

    assert shown() == ["cuda", "ptx"]
    assert shown("--variant", "cuda*") == ["cuda", "cuda@fast"]
    assert shown("--ptx") == ["cuda", "ptx"]


def test_every_instruction_of_the_document_leads_to_its_lines(ptxbench, kernels):
    cuda, ptx = document(ptxbench("show", "scale", "--kernels", kernels, "--live-registers", "--json"))["variants"]
    [product] = [line for line in cuda["sass"] if line["text"].startswith("FMUL")]
    assert "mul" in cuda["ptx"][product["ptx_line"] - 1]
    assert cuda["source"][product["source_line"] - 1].strip() == "y[i] = a * x[i];"
    assert cuda["same_code_as_run"]
    assert all(line["live_registers"] <= cuda["registers"] for line in cuda["sass"])
    [product] = [line for line in ptx["sass"] if line["text"].startswith("FMUL")]
    assert ptx["ptx"][product["ptx_line"] - 1].split()[0] == "mul.rn.f32"
    assert ptx["source"] == []


def test_lines_are_counted_at_the_largest_check_size_or_at_the_one_given(ptxbench, kernels):
    def count(*more):
        shown = document(
            ptxbench("show", "scale", "--kernels", kernels, "--variant", "ptx", "--counts", "--json", *more)
        )
        return max(shown["variants"][0]["executed"].values())

    assert count() == 8  # two CTAs of four warps
    assert count("--size", "n=1_000") == 32


VIEWS = [
    (),
    ("--ptx", "--counts"),
    ("--sass", "--live-registers", "--control"),
    ("--side-by-side",),
    ("--diff", "cuda", "ptx"),
]


WIDTHS = [(view, columns) for view in VIEWS for columns in (80, 100, 160)]


OF_A_LONG_PAIR = [("w4a16_dequant", view, (80, 100, 160)[number % 3]) for number, view in enumerate(VIEWS)]
"""Its numbers of lines and addresses are wide too; it takes ten times as long as triad."""


@pytest.mark.parametrize(
    ("pair", "view", "columns"), [*(("triad", *width) for width in WIDTHS), *every(5, OF_A_LONG_PAIR)]
)
def test_no_line_is_wider_than_the_terminal_with_colours_or_without(ptxbench, monkeypatch, pair, view, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    plain = ptxbench("show", pair, *view)
    assert plain.status == 0
    lines = plain.out.splitlines()
    assert max(map(cell_len, lines)) <= columns
    assert "\x1b" not in plain.out
    cut = [line for line in lines if "…" in line]
    assert cut or columns == 160 or view[:1] == ("--diff",)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = ptxbench("show", pair, *view).out
    assert "\x1b[" in coloured
    assert [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in coloured.splitlines()] == [
        line.rstrip() for line in lines
    ]


def test_the_ptx_is_shown_between_source_and_sass_where_there_is_room(ptxbench, kernels, monkeypatch):
    def heading(columns, *more):
        monkeypatch.setenv("COLUMNS", columns)
        return ptxbench("show", "scale", "--kernels", kernels, "--variant", "cuda", *more).out.splitlines()[2].split()

    assert heading("139") == ["CUDA", "C", "SASS"]
    assert heading("140") == ["CUDA", "C", "PTX", "SASS"]
    assert heading("80", "--side-by-side") == ["CUDA", "C", "PTX", "SASS"]
    assert heading("140", "--ptx") == ["CUDA", "C", "PTX"]


# ---- files


def test_a_file_need_not_be_part_of_a_pair(ptxbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.cu").write_text(CUDA.replace('extern "C" ', "").replace("scale", "mine"))
    (tmp_path / "mine.ptx").write_text(PTX)
    [cuda] = document(ptxbench("show", "mine.cu", "--json"))["variants"]
    assert (cuda["entry"], cuda["arch"]) == ("_Z4minePKfPffj", "sm_90")
    assert any(line["source_line"] == 7 for line in cuda["sass"])
    [ptx] = document(ptxbench("show", "mine.ptx", "--json"))["variants"]
    assert (ptx["entry"], ptx["arch"]) == ("scale", "sm_75")  # from its .target
    shown = ptxbench("show", "mine.ptx", "--arch", "sm_80").out
    assert shown.startswith("ptx  mine.ptx  sm_80, ")
    assert shown.endswith(
        "\nNothing was executed: `ptxbench exec mine.ptx --arch sm_80` launches it and counts machine instructions.\n"
    )
    options = ("--entry", "mine", "-I", ".", "-D", "A=1", "-D", "B", "--std", "c++20", "--flag", "--use_fast_math")
    assert f"`ptxbench exec mine.cu {' '.join(options)}`" in ptxbench("show", "mine.cu", *options).out


def test_a_command_that_a_message_names_can_be_typed_as_it_is(ptxbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my kernels"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.ptx").write_text(PTX)
    assert "`ptxbench exec 'my kernels/one.ptx'` launches it" in ptxbench("show", "my kernels/one.ptx").out
    assert "ptxbench exec 'my kernels/one.ptx', or show" in ptxbench("my kernels/one.ptx").err
    both = ptxbench("show", "my kernels/one.ptx", "my kernels/two.ptx").out
    assert both.endswith("ptxbench arch 'my kernels/one.ptx' 'my kernels/two.ptx'\n")


def test_a_flag_of_nvrtc_changes_the_listing(ptxbench, tmp_path):
    path = tmp_path / "half.cu"
    path.write_text('extern "C" __global__ void half(float* x) { x[0] = 1.0f / x[1]; }\n')
    plain, fast = (
        {line["text"].split()[0] for line in document(ptxbench("show", path, "--json", *more))["variants"][0]["sass"]}
        for more in ((), ("--flag", "--use_fast_math"))
    )
    assert plain != fast


# ---- what goes wrong


def test_a_variant_that_cannot_be_built_is_left_out_and_named(ptxbench, tmp_path):
    kernels = kernels_folder(tmp_path, ptx=changed(PTX, ".version 6.3\n.target sm_75", ".version 8.0\n.target sm_90a"))
    ran = ptxbench("show", "scale", "--kernels", kernels)
    assert ran.status == 0
    assert ran.out.startswith("cuda  scale.cu  sm_90, ")
    assert "\nptx  " not in ran.out
    assert ran.err.startswith("Skipped: scale.ptx:4: needs sm_90a;")
    alone = ptxbench("show", "scale", "--kernels", kernels, "--variant", "ptx")
    assert (alone.status, alone.out) == (4, "")
    assert alone.err.startswith("Error: scale.ptx:4: needs sm_90a;")
    assert ptxbench("show", "scale", "--kernels", kernels, "--diff", "cuda", "ptx").status == 4
    assert ptxbench("show", "scale", "--kernels", kernels, "--arch", "sm_90a").err == ""


# arguments after the pair, the message
REFUSED = [
    (["--diff", "cuda", "pxt"], "Unknown variant 'pxt' of scale. Did you mean 'ptx'?"),
    (["--variant", "cuda@fats"], "Unknown variant 'cuda@fats'. Did you mean 'cuda@fast'?"),
    (["--diff", "cuda", "ptx", "--sass"], "--diff and --sass are two views. Choose one."),
    (["--diff", "cuda", "ptx", "--variant", "ptx"], "--diff names its variants itself. Leave out --variant."),
    (["--counts", "--diff", "cuda", "ptx"],
     "--counts needs a listing of one variant. Leave it out, or use --sass."),
    (["--live-registers", "--ptx"],
     "--live-registers needs a SASS listing. Leave it out, or use --sass."),
    (["--control", "--ptx"], "--control needs a listing with SASS. Leave it out, or use --sass."),
    (["--size", "m=3"], "No selected pair has the size m=3: 'scale' has n."),
    (["--size", "3"], "'3' is not a size. Write it as n=65536, or rows=3,columns=257, or all."),
    (["--entry", "scale"], "--entry is for .cu and .ptx files, and 'scale' is a pair."),
    (["--flag", "-G"], "--flag is for .cu and .ptx files, and 'scale' is a pair."),
    (["--seed", "1"], "--seed is for .cu and .ptx files, and 'scale' is a pair."),
    (["--tolerance", "1"], "--tolerance is for .cu and .ptx files, and 'scale' is a pair."),
    (["triad"], "Expected one PAIR, or one or two FILEs (.cu, .ptx); found 'scale', 'triad'."),
    (["--diff", "cuda"], "--diff compares two variants of one pair, such as --diff cuda ptx; found 'scale', 'cuda'."),
    (["--arch", "90"], "Unknown architecture '90'. Did you mean 'sm_90'?"),
    (["--arch", "banana"], "Unknown architecture 'banana'. Write it as sm_90 or sm_90a."),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_conflicting_options_are_refused(ptxbench, kernels, arguments, message):
    ran = ptxbench("show", "scale", "--kernels", kernels, *arguments)
    assert (ran.status, ran.out, ran.err) == (2, "", f"Error: {message}\n")


# file, arguments, the message
FILES = [
    ("no.cu", [], "There is no file no.cu."),
    ("two.ptx", [], "two.ptx has 2 kernels: scale, other. Name one with --entry."),
    ("two.ptx", ["--variant", "ptx"], "--variant is for the variants of a pair, and a file has none."),
    ("two.ptx", ["--diff"], "--diff compares two kernels. Name a second FILE."),
    ("two.ptx", ["--diff", "cuda", "ptx"],
     "Expected one PAIR, or one or two FILEs (.cu, .ptx); found 'two.ptx', 'cuda', 'ptx'. `ptxbench check two.ptx "
     "--pair cuda` compares a file with a pair."),
    ("two.ptx", ["--counts"],
     "--counts needs a launch, and a file has none. `ptxbench exec two.ptx` launches it, as its --grid, --block and "
     "--arg say, and counts lines and machine instructions."),
    ("two.ptx", ["--size", "n=3"],
     "--size needs a pair. To count files, describe the launch with --grid, --block and --arg."),
    ("two.ptx", ["--grid", "2"], "--grid needs two FILEs to compare. `ptxbench exec two.ptx` launches one kernel."),
    ("two.ptx", ["--tolerance", "1"],
     "--tolerance needs two FILEs to compare. `ptxbench exec two.ptx` launches one kernel."),
    ("two.ptx", ["--entry", "scale", "--entry", "other"], "--entry is given 2 times. Give it once."),
    ("two.ptx", ["--flag", "-G"], "two.ptx is PTX, and --flag is for CUDA C. Leave it out."),
]  # fmt: skip


@pytest.mark.parametrize(("file", "arguments", "message"), FILES)
def test_options_that_conflict_with_a_file_are_refused(ptxbench, tmp_path, monkeypatch, file, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.ptx").write_text(PTX + "\n.visible .entry other()\n{\n    ret;\n}\n")
    ran = ptxbench("show", file, *arguments)
    assert (ran.status, ran.out, ran.err) == (2, "", f"Error: {message}\n")


def test_the_variants_to_compare_may_be_anywhere_and_are_cuda_and_ptx_by_default(ptxbench, kernels):
    shown = {
        ptxbench("show", *words, "--kernels", kernels).out
        for words in (
            ("scale", "--diff"),
            ("--diff", "scale"),
            ("scale", "--diff", "cuda", "ptx"),
            ("--diff", "cuda", "ptx", "scale"),
        )
    }
    assert len(shown) == 1
    assert "\n\nptx against cuda\n" in shown.pop()


def test_several_pairs_are_refused(ptxbench):
    ran = ptxbench("show", "scan*")
    assert (ran.status, ran.err) == (2, "Error: 'scan*' matches 2 pairs: scan, scan.s32. Name one.\n")


def test_a_pair_that_fails_to_make_its_data_is_reported_with_its_line(ptxbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kernels = kernels_folder(tmp_path)
    pair = kernels / "pairs" / "scale.py"
    pair.write_text(
        changed(pair.read_text(), "lambda n: (n,)),\n        Out", "lambda n: (n,), lambda *_, n: 1 / 0),\n        Out")
    )
    ran = ptxbench("show", "scale", "--kernels", "kernels")
    assert (ran.status, ran.out) == (2, "")
    assert re.match(r"Error: kernels/pairs/scale\.py:\d+: at n=129: ZeroDivisionError", ran.err)


def test_a_row_whose_compiler_is_an_extra_that_is_missing_is_left_out_and_named(ptxbench, monkeypatch):
    monkeypatch.setattr("ptxbench.toolchain.triton.installed", lambda package: None)
    missing = "triad.triton.py: Triton is not installed: pip install 'ptxbench[triton]'."
    ran = ptxbench("show", "triad", "--variant", "cuda", "--variant", "triton")
    assert (ran.status, ran.err) == (0, f"Skipped: {missing}\n")
    assert ran.out.startswith("cuda  triad.cu  sm_90,")
    alone = ptxbench("show", "triad", "--variant", "triton")
    assert (alone.status, alone.err) == (2, f"Error: {missing}\n")
