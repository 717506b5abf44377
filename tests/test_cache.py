"""The cache: what it remembers, and that nothing that happens to its folder can harm."""

import logging
import os
import shutil
import sys
from pathlib import Path

import pytest

from ptxbench import cache


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


DAMAGES = [
    ("emptied",   lambda data: b""),
    ("cut short", lambda data: data[:-1]),
    ("cut in its hash", lambda data: data[:20]),
    ("altered",   lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    ("replaced",  lambda data: os.urandom(len(data))),
]  # fmt: skip


@pytest.mark.parametrize("damage", [damage for _, damage in DAMAGES], ids=[name for name, _ in DAMAGES])
def test_a_damaged_entry_is_made_again_with_a_word_about_it(folder, caplog, damage):
    cache.remember(("a",), lambda: b"made")
    (entry,) = entries(folder)
    entry.write_bytes(damage(entry.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert cache.remember(("a",), lambda: b"made again") == b"made again"
    assert caplog.messages == [f"{entry} is damaged; it is made again."]
    assert cache.remember(("a",), never) == b"made again"


def test_a_deleted_cache_is_filled_again(folder):
    cache.remember(("a",), lambda: b"made")
    shutil.rmtree(folder)
    assert cache.remember(("a",), lambda: b"made again") == b"made again"
    assert len(entries(folder)) == 1


def test_a_folder_that_cannot_be_written_costs_only_the_speed(tmp_path, monkeypatch):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")  # chmod would not stop root
    monkeypatch.setenv("PTXBENCH_CACHE", str(in_the_way))
    assert [cache.remember(("a",), lambda: b"made") for _ in range(2)] == [b"made", b"made"]
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


def test_a_user_without_a_home_has_no_cache_and_nothing_fails(monkeypatch):
    for name in ("PTXBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None
    assert cache.remember(("a",), lambda: b"made") == b"made"
