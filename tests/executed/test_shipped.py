"""Every shipped variant on three architectures: anchors fit, and the interval is narrow for most."""

import time

import pytest

from ptxbench import discovery, executed, toolchain
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.errors import PtxbenchError

ARCHES = ("sm_80", "sm_120", "sm_90")

STEERED = {"sm_partition"}
"""Pairs with loops that depend on the schedule: they take their work by atomics."""

WAITING = {
    ("cluster_rmsnorm", "ptx"), ("cluster_rmsnorm.s32", "ptx"),
    ("warp_special", "cuda"), ("warp_special", "ptx.noreg"),
}  # fmt: skip
"""Variants that test an mbarrier until other threads have arrived; how often depends on the schedule."""

NARROW = 0.8
"""The share of variants on sm_90 whose interval is under 4 % wide, at least; the others have slow paths, or are
STEERED or WAITING."""


def chosen(arch):
    """(loaded pair, source) of every variant; off sm_90, of the first two of every other pair.

    That is a quarter of the time, and the others would show nothing new.
    """
    kernels = discovery.default_kernels()
    for number, name in enumerate(discovery.find_pairs(kernels)):
        if arch == "sm_90" or number % 2 == ARCHES.index(arch) % 2:
            loaded = discovery.load(kernels, name)
            for source in loaded.default_sources:
                if arch == "sm_90" or source.variant in ("cuda", "ptx"):
                    yield loaded, source


def derived(arch):
    """The executions of each variant that builds, at its first bench size."""
    with toolchain.builders() as pool:  # all at once, so that they share starts of nvdisasm
        builds = [(*choice, pool.submit(toolchain.build_source, choice[1], arch)) for choice in chosen(arch)]
    for loaded, source, future in builds:
        if isinstance(future.exception(), PtxbenchError):
            continue  # not for this target
        build, pair = future.result(), loaded.pair
        size = pair.bench_sizes[0]
        launch = pair.launch_of(source.variant)(**size)
        outcome = EmulatorBackend(arch).run(build, launch, pair.make_arguments(size, seed=1), pair.outputs)
        counted = executed.Counted(outcome.by_line, launch.warps, outcome.loops)
        yield loaded.name, source.variant, build, counted, executed.of_build(build, counted)


@pytest.mark.long
@pytest.mark.parametrize("arch", ARCHES)
def test_the_anchors_of_every_shipped_build_fit(arch):
    narrow, total, by_code = 0, 0, {}
    for pair, variant, build, counted, outcome in derived(arch):
        place = (pair, variant, outcome.reason)
        total += 1
        if pair in STEERED or (pair, variant) in WAITING:
            assert outcome.fit is None, place
            assert "depend on when other threads run" in outcome.reason or "unknown function" in outcome.reason, place
            continue
        assert outcome.fit is not None, place
        assert not outcome.anchors_off, place
        assert outcome.least <= outcome.fit <= outcome.most, place
        narrow += outcome.width < 0.04
        same = by_code.setdefault((pair, build.report.sass_sha256), outcome)
        assert executed.joint([same, outcome]) is not None, place
        if outcome.width == same.width == 0:
            assert outcome.fit == same.fit, place
        if (arch, pair, variant) == ("sm_90", "hgemm_mma", "cuda"):
            assert seconds(build, counted) < 0.1
    if arch == "sm_90":
        assert narrow >= NARROW * total


def seconds(build, counted):
    """The minimum CPU time of five derivations."""
    code = toolchain.lines.annotate(build).instructions
    assert len(code) > 1000
    taken = []
    for _ in range(5):
        begun = time.process_time()
        executed.derive(code, build.ptx, build.entry, counted)
        taken.append(time.process_time() - begun)
    return min(taken)
