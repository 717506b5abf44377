"""CUDA C that covers the language, compiled for five architectures with and without fast math, agrees with NumPy.

The kernels and their references are in snippets/.
"""

import importlib
import itertools
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.emulator.parse import parse
from ptxbench.errors import PtxbenchError
from tests.emulator.snippets import ARCHITECTURES, CASES

pytestmark = pytest.mark.long

FOLDER = Path(__file__).with_name("snippets")
MODULES = sorted(path.stem for path in FOLDER.glob("*.cu"))
FLAGS = {"default": (), "fast": ("--use_fast_math",)}

for stem in MODULES:
    importlib.import_module(f"tests.emulator.snippets.{stem}")


def compiled(stem, arch, flags):
    path = FOLDER / f"{stem}.cu"
    output = toolchain.compiled(path.read_bytes(), path, arch, FLAGS[flags])
    assert "warning" not in output.log, output.log
    return output.ptx


def misses(actual, expected, case, fast):
    """The difference in one line; empty if there is none."""
    expected = np.asarray(expected).reshape(actual.shape)
    with np.errstate(invalid="ignore"):
        if actual.dtype.kind == "f":
            relative = case.fast if fast and case.fast is not None else case.relative
            bound = case.absolute + relative * abs(expected.astype(np.float64))
            error = abs(actual.astype(np.float64) - expected)
            same = (actual == expected) | (np.isnan(actual) & np.isnan(expected)) | (error <= bound)
        else:
            same = actual == expected.astype(actual.dtype)
    if same.all():
        return ""
    at = tuple(int(axis[0]) for axis in np.nonzero(~same))
    return f"{(~same).sum()} of {same.size} differ; [{at}] is {actual[at]!r}, expected {expected[at]!r}"


ENTRY = re.compile(r"^(?:\.visible |\.weak )*\.entry (\w+)\(", re.MULTILINE)
NOT_EXECUTED = re.compile(r"^(?:\s*\.loc .*|\s*//.*|\.target .*)\n", re.MULTILINE)


def alone(ptx, kernel):
    """The module without its other kernels: each is translated once, not once for every other."""
    kept, at = [], 0
    for entry in ENTRY.finditer(ptx):
        if entry[1] != kernel:
            kept.append(ptx[at : entry.start()])
            at = end_of_body(ptx, entry.end())
    return "".join([*kept, ptx[at:]])


def end_of_body(ptx, at):
    """Behind the brace that closes the body which starts after `at`."""
    depth = 0
    for brace in re.compile(r"[{}]").finditer(ptx, at):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    raise ValueError("a body without an end")


class Run(NamedTuple):
    """One kernel as NVRTC wrote it. Two that differ in nothing that is executed are the same run."""

    executed: str
    kernel: str
    fast: bool
    models: str
    """The architecture, if the emulator distinguishes it from others."""


OUTCOMES = {}
"""The error of each run: NVRTC writes the same instructions for most architectures."""


def outcome(ptx, arch, case, fast):
    """The error of the kernel, "" if there is none."""
    text = alone(ptx, case.kernel)
    run = Run(NOT_EXECUTED.sub("", text), case.kernel, fast and case.fast is not None, arch if "mma" in text else "")
    if run not in OUTCOMES:
        OUTCOMES[run] = execute(text, arch, case, fast)
    return OUTCOMES[run]


def execute(ptx, arch, case, fast):
    args, expected = case.arguments()
    try:
        execution = emulator.run(
            ptx, case.kernel, grid=case.grid, block=case.block, args=args, dynamic_shared_bytes=case.shared, arch=arch
        )
    except PtxbenchError as error:
        return f"{type(error).__name__}: {error}"
    if execution.printed != case.printed:
        return f"printed {execution.printed!r}"
    faults = {index: misses(args[index], values, case, fast) for index, values in expected.items()}
    return "; ".join(f"argument {index}: {difference}" for index, difference in faults.items() if difference)


@pytest.mark.parametrize("stem", MODULES)  # one worker of xdist a module, so that its runs are shared
def test_cuda_c_computes_what_its_reference_does(stem):
    wrong = []
    for arch, flags in itertools.product(ARCHITECTURES, FLAGS):
        ptx = compiled(stem, arch, flags)
        for case in CASES[stem]:
            if case.runs_on(arch) and (difference := outcome(ptx, arch, case, flags == "fast")):
                wrong.append(f"{case.kernel} for {arch} with {flags} flags: {difference}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("stem", MODULES)
def test_the_sanitizer_finds_nothing_in_the_kernels(stem):
    ptx = compiled(stem, "sm_90", "default")
    findings = {}
    for case in CASES[stem]:
        if case.runs_on("sm_90"):
            launch = {"grid": case.grid, "block": case.block, "dynamic_shared_bytes": case.shared}
            text = alone(ptx, case.kernel)
            execution = emulator.run(text, case.kernel, args=case.arguments()[0], sanitize=True, **launch)
            findings[case.kernel] = [finding.message for finding in execution.findings]
    assert {kernel: messages for kernel, messages in findings.items() if messages} == {}


@pytest.mark.parametrize("stem", MODULES)
def test_every_kernel_has_a_reference(stem):
    kernels = set(parse(compiled(stem, "sm_120", "default")).entries)
    assert {case.kernel for case in CASES[stem]} == kernels


def test_there_are_enough_kernels():
    assert sum(map(len, CASES.values())) >= 40
