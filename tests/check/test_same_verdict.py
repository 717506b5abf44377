"""The same seed gives the same document except for seconds, for any host threads, hash seed and cache."""

import dataclasses
import os
from pathlib import Path

import pytest

from ptxbench import discovery
from ptxbench.check.contained import CheckTask, judge
from ptxbench.check.findings import to_document
from tests.check.judging import SEED

HOSTILE = Path(__file__).with_name("hostile")


def document(path):
    """The whole document of a candidate, without its time."""
    judgement = judge(path, CheckTask("triad", discovery.default_kernels(), "sm_90", SEED))
    stages = [dataclasses.replace(stage, seconds=0.0) for stage in judgement.stages]
    return to_document(dataclasses.replace(judgement, stages=stages))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot tie a process to one core")
@pytest.mark.parametrize("name", ["races.ptx", pytest.param("honest.cu", marks=pytest.mark.long)])
def test_a_seed_gives_the_same_verdict_with_any_cores_hash_seed_and_cache(name, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_text(f"// {tmp_path}\n" + (HOSTILE / name).read_text())  # new to the cache
    cores = os.sched_getaffinity(0)
    documents = []
    for hash_seed, some in (("1", {min(cores)}), ("2", cores)):
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        os.sched_setaffinity(0, some)
        try:
            documents.append(document(path))
        finally:
            os.sched_setaffinity(0, cores)
    assert documents[0] == documents[1]
