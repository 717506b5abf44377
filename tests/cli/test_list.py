"""`ptxbench list`: pairs, variants, targets, sizes, and what each teaches."""

import json

from tests.folders import PAIR, PTX, changed


def test_a_pair_is_listed_with_all_that_it_offers(kernels, ptxbench):
    (kernels / "ptx" / "scale.wide.ptx").write_text(changed(PTX, "sm_75", "sm_90a"))
    assert ptxbench("list", "--kernels", "kernels") == (0, """\
scale
  does      y = a * x, one element a thread, a ragged last block.
  teaches   The smallest pair that can go wrong at its edge.
  cuda      cuda  cuda@fast
  ptx       ptx (sm_75)  ptx.wide (sm_90a)
  sizes     n=1024  n=4096
""", "")  # fmt: skip


def test_json_lists_the_same_and_nothing_else(kernels, ptxbench):
    ran = ptxbench("list", "--kernels", "kernels", "--json")
    (pair,) = json.loads(ran.out)
    assert pair["name"] == "scale"
    assert pair["bench_sizes"] == [{"n": 1024}, {"n": 4096}]
    assert [(each["name"], each["target"], each["flags"]) for each in pair["variants"]] == [
        ("cuda", None, []),
        ("cuda@fast", None, ["--use_fast_math"]),
        ("ptx", "sm_75", []),
    ]


def test_pairs_are_chosen_by_name_or_glob(ptxbench):
    assert ptxbench("list", "tri*", "transpose").out.count("teaches") == 2
    ran = ptxbench("list", "triadd")
    assert ran == (2, "", "Error: There is no pair 'triadd'. Did you mean 'triad'?\n")


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
