"""Which pairs the process from which judgements are forked keeps, with the data of their seeds."""

import dataclasses
import gc
import json
import socket
from pathlib import Path

import pytest

from ptxbench import discovery
from ptxbench.check.contained import CheckTask
from ptxbench.check.fork_server import MOST_PAIRS, MOST_SEEDS, ForkServer
from ptxbench.check.stages import CheckOptions
from tests.folders import changed, kernels_folder


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(gc, "unfreeze", lambda: None)  # here it would make each collection search what pytest holds
    one, other = socket.socketpair()
    with one, other:
        yield ForkServer(one)


def suites_after(server, *requests):
    """The names and seeds of the kept suites after these were requested, the one that was used last at the end."""
    for pair, seed in requests:
        task = CheckTask(pair, discovery.default_kernels(), "sm_90", seed)
        assert server.pair(json.loads(task.to_json(Path("candidate.ptx"), Path(), None))).suite.seed == seed
    return [(kept.suite.loaded.name, kept.suite.seed) for kept in server.pairs.values()]


def test_of_one_pair_only_the_last_seeds_are_kept(server):
    assert suites_after(server, ("scan", 7), *(("triad", seed) for seed in range(MOST_SEEDS + 1))) == [
        ("scan", 7),
        *(("triad", seed) for seed in range(1, MOST_SEEDS + 1)),
    ]


def test_a_seed_that_is_used_again_is_kept(server):
    assert suites_after(server, ("triad", 1), ("triad", 2), ("triad", 1), ("triad", 3)) == [("triad", 1), ("triad", 3)]


def test_the_pairs_that_were_used_last_are_kept(server):
    names = discovery.find_pairs(discovery.default_kernels())[: MOST_PAIRS + 1]
    assert suites_after(server, *((name, 7) for name in names)) == [(name, 7) for name in names[1:]]


@pytest.mark.parametrize(
    ("folder", "name", "old", "new"),
    [
        ("pairs", "scale.py", ": a * x}", ": x * a}"),
        ("cuda", "scale.cu", "a * x[i]", "x[i] * a"),
        ("ptx", "scale.ptx", ".version", "// changed\n.version"),
    ],
)
def test_a_pair_is_loaded_again_if_one_of_its_files_has_changed(server, tmp_path, folder, name, old, new):
    kernels = kernels_folder(tmp_path)
    task = json.loads(CheckTask("scale", kernels, "sm_90", 7).to_json(Path("candidate.ptx"), Path(), None))
    first = server.pair(task)
    assert server.pair(task) is first
    path = kernels / folder / name
    path.write_text(changed(path.read_text(), old, new))
    assert server.pair(task).suite is not first.suite


@pytest.mark.parametrize("other", [{"arch": "sm_80"}, {"seed": 8}, {"settings": CheckOptions(thorough=True)}])
def test_another_architecture_seed_or_option_has_its_own_suite(server, other):
    task = CheckTask("triad", discovery.default_kernels(), "sm_90", 7)
    first, second = (
        server.pair(json.loads(each.to_json(Path("candidate.ptx"), Path(), None)))
        for each in (task, dataclasses.replace(task, **other))
    )
    assert second is not first
