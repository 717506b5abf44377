"""Every pair on the emulator: agreement at every check size, broken kernels found, references, tolerances, sizes."""

import functools
import math
import re

import numpy as np
import pytest

from ptxbench import verify
from ptxbench.arrays import is_float
from ptxbench.bugs import equivalent
from ptxbench.device_shape import DeviceShape
from ptxbench.discovery import load
from ptxbench.languages import REQUIRED, has_own_threads
from ptxbench.pair import InOut, Out
from tests.check import judging
from tests.kernels.harness import (
    KERNELS,
    PAIRS,
    PTX,
    emulated_arch,
    executed,
    fact,
    facts,
    file_name,
    is_found,
    judged,
    must_fail,
    own_target,
    owner,
    ptx_of,
    source_of,
)
from tests.quick import first_of_each


@pytest.mark.parametrize("lowest", [90, pytest.param(100, marks=pytest.mark.long)])  # NVRTC has a compiler of each
@pytest.mark.parametrize("name", PAIRS)
def test_every_variant_agrees_with_the_reference_at_every_check_size_and_both_sides_bit_for_bit(name, lowest):
    """reduce_sum too: its order of additions is the same, as long as CTAs add to the total in the same order."""
    pair = PAIRS[name].pair
    arch = own_target(ptx_of(name).path) or f"sm_{lowest}"
    sources = PAIRS[name].sources if lowest == 90 else PAIRS[name].default_sources
    wrong = {source.variant: [] for source in sources if not has_own_threads(source.language)}  # these: test_tile.py
    for size in pair.check_sizes:
        for integers in {False, pair.exact_on_integers}:
            sides = []
            for source in sources:
                if source.variant not in wrong:
                    continue
                outputs, verdict = executed(name, source, arch, size, integers=integers)
                wrong[source.variant] += [verdict] if verdict else []
                if source.language in REQUIRED and source.variant not in pair.must_fail:  # Python adds in another order
                    sides.append({output: outputs[output].tobytes() for output in pair.outputs})
            if fact(name, "SAME_BITS", True):
                assert all(side == sides[0] for side in sides), (size, integers)
    assert {variant for variant, verdicts in wrong.items() if verdicts} == wrong.keys() & {*pair.must_fail}, wrong


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_has_a_purpose_and_an_expectation(name):
    pair = PAIRS[name].pair
    assert pair.purpose.endswith((".", "?")), f"{name}: its purpose must be a sentence."
    assert pair.expectation.endswith("."), f"{name}: its expectation must end in a full stop."


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_predicts_a_verdict_except_the_study_that_compares_no_languages(name):
    assert bool(PAIRS[name].pair.prediction) == (name != "sm_partition"), f"{name}: see `prediction` in docs/pairs.md"


# ---- broken kernels

MUTANTS = [(KERNELS / "ptx" / file, right, wrong) for name in PAIRS for file, right, wrong in facts(name).MUTANTS]


@pytest.mark.parametrize("file", [file for file in PTX if not must_fail(file)], ids=file_name)
def test_every_ptx_file_is_broken_in_three_ways_at_least(file):
    assert sum(path == file for path, _, _ in MUTANTS) >= 3


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    first_of_each(lambda mutant: mutant[0], MUTANTS),
    ids=lambda value: getattr(value, "name", value).strip()[:40],
)
def test_the_check_sizes_find_a_broken_kernel(file, right, wrong, tmp_path):
    text = re.sub(" +", " ", file.read_text())  # without the alignment
    assert right in text, f"{file.name} has no '{right}'. Write one blank where the file aligns columns."
    broken = text.replace(right, wrong, 1)
    assert is_found(owner(file), file, broken, tmp_path)
    # Here and not with the tests of the judge, because here the emulator has the broken kernel.
    assert judgement(owner(file), file, broken) == ("rejected", "results")


def judgement(name, file, text):
    """The verdict of `ptxbench check` on `text` in place of `file`, and the stage at which it ended."""
    variant = source_of(file).variant
    judged = judging.judged(
        file,
        name,
        text.encode(),
        arch=emulated_arch(name),
        variant=variant if variant in PAIRS[name].pair.launches else "ptx",  # one suite for all that are launched alike
        fuel=judging.BROKEN_FUEL,
    )
    return judged.verdict, judged.ended_at


WEAKER = {"lt": "le", "ge": "gt", "eq": "ne", "ne": "eq"}
COMPARISON = re.compile(r"setp\.(lt|ge|eq|ne)")
COMPARISONS = [
    pytest.param(name, source.path, match.start(1), id=f"{source.path.name}:{text[: match.start()].count(chr(10)) + 1}")
    for name, loaded in PAIRS.items()
    for source in loaded.sources
    if source.variant == "ptx"  # further variants are the same text but for what they are about
    for text in [source.path.read_text()]
    for match in COMPARISON.finditer(text)
]


EQUIVALENT = functools.cache(functools.partial(equivalent.read, KERNELS))
"""The entries of equivalent.toml."""


def is_equivalent(name, text, at):
    """Whether equivalent.toml says why the comparison may as well be the other one; its audit proves it."""
    line = re.sub(" +", " ", text[text.rfind("\n", 0, at) + 1 : text.find(";", at) + 1]).strip()
    edit = f"{text[at : at + 2]} to {WEAKER[text[at : at + 2]]}"
    own = [entry for entry in EQUIVALENT() if (entry.pair, entry.language) == (name, "ptx")]
    return any(equivalent.matches_pattern(entry.code, line) and edit in entry.edits for entry in own)


@pytest.mark.long
@pytest.mark.parametrize(("name", "file", "at"), COMPARISONS)
def test_the_check_sizes_or_the_sanitizer_find_each_comparison_that_is_off_by_one(name, file, at, tmp_path):
    text = file.read_text()
    broken = text[:at] + WEAKER[text[at : at + 2]] + text[at + 2 :]
    assert (
        is_equivalent(name, text, at)
        or is_found(name, file, broken, tmp_path)
        or judgement(name, file, broken) == ("rejected", "sanitizer")
    )


# ---- references


@pytest.mark.parametrize("name", PAIRS)
def test_the_reference_agrees_with_plain_python(name):
    slow, size = facts(name).REFERENCE
    pair = PAIRS[name].pair
    inputs = verify.widen(pair, pair.make_arguments(size, seed=7))
    expected = slow(**{name: value.tolist() for name, value in inputs.items()})
    for output, value in pair.reference(**inputs).items():
        assert value == pytest.approx(np.array(expected[output]), rel=1e-14)
        assert np.count_nonzero(value)


# ---- tolerances


def zero(array, bounds):
    array[...] = 0


def move_one(array, bounds):
    """Moves the last element, which a wrong partial tile would spoil, by ten tolerances or by the smallest step."""
    last = np.unravel_index(array.size - 1, array.shape)
    if array.dtype.kind in "iu":
        array[last] ^= 1
    else:
        step = max(10 * bounds[last], float(np.spacing(np.abs(array[last]))))
        array[last] = np.asarray(float(array[last]) + step, array.dtype)


def spoil_one(array, bounds):
    array.reshape(-1)[-1] = np.nan


def leave(array, bounds):
    pass


def writes_floats(pair):
    return all(is_float(arg.dtype) for arg in pair.args if isinstance(arg, Out | InOut))


CHECKS = [(name, size) for name in PAIRS for size in PAIRS[name].pair.check_sizes]


@pytest.mark.parametrize(("name", "size"), CHECKS, ids=str)
def test_a_tolerance_accepts_the_reference_and_rejects_zeros_and_one_element_that_moved(name, size):
    assert judged(name, size, leave) is None
    assert judged(name, size, zero)
    assert judged(name, size, move_one)


@pytest.mark.parametrize("name", [name for name in PAIRS if writes_floats(PAIRS[name].pair)])
def test_a_tolerance_rejects_a_nan(name):
    assert judged(name, PAIRS[name].pair.check_sizes[-1], spoil_one)


# ---- sizes


@pytest.mark.parametrize("name", PAIRS)
def test_check_sizes_reach_several_ctas_and_stay_small(name):
    pair = PAIRS[name].pair
    launches = [pair.launch(**size) for size in pair.check_sizes]
    assert max(math.prod(launch.grid_xyz) for launch in launches) > 1
    for launch in launches:
        assert math.prod(launch.grid_xyz) * math.prod(launch.block_xyz) <= 1 << 16


H100 = DeviceShape()
T4 = DeviceShape(sms=40, l2_bytes=4 << 20, threads_per_sm=1024, memory_bytes=15 << 30)
RTX_5090 = DeviceShape(sms=170, l2_bytes=96 << 20, threads_per_sm=1536, memory_bytes=32 << 30)


@pytest.mark.parametrize("device", [H100, T4, RTX_5090])
def test_every_pair_has_sizes_on_every_device_that_begin_with_the_smallest(device):
    for name in PAIRS:
        pair = load(KERNELS, name, device).pair  # checks each size
        work = [pair.compulsory_bytes(size) for size in pair.bench_sizes]
        assert work[0] == min(work), name


@pytest.mark.parametrize("name", [name for name in PAIRS if PAIRS[name].pair.exact_on_integers])
def test_integers_of_the_check_sizes_are_exact_in_any_order(name):
    """No partial sum of any order exceeds the sum of |terms|, which is the reference of the absolute values.

    f32 and the accumulators of products hold every whole number up to 2**24. An InOut of bf16 is its own accumulator,
    which holds them up to 2**8; an Out is rounded once, from the sum.
    """
    pair = PAIRS[name].pair
    for size in pair.check_sizes:
        inputs = verify.widen(pair, pair.make_arguments(size, seed=1, integers=True))
        for output, value in pair.reference(**{key: np.abs(values) for key, values in inputs.items()}).items():
            arg = next(arg for arg in pair.args if arg.name == output)
            sums_in_place = isinstance(arg, InOut) and arg.dtype.itemsize <= 2
            assert float(np.max(value)) < 2 ** (8 if sums_in_place else np.finfo(np.float32).nmant + 1)
