"""`ptxbench check` on a device: an accepted candidate is timed together with the pair's kernels."""

import json

import pytest

from ptxbench import discovery


@pytest.mark.long
def test_a_candidate_with_the_pairs_ptx_takes_as_long_as_that(gpu, ptxbench, tmp_path):
    path = tmp_path / "mine.ptx"
    path.write_text("// another file\n" + (discovery.default_kernels() / "ptx" / "triad.ptx").read_text())
    ran = ptxbench("check", path, "--pair", "triad", "--rounds", "1", "--size", "n=65536", "--json")
    (judgement,) = json.loads(ran.out)["candidates"]
    assert (ran.status, judgement["verdict"]) == (0, "accepted")
    assert 0.9 < judgement["ratios"]["ptx"]["time"] < 1.1
    assert next(stage["verdict"] for stage in judgement["stages"] if stage["stage"] == "time") == "passed"
