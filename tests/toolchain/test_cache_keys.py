"""Every input of a cached result is part of its key: with another input, no result of an earlier one is used."""

import contextlib
import itertools
from pathlib import Path

import pytest

from ptxbench import cache, toolchain
from ptxbench.containment.compiler import Compilation
from ptxbench.containment.nvrtc_library import SUCCESS
from ptxbench.toolchain import cuda_c, legality, lines, locate, nvcc, nvrtc, tool_hashes, trial

TOOL = Path("/tools/ptxas")


@pytest.fixture
def keys(monkeypatch):
    """The keys that are looked up, in order. Nothing is in the cache, and nothing is made."""
    keys: list[tuple[str, ...]] = []

    def remember(key, make):
        keys.append(key)
        raise LookedUp

    monkeypatch.setattr(cache, "remember", remember)
    monkeypatch.setattr(cache, "known", lambda key: keys.append(key))
    monkeypatch.setattr(locate, "version", lambda tool: "13.0.1")
    for name in ("file_hash", "folder_hash"):
        monkeypatch.setattr(tool_hashes, name, lambda path: f"hash of {path}")
    return keys


class LookedUp(Exception):
    """In place of a result."""


def key_of(keys, call):
    """The key of the last look-up of a call."""
    keys.clear()
    with pytest.raises(LookedUp):
        call()
    return keys[-1]


def all_differ(keys):
    return all(one != other for one, other in itertools.combinations(keys, 2))


@pytest.fixture
def job(tmp_path):
    """A CUDA C file with a header of its own, in folders of their own."""
    (tmp_path / "a.cuh").write_text("#define A 1\n")
    (tmp_path / "other").mkdir()

    def job(name="k.cu", *, arch="sm_90", flags=(), contained=False, text=b'#include "a.cuh"\n'):
        return cuda_c.Job(text, tmp_path / name, arch, tuple(flags), contained)

    return job


def test_the_answer_of_nvrtc_depends_on_all_that_it_reads(keys, job, tmp_path, monkeypatch):
    monkeypatch.setattr(cuda_c, "nvrtc_version", lambda library: "13.0.88")
    monkeypatch.setattr(cuda_c, "mode", lambda: "landlock")

    def asked(made, text=b"text", headers=None):
        return key_of(keys, lambda: made.by_nvrtc(text, headers))

    found = [
        asked(job()),
        asked(job(), b"other text"),
        asked(job("other.cu")),  # __FILE__, and names in messages
        asked(job(arch="sm_80")),
        asked(job(flags=["-DX=1"])),
        asked(job(flags=["-DX=1", "-DY=1"])),
        asked(job(flags=["-DY=1", "-DX=1"])),
        asked(job(flags=[f"-I{tmp_path / 'other'}"])),
        asked(job(contained=True)),
        asked(job(), headers={"h.cuh": b"1"}),
        asked(job(), headers={"h.cuh": b"2"}),
        asked(job(), headers={"i.cuh": b"1"}),
    ]
    (tmp_path / "a.cuh").write_text("#define A 2\n")
    found.append(asked(job()))
    monkeypatch.setattr(cuda_c, "mode", lambda: "headers")
    found.append(asked(job(contained=True)))
    monkeypatch.setattr(cuda_c, "nvrtc_version", lambda library: "13.0.89")
    found.append(asked(job()))
    monkeypatch.setattr(locate, "headers", lambda: (tmp_path / "include",))
    found.append(asked(job()))
    monkeypatch.setattr(nvrtc, "FLAGS", ("--std=c++20",))
    found.append(asked(job()))
    monkeypatch.setattr(cache, "code_version", lambda *names: "other code")
    found.append(asked(job()))
    assert all_differ(found)


def test_the_name_of_a_header_counts_and_not_only_its_text(keys, job, tmp_path, monkeypatch):
    monkeypatch.setattr(cuda_c, "nvrtc_version", lambda library: "13.0.88")
    text = b'#if __has_include("a.cuh")\n#include "a.cuh"\n#else\n#include "b.cuh"\n#endif\n'
    first = key_of(keys, lambda: job(text=text).by_nvrtc(text))
    (tmp_path / "a.cuh").rename(tmp_path / "b.cuh")
    assert key_of(keys, lambda: job(text=text).by_nvrtc(text)) != first


# a text, whether all files that it may read are known if there is an option -I
QUESTIONS = [
    (b'#if __has_include("a.cuh")\n#endif\n',                                                    True),
    (b"#if defined(__has_include)\n#if __has_include(<cuda/std/tuple>)\n#endif\n#endif\n",      True),
    (b"#ifdef __has_include\n#endif\n",                                                          True),
    (b"#define NAME <cuda/std/tuple>\n#if __has_include(NAME)\n#endif\n",                        True),
    (b"#if __has_include(NAME)\n#endif\n",                                                       False),
    (b"#define ASKS(name) __has_include(<name.h>)\n#if ASKS(a)\n#endif\n",                       False),
    (b"#define ASKS(name) \\\n    __has_include(<name.h>)\n#if ASKS(a)\n#endif\n",                False),
    (b"#define ASKS __has_include\n#if ASKS(<a.h>)\n#endif\n",                                   False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "known"), QUESTIONS)
def test_an_answer_is_kept_if_the_files_that_the_text_asks_for_are_known(keys, job, tmp_path, monkeypatch, text, known):
    monkeypatch.setattr(cuda_c, "nvrtc_version", lambda library: "13.0.88")
    monkeypatch.setattr(nvrtc, "attempt", lambda *arguments, **options: Compilation(SUCCESS, "", "", "made", {}))
    with contextlib.suppress(LookedUp):
        job(text=text, flags=[f"-I{tmp_path}"]).by_nvrtc(text)
    assert len(keys) == known


@pytest.mark.parametrize("flag", ["-include=a.cuh", "--pre-include=a.cuh", "-I"])
def test_with_files_that_are_not_known_nothing_is_looked_up(keys, job, monkeypatch, flag):
    monkeypatch.setattr(cuda_c, "nvrtc_version", lambda library: "13.0.88")
    answer = Compilation(SUCCESS, "", "", "made", {})
    monkeypatch.setattr(nvrtc, "attempt", lambda *arguments, **options: answer)
    assert job(flags=[flag]).by_nvrtc(b"text") == answer
    assert keys == []


def test_the_answer_of_nvcc_depends_on_its_version_and_its_environment(keys, job, monkeypatch):
    monkeypatch.setattr(nvcc, "find", lambda: (Path("/tools/nvcc"), "g++"))
    monkeypatch.setattr(nvcc, "description", lambda tool, compiler: "nvcc 13.0.88 with g++ 12.4.0")

    def asked(**options):
        return key_of(keys, lambda: cuda_c.by_nvcc(job(**options), ""))

    found = [asked(), asked(arch="sm_80"), asked(flags=["-DX=1"])]
    for name in ("NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS", "CPATH"):
        monkeypatch.setenv(name, "-DX=1")
        found.append(asked())
    monkeypatch.setattr(nvcc, "description", lambda tool, compiler: "nvcc 13.0.88 with g++ 13.1.0")
    found.append(asked())
    monkeypatch.setattr(nvcc, "find", lambda: (Path("/others/nvcc"), "g++"))
    found.append(asked())
    monkeypatch.setattr(cache, "code_version", lambda *names: "other code")
    found.append(asked())
    assert all_differ(found)


def test_machine_code_depends_on_the_text_the_target_the_options_and_the_tool(keys, monkeypatch):
    def asked(ptx="one", arch="sm_90", options=()):
        return [
            key_of(keys, lambda: toolchain.assembled(TOOL, ptx, arch, options)),
            key_of(keys, lambda: toolchain.accepted(TOOL, ptx, arch)),
            key_of(keys, lambda: toolchain.opcode_counts(TOOL, ptx.encode(), arch)),
            key_of(keys, lambda: lines.printed(TOOL, ptx.encode(), (arch, *options))),
        ]

    found = asked() + asked(ptx="two") + asked(arch="sm_80")
    found += asked(options=("-lineinfo",))[::3]
    monkeypatch.setattr(locate, "version", lambda tool: "13.0.2")
    assert all_differ(found + asked())


def test_code_without_line_information_is_not_used_in_place_of_code_with_it(keys):
    with pytest.raises(LookedUp):
        toolchain.accepted(TOOL, "one", "sm_90")  # any of the two tells the messages
    assert [key[0] for key in keys] == ["cubin", "cubin", "accepted"]
    assert all_differ(keys)


def test_a_trial_depends_on_the_text_the_entry_the_target_and_what_was_made(keys, monkeypatch):
    def asked(ptx="one", name="k.ptx", language="ptx", entry="k", target="sm_90", code=True):
        return key_of(keys, lambda: trial.trial_of(TOOL, ptx, "", Path(name), language, entry, target, code))

    found = [asked(), asked("two"), asked(name="other.ptx"), asked(language="cuda"), asked(entry="other")]
    found += [asked(target="sm_80"), asked(code=False)]
    monkeypatch.setattr(locate, "version", lambda tool: "13.0.2")
    found.append(asked())
    monkeypatch.setattr(cache, "code_version", lambda *names: "other code")
    found.append(asked())
    assert all_differ(found)


def test_a_complaint_depends_on_the_text_the_target_and_the_tool(keys):
    def asked(tool=TOOL, ptx="one", arch="sm_90"):
        return key_of(keys, lambda: legality.complaints(tool, ptx, arch))

    found = [asked(), asked(ptx="two"), asked(arch="sm_80"), asked(Path("/others/ptxas"))]
    assert all_differ(found)
