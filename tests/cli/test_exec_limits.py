"""`ptxbench exec` on odd numbers: a sentence and the right exit status, never a traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"
KERNEL = HEADER + (
    ".visible .entry k(.param .u64 x, .param .u32 n)\n{\n.reg .u64 %x;\n.reg .u32 %n;\nld.param.u64 %x, [x];\n"
    "ld.param.u32 %n, [n];\nst.global.u32 [%x], %n;\nret;\n}\n"
)
LONG = "9" * 5000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k.ptx").write_text(KERNEL)
    (tmp_path / "local.ptx").write_text(
        HEADER + ".visible .entry k()\n{\n.local .b8 s[100000000];\n.reg .u64 %s;\nmov.u64 %s, s;\n"
        "st.local.u64 [%s], %s;\nret;\n}\n"
    )
    return tmp_path


GOOD = ("--arg", "u32[1]=0", "--arg", "u32=7")

# the command line, the exit status, a part of the message
ODD = [
    (("--grid", LONG, *GOOD),                               2, "write one to three whole numbers of at least 1"),
    (("--grid", "9999999999", *GOOD),                       2, "The grid is (9999999999, 1, 1); the maximum is"),
    (("--block", "2000000000", *GOOD),                      2, "The block has 2000000000 threads; the maximum is"),
    (("--shared", "2000000000", *GOOD),                     2, "bytes of shared memory; the maximum is 232448"),
    (("--lines", LONG, *GOOD),                              2, "write a number, or all"),
    (("--max-loop-iterations", LONG[:4000], *GOOD),                        0, ""),
    (("--threads", "1000000000", *GOOD),                    0, ""),
    (("--seed", LONG[:4000], *GOOD),                        0, ""),
    (("--arg", f"u32[{LONG}]=0", "--arg", "u32=7"),         2, "too many elements"),
    (("--arg", "u32[1,2000000000]=0", "--arg", "u32=7"),    2, "takes 8.0 GB; an array may have 4.3 GB"),
    (("--arg", f"u32[{'1,' * 40}1]=0", "--arg", "u32=7"),   2, "has 41 dimensions; an array may have 32"),
    (("--arg", "u32[1]=0", "--arg", f"u32={LONG}"),         2, "expected a u32 from 0 to 4294967295"),
    (("--arg", f"{LONG}:u32[1]=0", "--arg", "u32=7"),       2, "is not a type"),
    (("--arg", "{" * 3000, "--arg", "u32=7"),               2, "expected '}' at the end of the structure"),
    (("--arg", "{" * 90 + "}" * 90, "--arg", "u32=7"),      2, "structures may be nested at most 16 deep"),
    (("--save", f"{LONG}=x.npy", *GOOD),                    2, "--save: there is no array"),
    (("--save", "²=x.npy", *GOOD),                          2, "--save: there is no array"),
    (("--arg", "u32[1]=0", "--arg", "&²"),                  2, "parameter 'n' is .u32, passed by value"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "status", "message"), ODD, ids=[" ".join(row[0])[:40] for row in ODD])
def test_unusual_numbers_get_one_sentence(folder, ptxbench, options, status, message):
    ran = ptxbench("exec", "k.ptx", *options)
    assert ran.status == status, ran.err
    assert message in ran.err
    assert len(ran.err) < 7000


def test_arrays_beyond_this_machines_memory_are_refused_before_they_are_made(folder, ptxbench, monkeypatch):
    monkeypatch.setattr("ptxbench.arguments.values.available_memory", lambda: 10_000)
    ran = ptxbench("exec", "k.ptx", "--arg", "u32[1000]=0", "--arg", "u32=7")
    assert (ran.status, ran.err) == (2, "Error: The arrays take 0.0 GB; 0.0 GB are free. Use smaller ones.\n")
    assert ptxbench("exec", "k.ptx", *GOOD).status == 0


def test_memory_that_runs_out_nevertheless_gets_one_sentence(folder, ptxbench, monkeypatch):
    monkeypatch.setattr("ptxbench.execution.make", lambda *_: (_ for _ in ()).throw(MemoryError))
    ran = ptxbench("exec", "k.ptx", *GOOD)
    assert (ran.status, ran.err) == (
        2, "Error: Not enough free memory.\n"
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space of a process")
def test_a_limit_of_the_address_space_counts(folder):
    command = "ulimit -v 3000000; ptxbench exec k.ptx --arg u32[500000000]=1 --arg u32=7"
    ran = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert re.fullmatch(r"Error: The arrays take 6\.0 GB; \d\.\d GB are free\. Use smaller ones\.\n", ran.stderr)


def test_a_kernel_that_is_too_large_is_a_broken_kernel(folder, ptxbench):
    ran = ptxbench("exec", "local.ptx")
    assert ran.status == 4
    assert "KernelTooLarge: local.ptx:6: 's' takes 100,000,000 bytes of local memory for each thread" in ran.out


WORDS = st.sampled_from(
    ["0", "1", "32", "1024", "2000000000", LONG, "-1", "1,1", "1,1,1,1", "x", "", "1.5", "0x10", "٣", "u32[1]=0",
     "u32=7", "u8[2000000000]=x", "f64[4]=random(0,1)", "{u64=1}", "&{u32=1}", "&x", "&x[0]", "x:null", "1:u32=7",
     "a.npy", "=", ":", "u32[65536,65536]=iota", "s32[2]=-5", "n:u32=1"]
)  # fmt: skip
OPTIONS = st.sampled_from(["--grid", "--block", "--shared", "--arg", "--arg", "--arg", "--lines", "--seed", "--save"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(OPTIONS, WORDS), max_size=5))
def test_no_command_line_ends_in_a_traceback(folder, ptxbench, pairs):
    words = [word for pair in pairs for word in pair]
    ran = ptxbench("exec", "k.ptx", "--max-loop-iterations", "1000", *words)
    assert ran.status in (0, 2, 4), (words, ran.err)
    assert "Traceback" not in ran.err
