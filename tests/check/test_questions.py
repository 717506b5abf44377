"""What candidates are asked: sizes and data that they cannot know, and which of it counts."""

import random

import numpy as np
import pytest

from ptxbench import discovery
from ptxbench.check.exam import HIDDEN, Exam
from ptxbench.check.launching import How, Kernel, launch
from ptxbench.check.sizes import hidden_sizes, moved
from ptxbench.check.values import edged, float_edges, shared
from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, bf16, f16, f32, s8, u32
from tests.check.judging import KERNELS, exam

NAMES = discovery.find_pairs(KERNELS)


def pair_of(*inputs, reference=lambda **_: {}):
    return Pair(
        teaches="", args=[*inputs, Out("y", f32, lambda n: (n,)), Scalar("n", u32, lambda n: n)],
        launch=lambda n: Launch(1, 32), reference=reference, tolerance=EXACT,
        check_sizes=[{"n": 32}, {"n": 64}, {"n": 96}], bench_sizes=[{"n": 1024}], flops=lambda n: n,
    )  # fmt: skip


# ---- sizes


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_pair_has_hidden_sizes_and_they_cost_no_more_than_its_own(name):
    pair = exam(name).pair
    found = [size for size, _ in zip(hidden_sizes(pair, random.Random(3)), range(HIDDEN), strict=False)]
    assert len(found) == HIDDEN
    most = max(map(pair.compulsory_bytes, pair.check_sizes))
    for size in found:
        assert size not in [*pair.check_sizes, *pair.bench_sizes]
        assert pair.compulsory_bytes(size) <= most


def test_a_dimension_keeps_what_all_its_values_have_in_common():
    pair = pair_of(In("x", f32, lambda n: (n,)))
    sizes = [size["n"] for size in hidden_sizes(pair, random.Random(1))]
    assert sizes == []  # of the multiples of 32 up to 96 there is no other
    odd = [moved(96, 32, random.Random(seed)) for seed in range(50)]
    assert {each % 32 for each in odd} == {0}
    assert len(set(odd)) >= 3


def test_sizes_depend_on_the_seed_alone():
    pair = exam("softmax").pair

    def first(seed):
        return [size for size, _ in zip(hidden_sizes(pair, random.Random(seed)), range(4), strict=False)]

    assert first(5) == first(5)
    assert first(5) != first(6)


def test_a_size_that_the_pairs_functions_refuse_is_left_out():
    pair = exam("q4q8_gemv").pair
    assert all(size["columns"] % 32 == 0 for size in hidden_sizes(pair, random.Random(2)))


# ---- data


@pytest.mark.parametrize("dtype", [f16, bf16, f32], ids=str)
def test_the_edges_of_a_type_are_its_own(dtype):
    edges = {kind: np.array(values).astype(dtype) for kind, values in float_edges(dtype).items()}
    assert np.isnan(edges["NaN"]).all()
    assert np.isinf(edges["infinities"]).all()
    assert np.isfinite(edges["huge values"].astype(np.float64)).all()
    subnormal = edges["subnormals"].astype(np.float64)
    assert (subnormal != 0).all()
    assert (np.abs(subnormal) < 2.0 ** (-14 if dtype == f16 else -126)).all()
    assert np.signbit(edges["signed zeros"].astype(np.float64)).tolist() == [False, True]


def test_every_input_gets_edges_at_places_of_its_own_and_at_common_ones():
    pair = pair_of(In("x", f32, lambda n: (n,)), In("z", f32, lambda n: (n,)))
    arguments = dict(edged(pair, {"n": 96}, 1))["NaN"]
    x, z = (np.isnan(arguments[name]) for name in ("x", "z"))
    assert (x & z).any()
    assert (x & ~z).any()
    assert (z & ~x).any()
    assert (~x & ~z).sum() > 48


def test_whole_numbers_that_the_pair_draws_itself_stay_as_they_are():
    indices = In("x", u32, lambda n: (n,), values=lambda rng, shape, n: np.arange(n))
    assert dict(edged(pair_of(indices), {"n": 32}, 1)) == {}
    plain = dict(edged(pair_of(In("x", s8, lambda n: (n,))), {"n": 96}, 1))
    assert {-128, 127, 0} <= set(plain["least and greatest integers"]["x"].tolist())


def test_two_inputs_of_one_kind_can_be_one_array_and_an_output_never():
    both = In("x", f32, lambda n: (n,)), In("z", f32, lambda n: (2, n // 2))
    arguments, aliases = shared(pair_of(*both), {"n": 32}, 1)
    assert aliases == {"z": "x"}
    assert np.shares_memory(arguments["x"], arguments["z"])
    assert arguments["z"].shape == (2, 16)
    assert shared(pair_of(both[0]), {"n": 32}, 1) is None
    assert shared(pair_of(both[0], In("z", f16, lambda n: (n,))), {"n": 32}, 1) is None


def test_the_data_of_a_seed_are_the_same_every_time_and_those_of_another_are_not():
    one, again, other = (Exam(exam("triad").found, "sm_90", seed) for seed in (8, 8, 9))
    for first, second, third in zip(one.check, again.check, other.check, strict=True):
        assert first.arguments["b"].tobytes() == second.arguments["b"].tobytes()
        assert first.arguments["b"].tobytes() != third.arguments["b"].tobytes()


# ---- what counts


def test_what_a_kernel_of_the_pair_fails_too_counts_for_nothing():
    softmax = exam("softmax")
    excused = {case.label.partition("with ")[2]: softmax.excuse(case) for case in softmax.special}
    assert excused["NaN"] is None
    assert excused["signed zeros"] is None
    assert set(excused.values()) - {None} <= {"cuda.exp2", "cuda.exp2@fast", "ptx", "cuda@fast", "cuda"}
    assert all(softmax.excuse(case) is None for case in softmax.check)


def test_a_fault_is_not_excused_by_a_kernel_that_is_merely_wrong():
    softmax = exam("softmax")
    beyond = [case for case in softmax.special if softmax.excuse(case)]
    assert beyond
    assert [softmax.excuse(case, fault=True) for case in beyond] == [None] * len(beyond)


def test_a_case_is_asked_once_of_the_pairs_kernels(monkeypatch):
    triad = Exam(exam("triad").found, "sm_90", 3)
    asked = []
    assert set(triad.examiners) == {"cuda", "ptx"}
    monkeypatch.setattr(triad, "fails", lambda kernel, case, fault: asked.append(kernel) or True)
    case = triad.check[0]
    assert [triad.excuse(case), triad.excuse(case)] == ["cuda", "cuda"]
    assert len(asked) == 1


def test_the_poison_of_outputs_and_the_places_of_arrays_can_be_chosen():
    triad = exam("triad")
    case = triad.check[0]
    kernel = triad.kernels["ptx"]
    nothing = Kernel(kernel.ptx.replace("{\n", "{\n    ret;\n", 1), "triad", "sm_90")
    left = launch(nothing, triad.pair, case, How(poison=0x5A, placement=3))
    assert set(left.outputs["a"].tobytes()) == {0x5A}
    assert triad.unwritten(left, case, 0x5A) == "a"
    assert triad.unwritten(left, case, 0xFF) is None
