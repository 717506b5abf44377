"""Races planted in kernels are found, and their ordered twins are clean.

The kernels are in races/. A line in RACY(...) belongs to the racy kernel only, a line in ORDERED(...) to its twin.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.emulator.variation import EVERY_LINE, NO_VARIATION, Variation
from tests.emulator.test_snippets import alone

FOLDER = Path(__file__).with_name("races")
RACE, COPY, FENCE, GATE = {"race"}, {"race", "pending-copy"}, {"missing-proxy-fence"}, {"mbarrier"}


class Case(NamedTuple):
    """A kernel, its launch, the possible findings, and the memory that the message names."""

    name: str
    grid: int
    block: int
    kinds: set[str]
    place: str


CASES = {
    "in_warps": [
        Case("exchange",                1, 32, RACE, "shared memory"),
        Case("warp_tree",               1, 32, RACE, "shared memory"),
        Case("half_masks",              1, 32, RACE, "shared memory"),
        Case("one_lane_writes",         1, 32, RACE, "param_1"),
        Case("one_word",                1, 32, RACE, "shared memory"),
    ],
    "in_ctas": [
        Case("neighbours",              1, 64, RACE, "shared memory"),
        Case("reused_tile",             1, 64, RACE, "shared memory"),
        Case("through_global",          1, 64, RACE, "param_1"),
        Case("read_only_load",          1, 64, {"nc-of-written"}, "param_1"),
        Case("read_only_vector",        1, 64, {"nc-of-written"}, "reads byte 324 of"),
        Case("another_barrier",         1, 64, RACE, "shared memory"),
        Case("early_arrival",           1, 64, RACE, "shared memory"),
        Case("arrival_is_no_wait",      1, 64, RACE, "shared memory"),
        Case("short_count",             1, 96, RACE, "shared memory"),
        Case("gate_before_value",       1, 64, RACE, "shared memory"),
        Case("wrong_parity",            1, 64, RACE, "shared memory"),
        Case("gate_counts_one",         1, 96, RACE, "shared memory"),
        Case("lane_arrives_for_warp",   1, 64, RACE, "shared memory"),
        Case("lane_waits_for_warp",     1, 64, RACE, "shared memory"),
        Case("relaxed_arrival",         1, 64, RACE, "shared memory"),
        Case("pipeline_freed_early",    1, 64, RACE, "shared memory"),
        Case("counter_read_early",      1, 64, RACE, "shared memory"),
        Case("volatile_flag",           1, 64, RACE, "shared memory"),
        Case("counter_started_late",    1, 64, RACE, "shared memory"),
    ],
    "between_ctas": [
        Case("shift_in_place",          4, 32, RACE, "param_1"),
        Case("plain_sum",               4, 32, RACE, "param_0"),
        Case("bytes_of_one_word",       4, 32, RACE, "param_0"),
        Case("flag_without_fence",      2, 32, RACE, "param_1"),
        Case("reader_without_fence",    2, 32, RACE, "param_1"),
        Case("release_of_a_cta",        2, 32, RACE, "param_"),
        Case("acquire_of_a_cta",        2, 32, RACE, "param_"),
        Case("fence_of_a_cta",          2, 32, RACE, "param_1"),
        Case("atomics_of_a_cta",        2, 32, RACE, "param_0"),
        Case("flag_before_value",       2, 32, RACE, "param_1"),
        Case("ticket_without_barrier",  3, 64, RACE, "param_1"),
        Case("ticket_without_fence",    3, 64, RACE, "param_1"),
        Case("ticket_fenced_by_readers", 3, 64, RACE, "param_1"),
        Case("look_back",               4, 32, RACE, "param_0"),
        Case("grid_barrier",            4, 64, RACE, "param_1"),
        Case("lock_without_fence",      4, 32, RACE, "param_0"),
        Case("chain_of_messages",       3, 32, RACE, "param_1"),
        Case("one_waits_all_read",      2, 64, RACE, "param_1"),
        Case("total_started_late",      2, 32, RACE, "param_1"),
        Case("lane_announces_too_early", 2, 32, RACE, "param_1"),
        Case("lane_waits_alone",        2, 32, RACE, "param_1"),
    ],
    "copies": [
        Case("copy_without_wait",       1, 64, COPY, "shared memory"),
        Case("wait_keeps_one",          1, 64, COPY, "shared memory"),
        Case("copy_of_a_neighbour",     1, 64, COPY, "shared memory"),
        Case("copy_into_what_is_read",  1, 64, RACE, "shared memory"),
        Case("source_overwritten",      1, 64, RACE, "param_1"),
        Case("bulk_copy_without_wait",  1, 64, COPY, "shared memory"),
        Case("bulk_copy_into_what_is_read", 1, 64, RACE, "shared memory"),
        Case("bulk_source_overwritten", 1, 64, {"pending-copy"}, "shared memory"),
        Case("copies_to_one_place",     1, 64, {"pending-copy"}, "shared memory"),
    ],
    "proxies": [
        Case("store_without_fence",     1, 64, FENCE, "shared memory"),
        Case("fence_of_the_other_memory", 1, 64, FENCE, "shared memory"),
        Case("fence_before_the_meeting", 1, 64, FENCE, "shared memory"),
        Case("fence_before_the_wait",   1, 64, FENCE, "shared memory"),
        Case("fence_of_a_third_thread", 1, 96, FENCE, "shared memory"),
        Case("fences_of_earlier_rounds", 1, 64, FENCE, "shared memory"),
        Case("copy_over_a_write",       1, 64, FENCE, "shared memory"),
        Case("store_of_a_copy",         1, 64, FENCE, "shared memory"),
        Case("copy_of_a_write",         1, 64, FENCE, "param_1"),
        Case("copy_through_shared_memory", 1, 64, FENCE, "shared memory"),
        Case("start_without_fence",     1, 64, FENCE, "shared memory"),
    ],
    "mbarriers": [
        Case("start_without_meeting",   1, 64, RACE, "shared memory"),
        Case("started_again",           1, 64, GATE, "shared memory"),
        Case("ended_in_use",            1, 64, GATE, "shared memory"),
        Case("too_few_bytes",           1, 64, GATE, "shared memory"),
        Case("no_bytes",                1, 64, GATE, "shared memory"),
        Case("too_many_arrivals",       1, 64, GATE, "shared memory"),
        Case("second_arrival_without_a_wait", 1, 64, GATE, "shared memory"),
    ],
}  # fmt: skip
ROWS = [pytest.param(module, case, id=case.name) for module, cases in CASES.items() for case in cases]


def launched(module, case, *, planted, variation=NO_VARIATION):
    """The sanitised launch of a kernel, racy or ordered, and its output."""
    source = "\n".join([
        "#define PLANTED" if planted else "",
        (FOLDER / "order.cuh").read_text(),
        (FOLDER / f"{module}.cu").read_text(),
    ])  # fmt: skip
    path = FOLDER / f"{module}.cu"
    ptx, log, *_ = toolchain.compiled(source.encode(), path, "sm_90", ())
    assert "warning" not in log, log
    data = np.arange(1, 257, dtype=np.uint32)
    out, flags = np.zeros(256, np.uint32), np.zeros(16, np.uint32)
    kernel = alone(ptx, case.name)
    execution = emulator.run(
        kernel, case.name, grid=case.grid, block=case.block, args=[out, data, flags], sanitize=True, fuel=1 << 16,
        variation=variation,
    )  # fmt: skip
    return execution, out


@pytest.mark.parametrize(("module", "case"), ROWS)
def test_a_planted_race_is_found_and_named(module, case):
    execution, _ = launched(module, case, planted=True)
    findings = [finding for finding in execution.findings if finding.kind in case.kinds]
    assert findings, (execution.findings, execution.notes)
    assert any(case.place in finding.message for finding in findings), findings


@pytest.mark.parametrize(("module", "case"), ROWS)
def test_the_ordered_variant_has_no_finding(module, case):
    execution, out = launched(module, case, planted=False)
    assert execution.findings == ()
    assert out.any()  # it did something
    unmade = [note for note in execution.notes if not note.startswith("second schedule")]
    assert unmade == []


@pytest.mark.parametrize("case", CASES["between_ctas"], ids=lambda case: case.name)
def test_the_ordered_variant_is_right_with_old_values_too(case):
    _, expected = launched("between_ctas", case, planted=False)
    execution, out = launched("between_ctas", case, planted=False, variation=Variation(loads=EVERY_LINE))
    assert execution.findings == ()
    assert out.tolist() == expected.tolist()
