"""The shipped kernels, as PTX and as NVRTC compiles them: bytes against the oracle, and nothing that ever varies."""

from collections import Counter

import numpy as np
import pytest

from ptxbench import emulator
from tests.emulator.oracle import interpret
from tests.emulator.pairs import SIDES, launches, ptx


def run(text, options, arguments, **more):
    """(bytes of every array after the launch, the execution) on copies of the arguments."""
    copies = [each.copy() if isinstance(each, np.ndarray) else each for each in arguments.values()]
    execution = emulator.run(text, args=copies, **options, **more)
    return [each.tobytes() for each in copies if isinstance(each, np.ndarray)], execution


INTERPRETED = [
    (name, variant)
    for name, variant in SIDES
    if name in ("histogram256", "reduce_sum", "reduce_sum.s32", "softmax", "transpose", "triad")
    or (name == "bigint_mul256" and variant.startswith("ptx"))
]
"""Sides whose instructions the interpreter knows."""


@pytest.mark.parametrize(("name", "variant"), INTERPRETED)
def test_bytes_are_those_of_an_interpreter_that_shares_only_the_parser(name, variant):
    text = ptx(name, variant)
    for options, arguments in launches(name):
        expected = [each.copy() if isinstance(each, np.ndarray) else each for each in arguments.values()]
        interpret(text, None, args=expected, **options)
        actual, _ = run(text, options, arguments)
        assert actual == [each.tobytes() for each in expected if isinstance(each, np.ndarray)], options


@pytest.mark.parametrize(("name", "variant"), SIDES)
def test_bytes_and_counters_are_the_same_on_every_run_and_any_number_of_threads(name, variant):
    text = ptx(name, variant)
    for options, arguments in launches(name):
        first, once = run(text, options, arguments, threads=1)
        for threads in (1, 2, 3):
            again, execution = run(text, options, arguments, threads=threads)
            assert again == first
            assert execution.counters == once.counters
            assert execution.by_line == once.by_line


@pytest.mark.parametrize(("name", "variant"), SIDES)
def test_lines_add_up_to_totals(name, variant):
    text = ptx(name, variant)
    lines = text.count("\n") + 1
    for options, arguments in launches(name):
        _, execution = run(text, options, arguments)
        summed = Counter()
        for line, counts in execution.by_line.items():
            assert 1 <= line <= lines
            summed.update(counts)
        additive = {name: value for name, value in execution.counters.items() if name in summed or not value}
        assert {name: summed[name] for name in additive} == additive
        left = execution.counters.keys() - additive.keys()
        assert left <= {
            "ptx_barrier_phases",
            "ptx_active_lane_share",
            "ptx_global_load_sectors_per_request",
            "ptx_global_store_sectors_per_request",
        }
