"""The rows in Python: what each loses against the CUDA C of its pair, as the pages say."""

import dataclasses
import re

import pytest

from ptxbench import emulator
from ptxbench.listing.difference import compare
from ptxbench.listing.explanation import ExplainedPair, explain
from ptxbench.listing.explanation.python import DOUBLES, INTEGERS, NEGATIVE, READ_ONLY, amounts
from ptxbench.listing.text import make
from ptxbench.metrics import BY_NAME
from ptxbench.toolchain import lines, numba_cuda
from tests.kernels.harness import KERNELS, PAIRS, build, count, executed
from tools.counted_pages import Block, counted

FILES = sorted(KERNELS.glob("numba/*.py"))
NAMES = [path.stem for path in FILES]


def source(name, variant="numba"):
    return next(source for source in PAIRS[name].sources if source.variant == variant)


def listed(name, variant):
    built = build(source(name, variant), "sm_90", "toolkit")
    return make(built, built.source.read_bytes(), lines.with_lines(built))


def test_six_pairs_have_a_row_in_python_that_runs_by_request():
    assert NAMES == ["histogram256", "reduce_sum", "rmsnorm", "softmax", "transpose", "triad"]
    assert all("numba" in PAIRS[name].pair.by_request for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_python_has_64_bit_indices_tests_for_negative_ones_and_no_wide_or_read_only_loads(name):
    python, cuda = listed(name, "numba"), listed(name, "cuda")
    of_python, of_cuda = amounts(python), amounts(cuda)
    assert of_python[INTEGERS] > 3 * of_cuda[INTEGERS]
    assert of_python[NEGATIVE] > 0 == of_cuda[NEGATIVE]
    assert of_cuda[READ_ONLY] > 0 == of_python[READ_ONLY]
    assert of_python[DOUBLES] == 0
    assert count(cuda.report, "LDG.128")[0] > 0 == count(python.report, "LDG.128", "LDG.64")[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_line_of_machine_code_has_its_line_of_python(name):
    listing = listed(name, "numba")
    text = source(name).path.read_text().splitlines()
    named = {listing.line_of(instruction) for instruction in listing.sass} - {None}
    assert named
    assert all(text[line - 1].strip() for line in named)
    assert sum(listing.line_of(instruction) is None for instruction in listing.sass) < 0.35 * len(listing.sass)


# size, columns, and for each metric what the row has in multiples of `against`
LOSSES = [
    ("triad", "n=65536", "cuda", {"sass_executed": 7, "ptx_global_load_requests": 4, "ptx_global_sectors": 1}),
    ("reduce_sum", "n=65536,ctas=16", "cuda",
     {"sass_executed": 6, "ptx_global_load_requests": 4, "ptx_global_sectors": 1}),
    ("transpose", "rows=64,columns=64", "cuda.padded",
     {"sass_executed": 4, "ptx_global_load_requests": 1, "ptx_global_sectors": 1}),
    ("histogram256", "n=65536,percent=0,ctas=4", "cuda",
     {"sass_executed": 7, "ptx_global_load_requests": 16, "ptx_global_sectors": 1, "ptx_atomic_shared_requests": 1}),
    ("softmax", "rows=2,columns=8192", "cuda.passes",
     {"sass_executed": 2, "ptx_global_load_requests": 1, "ptx_global_sectors": 1}),
    ("rmsnorm", "rows=2,columns=8192", "cuda.divides",
     {"sass_executed": 2, "ptx_global_load_requests": 1, "ptx_global_sectors": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "size", "against", "losses"), LOSSES, ids=[row[0] for row in LOSSES])
def test_python_executes_more_for_the_same_bytes(name, size, against, losses):
    cell = counted(Block(name, (against, "numba"), "sm_90", tuple(losses), size))
    for metric, times in losses.items():
        before, after = (BY_NAME[metric].of(cell, variant) for variant in (against, "numba"))
        if metric == "sass_executed":
            assert after > times * before
        else:
            assert after == times * before, metric


# What the files write so that nothing becomes a double, and what most would write.
DOUBLE = [
    ("reduce_sum", "value = float32(0)", "value = 0.0"),
    ("softmax", "largest = float32(-math.inf)", "largest = -math.inf"),
    ("softmax", "float32(1) /", "1 /"),
    ("rmsnorm", "/ float32(columns)", "/ columns"),
    ("rmsnorm", "float32(1) /", "1 /"),
]


@pytest.mark.parametrize(("name", "written", "usual"), DOUBLE)
def test_a_constant_without_float32_makes_doubles(name, written, usual):
    row = source(name)
    text = row.path.read_text()
    assert written in text
    for changed, expected in ((text, False), (text.replace(written, usual), True)):
        ptx = numba_cuda.translate(changed.encode(), row.path.name, row.entry, "sm_90", row.signature, {}).ptx
        assert bool(re.search(r"\.f64\b", ptx)) == expected


def test_show_names_doubles(tmp_path):
    row = source("reduce_sum")
    path = tmp_path / row.path.name
    path.write_text(row.path.read_text().replace("value = float32(0)", "value = 0.0"))
    built = build(dataclasses.replace(row, path=path), "sm_90", "toolkit")
    python = make(built, path.read_bytes(), lines.with_lines(built))
    texts = {
        finding.kind: finding.text for finding in explain(ExplainedPair(compare(listed("reduce_sum", "cuda"), python)))
    }
    assert re.fullmatch(
        r"numba has \d\d PTX instructions in double precision, cuda 0\. In Python 0\.5 is a double, and so is a "
        r"quotient of integers: float32\(0\.5\) is not\.",
        texts[DOUBLES],
    )
    assert DOUBLES not in {finding.kind for finding in explain(ExplainedPair(compare(python, python)))}


def sanitized(name, ptx):
    """What the sanitizer finds in a kernel of the pair, at a size with a ragged end."""
    pair = PAIRS[name].pair
    size = pair.check_sizes[2]
    launch = pair.launch(**size)
    arguments = pair.make_arguments(size, seed=1)
    extent = {"grid": launch.grid_xyz, "block": launch.block_xyz}
    return emulator.run(ptx, args=[*arguments.values()], sanitize=True, **extent).findings


# What a check size must show, and what the sanitizer must.
BROKEN = [
    ("triad", "s * c[i]", "c[i]"),
    ("reduce_sum", "(16, 8, 4, 2, 1)", "(16, 8, 4, 2)"),
    ("transpose", "tile[lane, k]", "tile[k, lane]"),
    ("histogram256", "counts[thread] = 0", "pass"),
    ("softmax", "range(thread, columns, BLOCK)", "range(thread, columns - 1, BLOCK)"),
    ("rmsnorm", "mean + eps", "mean - eps"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), BROKEN, ids=[row[0] for row in BROKEN])
def test_the_check_sizes_find_a_broken_kernel_in_python(name, right, wrong, tmp_path):
    row = source(name)
    path = tmp_path / row.path.name
    text = row.path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))
    broken = dataclasses.replace(row, path=path)
    assert any(executed(name, broken, "sm_90", size)[1] for size in PAIRS[name].pair.check_sizes)


@pytest.mark.parametrize("name", ["transpose", "histogram256"])
def test_the_sanitizer_finds_a_missing_barrier_in_python(name):
    row = source(name)
    text = row.path.read_text().replace("cuda.syncthreads()", "pass")
    ptx = numba_cuda.translate(text.encode(), row.path.name, row.entry, "sm_90", row.signature, {}).ptx
    assert any("race" in finding.kind for finding in sanitized(name, ptx))
