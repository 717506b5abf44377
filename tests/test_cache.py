"""The cache: its entries, and that damage to its folder does no harm."""

import logging
import os
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptxbench import cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(cache.SILENT, "")
    return tmp_path / "cache"


def entries(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def never():
    raise AssertionError("made again")


def test_a_cached_value_is_not_made_again(folder):
    assert cache.remember(("a", "b"), lambda: b"made") == b"made"
    assert cache.remember(("a", "b"), never) == b"made"


def test_keys_differ_if_their_parts_differ(folder):
    assert cache.remember(("ab", "c"), lambda: b"1") == b"1"
    assert cache.remember(("a", "bc"), lambda: b"2") == b"2"


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_the_version_of_code_depends_on_every_file_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PACKAGE", tmp_path)
    (tmp_path / "folder" / "below").mkdir(parents=True)
    files = [tmp_path / "folder" / "one.py", tmp_path / "folder" / "below" / "two.py", tmp_path / "three.py"]
    versions = []
    for file in [None, *files]:
        for path in files:
            path.write_text("changed" if path == file else "")
        versions.append(cache.code_version.__wrapped__("folder", "three.py"))
    assert len(set(versions)) == 4


def test_a_slow_value_is_made_once_while_the_others_wait(folder):
    makers, at_once = [], threading.Barrier(4)

    def make():
        makers.append(threading.get_ident())
        time.sleep(0.1)  # the others ask meanwhile
        return b"made"

    def ask(_):
        at_once.wait()
        return cache.remember_once(("a",), make)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [b"made"] * 4
    assert len(makers) == 1
    assert len(entries(folder)) == 1  # no lock is left
    assert cache.remember_once(("a",), never) == b"made"


def test_after_an_error_the_next_one_makes_the_value(folder):
    with pytest.raises(AssertionError, match="made again"):
        cache.remember_once(("a",), never)
    assert cache.remember_once(("a",), lambda: b"made") == b"made"


DAMAGES = [
    ("emptied",   lambda data: b""),
    ("cut short", lambda data: data[:-1]),
    ("cut in its hash", lambda data: data[:20]),
    ("altered",   lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    ("replaced",  lambda data: os.urandom(len(data))),
]  # fmt: skip


@pytest.mark.parametrize("damage", [damage for _, damage in DAMAGES], ids=[name for name, _ in DAMAGES])
def test_a_damaged_entry_is_made_again_with_a_warning(folder, caplog, damage):
    cache.remember(("a",), lambda: b"made")
    (entry,) = entries(folder)
    entry.write_bytes(damage(entry.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert cache.remember(("a",), lambda: b"made again") == b"made again"
    assert caplog.messages == [f"{entry} is damaged and is made again."]
    assert cache.remember(("a",), never) == b"made again"


def test_a_deleted_cache_is_filled_again(folder):
    cache.remember(("a",), lambda: b"made")
    shutil.rmtree(folder)
    assert cache.remember(("a",), lambda: b"made again") == b"made again"
    assert len(entries(folder)) == 1


def test_with_a_folder_that_cannot_be_written_everything_works_without_a_cache(folder, caplog):
    folder.write_text("no folder")  # chmod would not stop root
    for remember in (cache.remember, cache.remember_once):
        assert [remember(("a",), lambda: b"made") for _ in range(2)] == [b"made", b"made"]
    assert folder.read_text() == "no folder"
    assert caplog.messages == [
        f"The cache {folder} cannot be written (File exists), so each command compiles everything again. That can take "
        "a minute. Set PTXBENCH_CACHE to a folder that only you can write."
    ]


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
def test_the_folder_is_below_the_users_cache_folder(monkeypatch, platform, variables, expected):
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


# ---- who can write it


def belongs_to_another(path, monkeypatch):
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)


def change_mode(mode):
    return lambda path, _: path.chmod(mode)


# the action on a folder, the reason
REFUSED = [
    ("cache",  change_mode(0o777),  "other users can write to it"),
    ("cache",  change_mode(0o1777), "other users can write to it"),  # they can put a file there
    ("cache",  change_mode(0o770),  "other users can write to it"),
    ("cache",  belongs_to_another,  "it belongs to another user"),
    ("parent", change_mode(0o777),  "other users can write to {parent}"),  # and put another folder in its place
    ("parent", belongs_to_another,  "{parent} belongs to another user"),
]  # fmt: skip


@pytest.fixture
def below(tmp_path, monkeypatch):
    """A cache two folders down, with one entry; `parent` and `cache` by name."""
    monkeypatch.delenv(cache.SILENT, raising=False)
    places = {"parent": tmp_path / "parent", "cache": tmp_path / "parent" / "cache"}
    monkeypatch.setenv("PTXBENCH_CACHE", str(places["cache"]))
    cache.remember(("a",), lambda: b"made")
    yield places
    monkeypatch.delenv(cache.SILENT, raising=False)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners and modes")
@pytest.mark.parametrize(("place", "change", "reason"), REFUSED)
def test_a_folder_that_others_could_change_is_refused_with_one_sentence(
    below, monkeypatch, caplog, place, change, reason
):
    change(below[place], monkeypatch)
    warning = cache.advice(below["cache"], reason.format(**below))
    with caplog.at_level(logging.WARNING):
        assert [cache.remember(("a",), lambda: b"again") for _ in range(2)] == [b"again", b"again"]
    assert caplog.messages[:1] == [warning]
    assert cache.refusal(below["cache"]) == reason.format(**below)
    assert len(caplog.messages) == 1


# the name of the group that may write to the folder above the cache, its members, whether the cache is used
GROUPS = [
    ("me",    [],              True),    # many systems have a group for each user
    ("me",    ["me"],          True),
    ("me",    ["me", "other"], False),
    ("users", [],              False),   # the main group of other users, who are not among its members
    ("users", ["me"],          False),
]  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners and modes")
@pytest.mark.parametrize(("name", "members", "used"), GROUPS)
def test_only_the_users_own_group_may_write_above_the_cache(below, monkeypatch, name, members, used):
    import grp
    import pwd

    monkeypatch.setattr(grp, "getgrgid", lambda number: SimpleNamespace(gr_name=name, gr_mem=members))
    monkeypatch.setattr(pwd, "getpwuid", lambda number: SimpleNamespace(pw_name="me"))
    below["parent"].chmod(0o770)
    assert (cache.refusal(below["cache"]) is None) == used
    below["parent"].chmod(0o1777)  # as /tmp: only the owner of a folder in it can replace it
    assert cache.refusal(below["cache"]) is None


def test_a_link_of_another_user_is_refused_and_one_of_this_user_is_followed(below, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(below["cache"])
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "link"))
    assert cache.remember(("a",), never) == b"made"
    if os.geteuid() == 0:
        os.chown(tmp_path / "link", 12345, -1, follow_symlinks=False)
        assert cache.refusal(tmp_path / "link") == "it belongs to another user"


def test_a_folder_that_somebody_else_made_first_is_not_written(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("PTXBENCH_CACHE", str(folder))

    def make():
        folder.mkdir()
        folder.chmod(0o777)
        return b"made"

    assert cache.remember(("a",), make) == b"made"
    assert entries(folder) == []


@pytest.mark.parametrize("remember", [cache.remember, cache.remember_once])
def test_a_new_folder_belongs_only_to_the_user_with_any_umask(folder, remember):
    before = os.umask(0)
    try:
        remember(("a",), lambda: b"made")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))] == [0, 0, 0]


def test_an_entry_can_be_replaced(folder):
    cache.remember(("a",), lambda: b"made")
    assert cache.replace(("a",), b"better") == b"better"
    assert cache.remember(("a",), never) == b"better"


def test_with_a_layer_the_cache_is_only_read(folder, tmp_path, monkeypatch):
    cache.remember(("a",), lambda: b"made")
    before = entries(folder)
    monkeypatch.setenv(cache.LAYER, str(tmp_path / "layer"))
    assert cache.remember(("a",), never) == b"made"
    assert cache.remember(("b",), lambda: b"new") == b"new"
    assert cache.remember(("b",), never) == b"new"
    assert entries(folder) == before
    assert len(entries(tmp_path / "layer")) == 1


def test_entries_of_the_emulator_are_json_and_objects(folder, forget_functions):
    from ptxbench.emulator import layout, native

    forget_functions()
    ptx = (Path(__file__).parent / "check" / "hostile" / "honest.ptx").read_text()
    kernel = native.compile_kernel(ptx, "triad", "sm_90")
    level, described, object_code = kernel.split(b"\n", 2)
    assert int(level) == native.QUICK
    translation = layout.from_json(described.decode())
    assert layout.to_json(translation, translation.functions).encode() == described
    assert translation.steps[0].opcode
    assert translation.sites
    assert translation.name == "triad"
    shared = [cache.known(native.function_key(name)) for name in translation.functions]
    for file in (object_code, *shared):
        assert file[:4] in (b"\x7fELF", b"\xcf\xfa\xed\xfe") or sys.platform == "win32"
