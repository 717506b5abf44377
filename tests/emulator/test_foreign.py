"""Kernels of other generators run unchanged, match NumPy, and cause no finding."""

import importlib
import re
from pathlib import Path

import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault, PtxbenchError
from tests.emulator.foreign import ARCHITECTURES, CASES, run

pytestmark = pytest.mark.long

FOLDER = Path(__file__).with_name("foreign")
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def cases_of(stem):
    """The cases of a module. It is imported here, because numba-cuda and tinygrad take most of a second to import."""
    importlib.import_module(f"tests.emulator.foreign.{stem}")
    return CASES[stem]


SANITISED = ("sm_75", "sm_90")
"""Architectures for which they are launched under the sanitizer too: without and with asynchronous copies."""


def failures(case):
    """The errors of a case, plain and sanitised, one line each."""
    wrong = []
    for sanitize in (False, True) if case.arch in SANITISED else (False,):
        try:
            faults = run(case, sanitize=sanitize)
        except PtxbenchError as error:
            faults = [f"{type(error).__name__}: {error}"]
        wrong += [f"{case.name} for {case.arch}{', sanitised' if sanitize else ''}: {fault}" for fault in faults]
    return wrong


@pytest.mark.parametrize("stem", MODULES)  # a test a module, so that its kernels are compiled in one process
def test_generated_kernels_match_numpy_without_a_finding(stem):
    wrong = [failure for case in cases_of(stem) for failure in failures(case)]
    assert not wrong, "\n".join(wrong)


def test_there_are_enough_generated_kernels():
    cases = [(stem, case) for stem in MODULES for case in cases_of(stem)]
    assert len({(stem, case.name) for stem, case in cases}) >= 60
    for arch in ARCHITECTURES:
        assert sum(case.arch == arch for _, case in cases) >= 20, arch


def test_the_product_of_pyptx_as_written_exits_too_early_and_lacks_fences():
    from tests.emulator.foreign import pyptx_hopper

    def launched(**options):
        [launch] = pyptx_hopper.gemm(as_written=True).launches
        shape = {"grid": launch.grid, "block": launch.block, "dynamic_shared_bytes": launch.shared}
        return emulator.run(launch.ptx, args=launch.args, arch="sm_90a", **shape, **options)

    with pytest.raises(
        MemoryFault, match=r"mbarrier\.arrive\.shared::cluster.* rank 0 in the cluster, which has exited"
    ):
        launched()
    messages = [str(finding) for finding in launched(sanitize=True).findings]
    for what in (
        r"global\.shared::cta.* which stmatrix.* wrote, without a proxy fence",
        r"exits at line .*, and nothing orders",
    ):
        assert any(re.search(what, fault) for fault in messages), what
