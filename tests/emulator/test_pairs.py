"""The shipped kernels, as PTX and as NVRTC compiles them: bytes like the oracle's, and the same in every run."""

import functools
import hashlib
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ptxbench import cache, emulator
from ptxbench.emulator import syntax, types
from ptxbench.emulator.parse import parsed
from ptxbench.tensor_map import TensorMap
from tests.emulator import exact, oracle
from tests.emulator.oracle import Counters, interpret, lacking
from tests.emulator.pairs import SIDES, launches, load, marked, ptx, source


def run(text, options, arguments, **more):
    """(bytes of every array after the launch, the execution) on copies of the arguments."""
    copies = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments.values()]
    execution = emulator.run(text, args=copies, names=[*arguments], **options, **more)
    return [argument.tobytes() for argument in copies if isinstance(argument, np.ndarray)], execution


BY_DEFAULT = [
    side
    for side in SIDES
    if side[1] in ("cuda", "ptx") or (source(*side) in load(side[0]).default_sources and side[1].startswith("ptx"))
]
"""Each pair's two kernels, and further PTX that a run takes by default."""

WITH_MAPS = {name for name, _ in SIDES if any(isinstance(arg, TensorMap) for arg in load(name).pair.args)}
EXCUSED: dict[tuple[str, str], str] = {
    **{side: "the interpreter has no tensor maps" for side in SIDES if side[0] in WITH_MAPS},
    **{
        side: "the interpreter has no clusters"
        for side in SIDES
        if side[0].startswith("cluster_rmsnorm") and side[1] != "cuda.two_pass"
    },
}
"""Sides that the interpreter need not run: (pair, variant) -> the missing feature."""

MOST_WARP_INSTRUCTIONS = 30_000
"""Larger check sizes run only on the emulator, except the smallest of a side: the interpreter would take seconds."""


def expectation(text, options, arguments):
    """(bytes of every array after the launch, the counters) by the interpreter, which may have run in an earlier test
    run: the cache has the result under all that it depends on."""

    def launched():
        counters = Counters()
        interpret(text, None, args=arguments, counters=counters, **options)
        return pickle.dumps(
            ([argument.tobytes() for argument in arguments if isinstance(argument, np.ndarray)], counters)
        )

    launch = hashlib.sha256(pickle.dumps((options, arguments))).hexdigest()
    read = repr(parsed(text))  # the parts of the emulator that the interpreter uses
    return pickle.loads(cache.remember(("interpreter", interpreters_version(), read, launch), launched))


@functools.cache
def interpreters_version():
    """A hash of the interpreter's source, with all that it imports."""
    digest = hashlib.sha256(np.__version__.encode())
    own = sorted(Path(oracle.__file__).parent.glob("*.py"))
    for path in (*own, *(Path(module.__file__) for module in (exact, syntax, types))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def interpreted(name, variant):
    """Run a side at its check sizes by both; return the differences at each size."""
    text = ptx(name, variant)
    if missing := lacking(text):
        return [f"the interpreter lacks: {'; '.join(missing)}. Add a rule to tests/emulator/oracle/"]
    faults = []
    emulated = [(options, arguments, *run(text, options, arguments)) for options, arguments in launches(name, variant)]
    least = min(execution.counters["ptx_warp_instructions"] for *_, execution in emulated)
    for options, arguments, actual, execution in emulated:
        if execution.counters["ptx_warp_instructions"] > max(MOST_WARP_INSTRUCTIONS, least):
            continue
        expected, counters = expectation(text, options, list(arguments.values()))
        if actual != expected:
            faults.append(f"{options}: bytes differ")
        faults += [f"{options}: {line}" for line in counters.differences(execution)]
    return faults


TOO_LONG = {"warp_special"}
"""Pairs whose warps wait for each other in loops, which the interpreter repeats for minutes."""


@pytest.mark.parametrize(("name", "variant"), marked([side for side in BY_DEFAULT if side[0] not in TOO_LONG]))
def test_bytes_and_counters_match_an_interpreter_that_shares_only_the_parser(name, variant):
    try:
        faults = interpreted(name, variant)
    except Exception as error:
        if (name, variant) not in EXCUSED:
            raise
        faults = [repr(error)]
    if (name, variant) in EXCUSED:
        assert faults, f"{name} {variant} agrees: take it out of EXCUSED"
    else:
        assert not faults, "\n".join(faults)


def test_only_existing_sides_are_excused():
    assert EXCUSED.keys() <= set(SIDES)
    assert all(EXCUSED.values())


@pytest.mark.parametrize(("name", "variant"), marked(BY_DEFAULT, step=4))
def test_bytes_and_counters_are_the_same_on_every_run_and_any_number_of_threads(name, variant):
    """And the lines of each launch add up to its totals."""
    text = ptx(name, variant)
    for options, arguments in launches(name, variant):
        first, once = run(text, options, arguments, threads=1)
        require_sums(text, once)
        for threads in (1, 2, 3):
            again, execution = run(text, options, arguments, threads=threads)
            assert again == first
            assert execution.counters == once.counters
            assert execution.by_line == once.by_line


@pytest.mark.parametrize(("name", "variant"), marked([side for side in SIDES if side not in BY_DEFAULT]))
def test_lines_add_up_to_totals(name, variant):
    """In the test above, those of the other sides."""
    text = ptx(name, variant)
    for options, arguments in launches(name, variant):
        _, execution = run(text, options, arguments)
        require_sums(text, execution)


def require_sums(text, execution):
    """The counters of the lines add up to those of the launch."""
    lines = text.count("\n") + 1
    summed = Counter()
    for line, counts in execution.by_line.items():
        assert 1 <= line <= lines
        summed.update(counts)
    additive = {name: value for name, value in execution.counters.items() if name in summed or not value}
    assert {name: summed[name] for name in additive} == additive
    left = execution.counters.keys() - additive.keys()
    assert left <= {
        "ptx_barrier_phases",
        "ptx_mbarrier_phases",
        "ptx_active_lane_share",
        "ptx_global_load_sectors_per_request",
        "ptx_global_store_sectors_per_request",
    }
