"""The hashes of tools and headers are those of their content, wherever they are, and are kept in the cache."""

import errno
import hashlib
import os
import shutil

import pytest

from ptxbench.toolchain import tool_hashes


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    forget()


def forget():
    """As in another process."""
    tool_hashes.remembered_file.cache_clear()
    tool_hashes.remembered_folder.cache_clear()


def test_a_tool_has_the_same_hash_in_every_folder_and_another_one_if_it_changes(tmp_path):
    tool, copy = tmp_path / "ptxas", tmp_path / "copy"
    tool.write_bytes(b"one")
    shutil.copyfile(tool, copy)
    os.utime(copy, ns=(1, 1))
    before = tool_hashes.file_hash(tool)
    assert tool_hashes.file_hash(copy) == before
    copy.write_bytes(b"two")
    assert tool_hashes.file_hash(copy) != before
    with pytest.raises(FileNotFoundError):
        tool_hashes.file_hash(tmp_path / "absent")


@pytest.mark.parametrize("change", ["a header with another size", "another name", "one more below", "one less"])
def test_a_folder_of_headers_has_the_hash_of_its_names_and_sizes(tmp_path, change):
    folder, copy = tmp_path / "include", tmp_path / "copy"
    (folder / "cuda" / "std").mkdir(parents=True)
    (folder / "cuda.h").write_text("#define CUDA_VERSION 13020\n")
    (folder / "cuda" / "std" / "array").write_text("array\n")
    shutil.copytree(folder, copy)
    before = tool_hashes.folder_hash(folder)
    assert tool_hashes.folder_hash(copy) == before
    if change == "a header with another size":
        (copy / "cuda" / "std" / "array").write_text("an array\n")
    elif change == "another name":
        (copy / "cuda" / "std" / "array").rename(copy / "cuda" / "array")
    elif change == "one more below":
        (copy / "cuda" / "std" / "span").write_text("")
    else:
        (copy / "cuda.h").unlink()
    os.utime(copy, ns=(1, 1))  # pip changes the folder itself too
    assert tool_hashes.folder_hash(copy) != before
    absent = [tool_hashes.folder_hash(tmp_path / name) for name in ("absent", "other")]
    assert len({*absent, before}) == 3


def test_tools_and_headers_of_one_name_size_and_time_differ_by_their_content(tmp_path):
    for release, header in (("one", "a.h"), ("two", "b.h")):
        (tmp_path / release / "include").mkdir(parents=True)
        (tmp_path / release / "ptxas").write_text(release)
        (tmp_path / release / "include" / header).write_text("")
        for name in ("ptxas", "include"):
            os.utime(tmp_path / release / name, ns=(1, 1))
    assert len({tool_hashes.file_hash(tmp_path / release / "ptxas") for release in ("one", "two")}) == 2
    assert len({tool_hashes.folder_hash(tmp_path / release / "include") for release in ("one", "two")}) == 2


def test_a_tool_that_grows_within_a_tick_of_the_clock_has_another_hash(tmp_path):
    tool = tmp_path / "ptxas"
    hashes = set()
    for content in ("one", "three"):
        tool.write_text(content)
        os.utime(tool, ns=(1, 1))
        hashes.add(tool_hashes.file_hash(tool))
    assert len(hashes) == 2


class Listing:
    """The entries of a folder in an order, as of some file system."""

    def __init__(self, entries, reverse):
        self.entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=reverse))

    def __next__(self):
        return next(self.entries)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def test_the_order_in_which_a_folder_is_listed_does_not_matter_and_a_link_may_lead_nowhere(tmp_path, monkeypatch):
    for name in ("a", "b", "cuda/a.h", "cuda/b.h", "std/a.h", "std/b.h"):
        (tmp_path / "include" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "include" / name).write_text("")
    (tmp_path / "include" / "link.h").symlink_to(tmp_path / "absent.h")
    scan, hashes = os.scandir, set()
    for reverse in (False, True):
        forget()
        monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / f"cache {reverse}"))
        monkeypatch.setattr(os, "scandir", lambda path, reverse=reverse: Listing(scan(path), reverse))
        hashes.add(tool_hashes.folder_hash(tmp_path / "include"))
    assert len(hashes) == 1


def test_a_tool_is_read_once_for_all_processes(tmp_path, monkeypatch):
    tool = tmp_path / "ptxas"
    tool.write_bytes(b"one")
    before = tool_hashes.file_hash(tool)
    forget()
    monkeypatch.setattr(hashlib, "file_digest", lambda *arguments: pytest.fail("read again"))
    assert tool_hashes.file_hash(tool) == before


@pytest.fixture
def unlisted(tmp_path, monkeypatch):
    """A folder of headers, one folder of which fails with this error when it is listed."""
    (tmp_path / "include" / "cuda").mkdir(parents=True)
    (tmp_path / "include" / "cuda.h").write_text("")
    scan = os.scandir

    def unlisted(error):
        def fail(path):
            if os.fspath(path).endswith("cuda"):
                raise OSError(error, os.strerror(error))
            return scan(path)

        monkeypatch.setattr(os, "scandir", fail)
        return tmp_path / "include"

    return unlisted


def test_headers_that_cannot_be_listed_are_an_error(unlisted):
    """A hash of the others alone would be that of other headers."""
    with pytest.raises(OSError, match="Too many"):
        tool_hashes.folder_hash(unlisted(errno.EMFILE))


def test_headers_that_may_not_be_read_are_left_out(unlisted):
    assert len(tool_hashes.folder_hash(unlisted(errno.EACCES))) == 64


def test_a_tool_that_may_not_be_read_has_its_path_and_its_time(tmp_path, monkeypatch):
    def forbidden(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(hashlib, "file_digest", forbidden)
    tool = tmp_path / "ptxas"
    tool.write_bytes(b"one")
    os.utime(tool, ns=(1, 1))
    assert tool_hashes.file_hash(tool) == f"{tool} 3 1"
