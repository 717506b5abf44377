"""Sweeps on the device: a compile-time knob on both sides, and the figures of sm_partition from its clocks."""

from dataclasses import replace

import pytest

from ptxbench import discovery
from ptxbench.cli._sweep import perform
from ptxbench.measure import SamplingSettings
from ptxbench.runner import RunFrame, RunPlan
from ptxbench.tune import curves, plan_of, spec_of, sweep_of

QUICK = SamplingSettings(warm_up_seconds=0.1, warm_up_limit_seconds=1.0, looks=(8,), limit_seconds=1.0, solo=2)
KERNELS = discovery.default_kernels()


def swept(gpu, name, **options):
    """The curves of one round."""
    loaded = discovery.load(KERNELS, name)
    sources = tuple(source for source in loaded.sources if source.variant in ("cuda", "ptx"))
    device = gpu.device()
    sweep = sweep_of(loaded, sources, "times", sms=device.sms, **options)
    plan = RunPlan((), gpu, device.sm, KERNELS, rounds=1, settings=QUICK, sweep=spec_of(sweep))
    run, error = perform(replace(RunFrame(plan, device), plan=plan_of(plan, sweep, None)), sweep, ())
    assert error is None
    return curves(sweep, run.cells)


def test_both_sides_are_timed_at_every_block(gpu):
    figures = swept(gpu, "triad", values={"BLOCK": (128, 512)}, size={"n": 1 << 20})
    for variant in ("cuda", "ptx"):
        assert all(reading and reading.value > 0 for reading in figures.of(figures.main, variant))
        assert {result.status for result in figures.statuses[variant]} == {"verified"}


@pytest.mark.long
def test_the_figures_of_sm_partition_follow_from_its_clocks(gpu):
    sms = gpu.device().sms
    figures = swept(
        gpu, "sm_partition", values={"copiers": (sms // 8,), "chunk": (16384,)}, size={"n": 1 << 22, "tiles": 256}
    )
    values = {
        quantity.name: figures.of(quantity, "cuda")[0].value
        for quantity in figures.quantities
        if figures.of(quantity, "cuda")[0] is not None
    }
    assert values["total"] > 0
    assert values["copy_bandwidth"] > 1e9
    assert values["compute_rate"] > 1e9
    assert values["interference"] == pytest.approx(0, abs=1.0)
