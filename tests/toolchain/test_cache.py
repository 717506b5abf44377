"""Builds out of the cache: the same as without, whatever happens to its folder."""

import logging
import multiprocessing
from pathlib import Path

import pytest

from ptxbench import cache, toolchain
from ptxbench.toolchain import locate, nvrtc, ptxas, sass, tool_hashes

from .conftest import CUDA


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    tool_hashes.remembered_folder.cache_clear()  # as in another process
    return tmp_path / "cache"


def entries(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


ENTRIES = 4 + len(locate.headers())
"""Of a build of CUDA C: NVRTC's version, PTX, cubin, opcodes; and the hash of each folder of headers."""


def test_a_build_calls_no_tool_the_second_time(build, folder, monkeypatch):
    first = build(CUDA)

    def never(*_):
        raise AssertionError("made again")

    for module, name in ((nvrtc, "translate"), (ptxas, "assemble"), (sass, "texts"), (nvrtc, "compiled")):
        monkeypatch.setattr(module, name, never)
    assert build(CUDA) == first


CHANGES = [
    ("the source",   CUDA.replace("a * x", "a + x"), {}),
    ("the options",  CUDA,                           {"flags": ["--fmad=false", "-DX=1"]}),
    ("the architecture", CUDA,                       {"arch": "sm_80"}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "source", "options"), CHANGES)
def test_builds_with_different_inputs_are_not_mixed_up(build, folder, what, source, options):
    first = build(CUDA)
    assert build(source, **options).ptx != first.ptx
    assert build(CUDA) == first


def test_a_damaged_cache_gives_the_same_build(build, folder, caplog):
    first = build(CUDA)
    for path in entries(folder):
        path.write_bytes(path.read_bytes()[:-1])
    tool_hashes.remembered_folder.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert build(CUDA) == first
    assert len(caplog.messages) == len(entries(folder)) == ENTRIES


def build_in_a_process(path, barrier, results):
    barrier.wait()
    built = toolchain.build(Path(path), language="cuda", variant="cuda", entry="scale", arch="sm_90")
    results.put((built.ptx, built.cubin, built.report.sass_sha256, dict(built.report.sass)))


@pytest.mark.long
def test_simultaneous_builds_are_equal_and_leave_complete_entries(folder, tmp_path):
    path = tmp_path / "scale.cu"
    path.write_text(CUDA)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=build_in_a_process, args=(str(path), barrier, results)) for _ in range(3)]
    for process in processes:
        process.start()
    builds = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert builds[0] == builds[1] == builds[2]
    assert len(entries(folder)) == ENTRIES  # no temporary file is left
    assert all(cache.read(entry) is not None for entry in entries(folder))
