"""`ptxbench list`: pairs, variants, targets, sizes, the purpose and the expectation of each."""

import json

import pytest

from tests.folders import CUDA, PAIR, PTX, changed


def test_a_pair_is_listed_with_all_its_parts(kernels, ptxbench):
    (kernels / "ptx" / "scale.wide.ptx").write_text(changed(PTX, "sm_75", "sm_90a"))
    assert ptxbench("list", "--kernels", "kernels") == (0, """\
scale
  does      y = a * x, one element a thread, a ragged last block.
  purpose   The smallest pair that can go wrong at its edge.
  needs     sm_75
  cuda      cuda  cuda@fast
  ptx       ptx (sm_75)  ptx.wide (sm_90a)
  sizes     n=1024  n=4096
""", "")  # fmt: skip


def test_the_star_of_a_variant_is_explained(kernels, ptxbench):
    assert "*" not in ptxbench("list", "--kernels", "kernels").out.replace("a * x", "")
    text = changed(PAIR, "    args=[", "    by_request=['cuda@fast'],\n    args=[")
    (kernels / "pairs" / "scale.py").write_text(text)
    out = ptxbench("list", "--kernels", "kernels").out
    assert "cuda  cuda@fast*\n" in out
    assert out.endswith("\n\n* runs only if --variant names it\n")


def test_the_expectation_of_a_pair_is_listed_if_it_has_one(kernels, ptxbench):
    assert "expectation" not in ptxbench("list", "--kernels", "kernels").out
    text = changed(
        PAIR, "    args=[", '    expectation=("A tie, because both sides "\n    "are the same."),\n    args=['
    )
    (kernels / "pairs" / "scale.py").write_text(text)
    assert ptxbench("list", "--kernels", "kernels").out.splitlines()[2:5] == [
        "  purpose   The smallest pair that can go wrong at its edge.",
        "  expects   A tie, because both sides are the same.",
        "  needs     sm_75",
    ]


def test_a_pair_needs_the_target_of_its_own_ptx(kernels, ptxbench):
    (kernels / "ptx" / "scale.narrow.ptx").write_text(PTX)
    (kernels / "ptx" / "scale.ptx").write_text(changed(PTX, "sm_75", "sm_90"))
    assert "  needs     sm_90\n" in ptxbench("list", "--kernels", "kernels").out
    (kernels / "ptx" / "scale.ptx").write_text(changed(PTX, ".target sm_75", ""))
    assert "  needs     no .target\n" in ptxbench("list", "--kernels", "kernels").out


def test_a_file_that_cannot_be_read_is_named(kernels, ptxbench):
    (kernels / "ptx" / "scale.folder.ptx").mkdir()
    ran = ptxbench("list", "--kernels", "kernels")
    assert ran == (2, "\n", "Error: Cannot read kernels/ptx/scale.folder.ptx: Is a directory.\n")


def test_a_folder_comes_from_the_option_or_the_environment_and_replaces_the_shipped_one(kernels, ptxbench, monkeypatch):
    by_option = ptxbench("list", "--kernels", "kernels")
    monkeypatch.setenv("PTXBENCH_KERNELS", "kernels")
    assert ptxbench("list") == by_option
    assert by_option.out.count("does") == 1
    assert ptxbench("list", "absent").err == "Error: Unknown pair 'absent' in 'kernels'. Known are scale.\n"


def test_json_lists_the_same_pairs_and_nothing_else_is_printed(kernels, ptxbench):
    ran = ptxbench("list", "--kernels", "kernels", "--json")
    (pair,) = json.loads(ran.out)
    assert list(pair) == [
        "schema",
        "name",
        "summary",
        "purpose",
        "expectation",
        "prediction",
        "target",
        "bench_sizes",
        "variants",
        "libraries",
    ]
    keys = ["name", "language", "file", "flags", "target", "by_request", "must_fail", "specialisations"]
    assert all(list(variant) == keys for variant in pair["variants"])
    assert (pair["name"], pair["expectation"], pair["target"]) == ("scale", "", "sm_75")
    assert pair["bench_sizes"] == [{"n": 1024}, {"n": 4096}]
    assert [(variant["name"], variant["target"], variant["flags"]) for variant in pair["variants"]] == [
        ("cuda", None, []),
        ("cuda@fast", None, ["--use_fast_math"]),
        ("ptx", "sm_75", []),
    ]


def test_pairs_are_chosen_by_name_or_glob(ptxbench):
    assert ptxbench("list", "triad*", "transpose").out.count("purpose  ") == 3
    ran = ptxbench("list", "triadd")
    assert ran == (2, "", "Error: Unknown pair 'triadd'. Did you mean 'triad'?\n")


def test_a_pair_that_cannot_be_read_does_not_hide_the_others(kernels, ptxbench):
    (kernels / "pairs" / "zebra.py").write_text(PAIR)
    ran = ptxbench("list", "--kernels", "kernels")
    assert ran.status == 2
    assert ran.out.startswith("scale\n")
    assert ran.err.startswith("Error: Pair 'zebra' lacks kernels/cuda/zebra.cu and kernels/ptx/zebra.ptx.")


def test_long_lines_are_wrapped_to_the_terminal(ptxbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = ptxbench("list").out.splitlines()
    assert max(map(len, lines)) <= 60
    assert any(line.startswith(" " * 12) for line in lines)


def test_a_size_of_many_dimensions_is_wrapped_after_a_comma(kernels, ptxbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    wide = changed(PAIR, "[dict(n=1 << k) for k in (10, 12)]", "[dict(n=1024, columns=123_456, rows=123_456)]")
    (kernels / "pairs" / "scale.py").write_text(wide.replace("lambda n:", "lambda n, **_:"))
    lines = ptxbench("list", "--kernels", "kernels").out.splitlines()
    assert lines[-2:] == ["  sizes     n=1024,columns=123456,", "            rows=123456"]


def test_json_of_a_pair_file_with_a_byte_order_mark(kernels, ptxbench):
    (kernels / "pairs" / "scale.py").write_text(PAIR, encoding="utf-8-sig")
    (pair,) = json.loads(ptxbench("list", "scale", "--json", "--kernels", kernels).out)
    assert pair["name"] == "scale"


def test_json_of_a_named_pair_has_everything_that_a_writer_of_kernels_needs(kernels, ptxbench):
    (pair,) = json.loads(ptxbench("list", "scale", "--kernels", "kernels", "--json").out)
    assert pair["entry"] == "scale"
    arguments = {argument["name"]: argument for argument in pair["arguments"]}
    assert list(arguments) == ["x", "y", "a", "n"]
    assert [(argument["kind"], argument["dtype"]) for argument in arguments.values()] == [
        ("input", "f32"), ("output", "f32"), ("scalar", "f32"), ("scalar", "u32"),
    ]  # fmt: skip
    assert (arguments["x"]["shape"], arguments["x"]["integers"]) == ("lambda n: (n,)", [-8, 8])
    assert (arguments["a"]["value"], arguments["n"]["value"]) == (2, "lambda n: n")
    assert arguments["n"]["ptx"] == ".u32, .s32 or .b32"
    assert pair["launch"] == "lambda n: Launch(grid=ceil_div(n, BLOCK), block=BLOCK)"
    assert pair["reference"] == 'lambda x, a, n: {"y": a * x}'
    assert pair["tolerance"] == {"words": "exact", "source": "EXACT"}
    assert pair["check_sizes"] == [{"n": n} for n in (1, 127, 128, 129)]
    assert [launch["size"] for launch in pair["launches"]] == pair["check_sizes"] + pair["bench_sizes"]
    assert pair["launches"][3] == {
        "size": {"n": 129}, "grid": [2, 1, 1], "block": [128, 1, 1], "shared_bytes": 0,
        "cluster": None, "cooperative": False, "resident": False,
        "shapes": {"x": [129], "y": [129]}, "scalars": {"a": 2.0, "n": 129}, "tensor_maps": {},
        "flops": 129, "bytes": 1032, "written": 516,
    }  # fmt: skip
    assert pair["flags"] == {"fast": ["--use_fast_math"]}
    assert pair["text"] == PAIR
    assert {variant["name"]: variant["text"] for variant in pair["variants"]} == {
        "cuda": CUDA,
        "cuda@fast": CUDA,
        "ptx": PTX,
    }


def test_every_function_of_every_shipped_pair_is_found_in_its_text(ptxbench):
    """Functions behind names, and several on one line."""
    for pair in json.loads(ptxbench("list", "*", "--json").out):
        functions = [pair["launch"], pair["reference"]]
        functions += [argument["shape"] for argument in pair["arguments"] if argument["shape"] is not None]
        assert all(function in pair["text"] for function in functions), pair["name"]
        assert pair["tolerance"]["source"] in pair["text"]


def test_a_value_that_json_does_not_have_is_text_and_a_range_is_a_list(kernels, ptxbench):
    text = changed(PAIR, 'Scalar("a", f32, 2)', 'Scalar("a", f32, float("inf"), values=(1, 2))')
    (kernels / "pairs" / "scale.py").write_text(text)
    (pair,) = json.loads(ptxbench("list", "scale", "--kernels", "kernels", "--json").out)
    assert pair["launches"][0]["scalars"] == {"a": "inf", "n": 1}
    assert [argument["values"] for argument in pair["arguments"]] == [None, None, [1, 2], None]


def test_verdicts_come_from_the_predictions_and_the_runs_of_the_folders(kernels, ptxbench):
    text = changed(PAIR, "    args=[", "    prediction='ties',\n    args=[")
    (kernels / "pairs" / "scale.py").write_text(text)
    before = ptxbench("list", "--kernels", "kernels", "--verdicts")
    assert before.status == 0
    assert before.out.splitlines()[2].split() == ["scale", "sm_90", "ties", "expected", "-"]
    assert ptxbench("run", "--kernels", "kernels", "--backend", "emulator").status == 0
    (verdict,) = json.loads(ptxbench("list", "--kernels", "kernels", "--verdicts", "--json").out)["verdicts"]
    assert verdict["rests_on"] == ["expected", "counted", "executed"]
    assert (verdict["against"], verdict["size"], verdict["stale"]) == ("cuda", {"n": 1024}, False)
    (kernels / "ptx" / "scale.ptx").write_text(f"// changed\n{PTX}")
    (verdict,) = json.loads(ptxbench("list", "scale", "--kernels", "kernels", "--verdicts", "--json").out)["verdicts"]
    assert (verdict["rests_on"], verdict["stale"], verdict["run"]) == (["expected"], True, None)


@pytest.mark.parametrize(("option", "content"), [("results", "saved runs"), ("baselines", "baselines")])
def test_a_named_folder_of_runs_must_exist(ptxbench, option, content):
    """Else a mistyped one would look like a folder without runs."""
    ran = ptxbench("list", "--verdicts", f"--{option}", "missing")
    message = f"Error: There is no folder missing. Give --{option} the folder that holds {content}.\n"
    assert ran == (2, "", message)


def test_verdicts_name_a_baseline_that_cannot_be_read_and_a_pair_that_cannot(kernels, ptxbench):
    (kernels.parent / "baselines").mkdir()
    (kernels.parent / "baselines" / "gpu.json").write_text("{")
    (kernels / "pairs" / "zebra.py").write_text(PAIR)
    ran = ptxbench("list", "--kernels", "kernels", "--verdicts")
    assert ran.status == 2
    assert ran.out == "No verdict: the pairs have no prediction, and no recorded run is of them.\n"
    assert ran.err.startswith("Skipped 1 unreadable:\nbaselines/gpu.json:1: not JSON")
    assert "Error: Pair 'zebra' lacks " in ran.err
