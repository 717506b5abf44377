"""Every shipped pair, in a run with workers, on simulated devices that have more or less: verified, or skipped."""

from dataclasses import replace

import pytest

from ptxbench import architecture, discovery
from ptxbench.backends.gpu import GpuBackend
from ptxbench.measure import SamplingSettings
from ptxbench.result import SKIPPED, VERIFIED
from ptxbench.runner import CellDone, RunPlan, carry_out, plan_pairs
from ptxbench.toolchain import ptxas
from tests import simulated

QUICK = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, stretch=1, looks=(8,), solo=1, tiny_ns=0)
KERNELS = discovery.default_kernels()


def demands_more(loaded, sm):
    """Whether a kernel in PTX is for another architecture."""
    texts = [source.on(sm).path.read_text() for source in loaded.sources if source.language == "ptx"]
    return any(not architecture.accepts(sm, ptxas.DECLARED_TARGET.search(text)[1]) for text in texts)


@pytest.mark.long
@pytest.mark.parametrize("device", ["H100", "RTX 4090", "T4"])
def test_every_pair_is_verified_or_skipped_with_a_reason(device, monkeypatch, tmp_path):
    """On one device all pairs, and on each other one those that demand more than it has, and a few more."""
    figures = {"like": device, "l2_bytes": 1 << 20}  # so that flushing it takes little to emulate
    simulated.install(monkeypatch, tmp_path, device=figures, control_n=1 << 16)
    backend = GpuBackend()
    pair_plans, _ = plan_pairs(KERNELS, emulated=False)
    if device != "H100":
        sm = backend.device().sm
        pair_plans = [plan for plan in pair_plans if plan.loaded.name < "d" or demands_more(plan.loaded, sm)]
    pair_plans = tuple(replace(pair_plan, sizes=(pair_plan.loaded.pair.check_sizes[-1],)) for pair_plan in pair_plans)
    plan = RunPlan(pair_plans, backend, backend.device().sm, KERNELS, settings=QUICK, timeout=200)
    cells = [event.cell for event in carry_out(plan) if isinstance(event, CellDone)]
    assert sorted(cell.pair for cell in cells if not cell.control) == sorted(
        pair_plan.loaded.name for pair_plan in pair_plans
    )
    outcomes = {
        (cell.pair, name): (result.status, result.reason)
        for cell in cells
        for name, result in cell.variants.items()
        if result.status != VERIFIED
    }
    assert {status for status, _ in outcomes.values()} <= {SKIPPED}, outcomes
    assert all(reason for _, reason in outcomes.values())
    assert any(result.status == VERIFIED for cell in cells for result in cell.variants.values())
