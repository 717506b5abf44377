"""Judges candidates in this process: the outcome as "STAGE CODE", and one suite for all candidates of a pair."""

import functools
import tempfile
from pathlib import Path

from ptxbench import discovery
from ptxbench.bugs.audit import with_launch_of
from ptxbench.check.findings import STAGES
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from tests.emulator.pairs import emulated_arch

KERNELS = discovery.default_kernels()
SEED = 20260107
BROKEN_FUEL = 1 << 16
"""Loop iterations of a warp of a broken kernel, which may wait forever; no check size asks for a tenth of it."""


@functools.cache
def suite(name, seed=SEED, arch=None, variant="ptx"):
    """The suite of a pair on `arch`, by default sm_90 or the target of its own PTX; launched as `variant` is."""
    return CheckSuite(with_launch_of(discovery.load(KERNELS, name), variant), arch or emulated_arch(name), seed)


def judged(path, name, content=None, seed=SEED, stages=tuple(STAGES), arch=None, variant="ptx", **settings):
    """The judgement on a file, or on `content` under its name, against a shipped pair; by `stages` alone."""
    with tempfile.TemporaryDirectory() as folder:
        judged_path = path if content is None else Path(folder) / path.name
        if content is not None:
            judged_path.write_bytes(content)
        return Checker(suite(name, seed, arch, variant), judged_path, CheckOptions(**settings)).judge(stages=stages)


def outcome(judgement):
    """`accepted`, or where and why not: `results wrong-result`."""
    decisive = judgement.decisive
    return f"{judgement.ended_at} {decisive.code}" if decisive else judgement.verdict
