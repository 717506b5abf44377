"""The cache: what it remembers, and that nothing that happens to its folder can harm."""

import logging
import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from ptxbench import cache, toolchain
from ptxbench.toolchain import nvrtc, ptxas, sass

from .conftest import CUDA


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entries(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def never():
    raise AssertionError("made again")


def test_what_was_made_is_not_made_again(folder):
    assert cache.remember(("a", "b"), lambda: b"made") == b"made"
    assert cache.remember(("a", "b"), never) == b"made"


def test_keys_are_told_apart_by_their_parts(folder):
    assert cache.remember(("ab", "c"), lambda: b"1") == b"1"
    assert cache.remember(("a", "bc"), lambda: b"2") == b"2"


def test_a_build_calls_no_tool_the_second_time(build, folder, monkeypatch):
    first = build(CUDA)
    for module, name in ((nvrtc, "translate"), (ptxas, "assemble"), (sass, "disassemble"), (nvrtc, "library")):
        monkeypatch.setattr(module, name, lambda *_: never())
    assert build(CUDA) == first


def test_the_source_the_options_and_the_architecture_are_told_apart(build, folder):
    builds = [
        build(CUDA),
        build(CUDA + "\n"),
        build(CUDA, flags=["--fmad=false"]),
        build(CUDA, arch="sm_80"),
        build(CUDA.replace("scale", "scaled"), "scaled"),
    ]
    assert len({(each.ptx, each.report.source_sha256, each.entry, *each.report.sass) for each in builds}) >= 4
    assert len(entries(folder)) > 10


DAMAGES = [
    ("emptied",   lambda data: b""),
    ("cut short", lambda data: data[:-1]),
    ("cut in its hash", lambda data: data[:20]),
    ("altered",   lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    ("replaced",  lambda data: os.urandom(len(data))),
]  # fmt: skip


@pytest.mark.parametrize("damage", [damage for _, damage in DAMAGES], ids=[name for name, _ in DAMAGES])
def test_damaged_entries_are_made_again_with_a_word_about_it(build, folder, caplog, damage):
    first = build(CUDA)
    for path in entries(folder):
        path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert build(CUDA) == first
    assert len(caplog.messages) == len(entries(folder)) == 4
    assert all(message.endswith("is damaged; it is made again.") for message in caplog.messages)
    caplog.clear()
    assert build(CUDA) == first
    assert caplog.messages == []


def test_a_deleted_cache_is_filled_again(build, folder):
    first = build(CUDA)
    for path in entries(folder):
        path.unlink()
    assert build(CUDA) == first
    assert len(entries(folder)) == 4


def build_in_a_process(path, barrier, results):
    barrier.wait()
    made = toolchain.build(Path(path), language="cuda", variant="cuda", entry="scale", arch="sm_90")
    results.put((made.ptx, made.cubin, made.report.sass_sha256, dict(made.report.sass)))


def test_processes_that_build_at_once_get_the_same_and_leave_whole_entries(folder, tmp_path):
    path = tmp_path / "scale.cu"
    path.write_text(CUDA)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=build_in_a_process, args=(str(path), barrier, results)) for _ in range(3)]
    for process in processes:
        process.start()
    made = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert made[0] == made[1] == made[2]
    assert len(entries(folder)) == 4  # no temporary file is left
    assert all(cache.read(entry) is not None for entry in entries(folder))


def test_a_folder_that_cannot_be_written_costs_only_the_speed(build, tmp_path, monkeypatch):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")  # chmod would not stop root
    monkeypatch.setenv("PTXBENCH_CACHE", str(in_the_way))
    assert build(CUDA) == build(CUDA)
    assert in_the_way.read_text() == "no folder"


def test_a_write_that_fails_halfway_leaves_nothing(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert cache.remember(("a",), lambda: b"made") == b"made"
    assert entries(folder) == []


FOLDERS = [
    ("linux",  {"PTXBENCH_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
    ("linux",  {"XDG_CACHE_HOME": "/x"},                         "/x/ptxbench"),
    ("linux",  {"XDG_CACHE_HOME": "relative"},                   "/home/.cache/ptxbench"),
    ("linux",  {"XDG_CACHE_HOME": ""},                           "/home/.cache/ptxbench"),
    ("linux",  {},                                               "/home/.cache/ptxbench"),
    ("darwin", {},                                               "/home/Library/Caches/ptxbench"),
]  # fmt: skip


@pytest.mark.parametrize(("platform", "variables", "expected"), FOLDERS)
def test_the_folder_is_where_the_user_keeps_caches(monkeypatch, platform, variables, expected):
    for name in ("PTXBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache.folder() == Path(expected)


def test_a_user_without_a_home_has_no_cache_and_can_still_build(build, monkeypatch):
    monkeypatch.delenv("PTXBENCH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None
    assert cache.remember(("a",), lambda: b"made") == b"made"
