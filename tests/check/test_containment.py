"""Twenty attempts to leak a host file through the tools; all fail, in both modes of containment.

The text of a planted file and a token in the environment must not be in any output; the verdict must be the same
whether a file exists or not.
"""

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ptxbench import containment
from ptxbench.check.reading import CandidateText
from ptxbench.check.source import file_directives, problems
from ptxbench.cli import main
from ptxbench.containment import HEADERS, LANDLOCK, compiler, tools
from ptxbench.containment.nvrtc_library import LibraryError
from ptxbench.errors import CompileError, ToolMissing
from ptxbench.toolchain import locate, nvrtc

HOSTILE = Path(__file__).with_name("hostile")
HONEST_CU = (HOSTILE / "honest.cu").read_text()
HONEST_PTX = (HOSTILE / "honest.ptx").read_text()
SECRET = "hunter2"
TOKEN = "xyzzy_token_4711"

needs_landlock = pytest.mark.skipif(containment.mode() != LANDLOCK, reason="no Landlock in this kernel")

THRUST = """\
#include <thrust/detail/config.h>
#include <thrust/detail/config/memory_resource.h>
#define THRUST_MR_STD_MR_HEADER {name}
#include <thrust/mr/memory_resource.h>
"""
JOINED = """\
#define JOIN(a, b) a##b
#define ASKED JOIN(__has_, include)({name})
#if ASKED
#error there is such a file
#endif
"""

# FILE is replaced by the path of the planted file; each text is put before a correct kernel.
CUDA = {
    "by its name":            '#include "FILE"',
    "in angles":              "#include <FILE>",
    "climbing":               '#include "../../../../../../../..FILE"',
    "behind a comment":       '/* */ # /**/ include /**/ "FILE"',
    "spliced":                '#inc\\\nlude "FILE"',
    "by a digraph":           '%:include "FILE"',
    "by a macro":             '#define NAME "FILE"\n#include NAME',
    "next":                   '#include_next "FILE"',
    "embedded":               'const char data[] = {\n#embed "FILE"\n};',
    "as a module":            'import "FILE";',
    "a header that takes it": THRUST.format(name='"FILE"'),
    "the same, relative":     THRUST.format(name='"../../../../../../../..FILE"'),
    "the environment":        THRUST.format(name='"/proc/self/environ"'),
    "the parent's":           THRUST.format(name=f'"/proc/{os.getppid()}/environ"'),
    "the command line":       THRUST.format(name='"/proc/self/cmdline"'),
    "beside":                 THRUST.format(name='"planted.h"'),
    "above":                  THRUST.format(name='"../planted.h"'),
    "asked for":              '#if __has_include("FILE")\n#error there is such a file\n#endif',
    "asked for, joined":      JOINED.format(name='"FILE"'),
    "a line of it":           '#line 1 "FILE"\n__device__ int bad = missing;',
    "named by __FILE__":      '#line 1 "FILE"\n__device__ char where[] = __FILE__;\nstatic_assert(0, __FILE__);',
    "a folder":               THRUST.format(name='"FILE/"'),
}  # fmt: skip
PTX = {
    "a file directive": lambda text: text.replace(".visible", '.file 1 "FILE"\n.visible', 1)
    .replace("DONE:", "    .loc 1 1 1\nDONE:"),
    "a section": lambda text: text + '\n.section .debug_str { .b8 0 }\n.file 2 "FILE"\n',
    "an include": lambda text: text.replace(".visible", '#include "FILE"\n.visible', 1),
    "a pragma": lambda text: text.replace(".visible", '.pragma "include FILE";\n.visible', 1),
}  # fmt: skip
ATTACKS = [("cu", name) for name in CUDA] + [("ptx", name) for name in PTX]


def attack(language, name, file):
    text = f"{CUDA[name]}\n{HONEST_CU}" if language == "cu" else PTX[name](HONEST_PTX)
    return text.replace("FILE", str(file))


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A folder of candidates, with a file in it, above it and in the user's home; a token in the environment."""
    folder = tmp_path / "home" / "work" / "candidates"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent, folder.parent.parent):
        (path / "planted.h").write_text(f"{SECRET} {SECRET} {SECRET}\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("API_TOKEN", TOKEN)
    return folder


def read_text(folder, language, text):
    """The result of the stages up to `assembles` for a text, as one document."""
    path = folder / f"candidate.{language}"
    path.write_text(text)
    own = CandidateText(path, path.read_bytes(), "sm_90")
    checked = own.parses()
    checked = checked if checked.findings else own.assembles()
    return json.dumps([checked.words, [dataclasses.asdict(finding) for finding in checked.findings], own.notes])


@pytest.mark.parametrize(
    "mode", [pytest.param(LANDLOCK, marks=needs_landlock), pytest.param(HEADERS, marks=pytest.mark.long)]
)
def test_no_attempt_gets_a_file_or_token_into_an_output(mode, planted, monkeypatch, capfd):
    monkeypatch.setenv(containment.VARIABLE, mode)
    home, absent = planted.parents[1] / "planted.h", planted.parents[1] / "absentd.h"
    assert len(ATTACKS) >= 20
    for language, name in ATTACKS:
        report = read_text(planted, language, attack(language, name, home))
        other = read_text(planted, language, attack(language, name, absent))
        shown = report + "".join(capfd.readouterr())
        assert SECRET not in shown, name
        assert TOKEN not in shown, name
        assert report.replace("planted.h", "") == other.replace("absentd.h", ""), name
        if language == "cu" and name not in ("a line of it", "named by __FILE__", "asked for, joined", "as a module"):
            assert '"bad-include"' in report, name


@needs_landlock
def test_the_compiler_of_a_judgement_is_contained_by_the_operating_system_too(planted, capfd):
    """Without it the header would be refused by its text, and no tool would name the file."""
    path = planted / "candidate.cu"
    path.write_text(attack("cu", "a header that takes it", planted / "planted.h"))
    assert main(["check", str(path), "--pair", "triad", "--backend", "emulator", "--seed", "1", "--json"]) == 4
    [candidate] = json.loads(capfd.readouterr().out)["candidates"]
    [finding] = candidate["findings"]
    assert (finding["code"], finding["message"]) == (
        "bad-include",
        "#include of a file that is not one of CUDA's headers.",
    )


def test_the_whole_command_reveals_no_more(planted, capfd, monkeypatch):
    """Text, JSON and stderr of the command, for a text that the compiler refuses, not a rule."""
    path = planted / "candidate.cu"
    path.write_text(attack("cu", "a header that takes it", planted / "planted.h"))
    for form in ((), ("--json",)):
        status = main(["check", str(path), "--pair", "triad", "--backend", "emulator", "--seed", "1", *form])
        shown = "".join(capfd.readouterr())
        assert status == 4
        assert "bad-include" in shown
        assert SECRET not in shown
        assert TOKEN not in shown


LEGAL = (
    "cuda_fp16.h", "cuda_bf16.h", "mma.h", "cuda_pipeline.h", "cooperative_groups.h", "cooperative_groups/reduce.h",
    "cuda/std/array", "cuda/std/type_traits", "cuda/barrier", "cuda/pipeline", "cub/cub.cuh",
)  # fmt: skip


@needs_landlock
def test_cudas_own_headers_compile(planted):
    text = "".join(f"#include <{header}>\n" for header in LEGAL) + HONEST_CU
    assert '"severity": "error"' not in read_text(planted, "cu", text)


WITH_HOST_CODE = f"""\
#include <cstdint>
#include <iostream>
#include <vector>
{HONEST_CU}
int main() {{ std::vector<float> v(10); std::cout << v.size(); }}
"""


@needs_landlock
def test_host_code_and_host_headers_are_left_out_in_the_contained_process(planted):
    assert '"severity": "error"' not in read_text(planted, "cu", WITH_HOST_CODE)


def test_without_landlock_host_headers_are_refused(monkeypatch, planted):
    monkeypatch.setenv(containment.VARIABLE, HEADERS)
    assert '"bad-include"' in read_text(planted, "cu", WITH_HOST_CODE)
    assert "host code, which NVRTC cannot compile" in read_text(planted, "cu", f"{HONEST_CU}\nint main() {{}}\n")


def test_without_landlock_headers_are_allowed_unless_their_names_come_from_macros(monkeypatch):
    monkeypatch.setenv(containment.VARIABLE, HEADERS)
    refused = [header for header in LEGAL if list(problems(f"#include <{header}>\n{HONEST_CU}".encode(), "cuda"))]
    assert refused == ["cub/cub.cuh"]


@pytest.mark.parametrize("mode", [LANDLOCK, HEADERS])
def test_the_name_of_a_header_may_be_too_long_for_a_file(monkeypatch, mode):
    monkeypatch.setenv(containment.VARIABLE, mode)
    [finding] = problems(f"#include <{'a' * 300}>\n{HONEST_CU}".encode(), "cuda")
    assert finding.code == "bad-include"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('# /* own */ include /**/ "helper.cuh" // own', "#include of 'helper.cuh'"),
        ("%:include HELPER", "#include of 'HELPER'"),
        ("#embed <table.bin>", "#embed of 'table.bin'"),
        ('#/*/ include "no.h" */ include <../a.h>', "#include of '../a.h'"),
    ],
)
def test_a_refused_header_is_named(line, named):
    [finding] = problems(f"{line}\n{HONEST_CU}".encode(), "cuda")
    assert (finding.code, finding.line) == ("bad-include", 1)
    assert finding.message == f"{named}, which is not one of CUDA's headers."


@pytest.mark.parametrize("text", [b"#/* ", b"#/* */ ", b"#include <cuda_fp16.h>\n", b"#\n", b"/**/"])
def test_directives_are_found_in_linear_time(text):
    started = time.process_time()
    list(file_directives((text * 30_000).decode()))
    assert time.process_time() - started < 2  # a search that is quadratic takes a minute


# the action of a text, the verdict without Landlock
NOT_WITHOUT_LANDLOCK = [
    ("#include <cub/cub.cuh>",                          "<cub/cub.cuh> includes files whose names come from macros"),
    ("#define JOIN(a, b) a##b",                         "## joins tokens"),
    ("#define JOIN(a, b) a%:%:b",                       "%:%: joins tokens"),
    ("#include <cuda_fp16.h>\n__CUDA_ARCH_HAS_FEATURE__", "__CUDA_ARCH_HAS_FEATURE__ joins tokens"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), NOT_WITHOUT_LANDLOCK)
def test_without_landlock_a_text_cannot_make_the_name_of_a_file(text, message, monkeypatch, planted):
    monkeypatch.setenv(containment.VARIABLE, HEADERS)
    assert f"{message}, which is not allowed on a system without Landlock." in read_text(planted, "cu", text)


# ---- what a restricted process can do

TRY = """
import ctypes, os, pathlib, socket, subprocess, sys
from ptxbench.containment import mode, restrict
own, beside, allowed, programs = map(pathlib.Path, sys.argv[1:5])
restrict(read=[allowed], write=[own], execute=[programs])
restrict(read=[allowed], write=[own], execute=[programs])
print(mode())
libc = ctypes.CDLL(None, use_errno=True)
def of_another_architecture():
    # x32's number of socket: 1 is EPERM, by the filter; a kernel without x32 does not know the call
    if libc.syscall(ctypes.c_long(0x40000000 + 41), 1, 1, 0) < 0 and ctypes.get_errno() == 1:
        raise OSError
def can(what):
    try:
        what()
    except OSError:
        return False
    return True
print(*(name for name, what in {
    "read": lambda: (allowed / "file").read_bytes(),
    "write-own": lambda: (own / "new").write_bytes(b"x"),
    "remove-own": lambda: (own / "new").unlink(),
    "read-beside": lambda: (beside / "file").read_bytes(),
    "list-beside": lambda: list(beside.iterdir()),
    "write-allowed": lambda: (allowed / "new").write_bytes(b"x"),
    "append-beside": lambda: (beside / "file").open("ab"),
    "truncate-beside": lambda: os.truncate(beside / "file", 0),
    "remove-beside": lambda: (beside / "file").unlink(),
    "move-beside": lambda: (beside / "file").rename(own / "file"),
    "link-beside": lambda: os.link(beside / "file", own / "file"),
    "make-beside": lambda: (beside / "folder").mkdir(),
    "symlink-beside": lambda: (beside / "link").symlink_to("file"),
    "pipe-beside": lambda: os.mkfifo(beside / "pipe"),
    "read-program": lambda: (programs / "file").read_bytes(),
    "write-program": lambda: (programs / "file").write_bytes(b"x"),
    "make-program": lambda: (programs / "new").write_bytes(b"x"),
    "run-allowed": lambda: subprocess.run([allowed / "file"]),
    "run": lambda: subprocess.run([sys.executable, "-c", ""], stdin=0, stdout=1, stderr=2),
    "network": lambda: socket.socket(),
    "local-network": lambda: socket.socket(socket.AF_UNIX),
    "other-calls": of_another_architecture,
    "signal": lambda: os.kill(os.getppid(), 0),
    "parent": lambda: pathlib.Path(f"/proc/{os.getppid()}/environ").read_bytes(),
}.items() if can(what)))
"""


@needs_landlock
def test_a_restricted_process_opens_only_the_files_it_is_given(tmp_path):
    folders = [tmp_path / name for name in ("own", "beside", "allowed", "programs")]
    for folder in folders:
        folder.mkdir()
        (folder / "file").write_text("content")
        (folder / "file").chmod(0o755)
    (tmp_path / "own" / "file").unlink()
    program = [sys.executable, "-c", TRY, *map(str, folders)]
    ran = subprocess.run(program, capture_output=True, text=True, check=True)
    # It can be restricted further: the compiler's process is a child of one that is restricted already.
    signals = [] if containment.version() >= 6 else ["signal"]  # older kernels do not restrict them
    assert ran.stdout.split() == ["landlock", "read", "write-own", "remove-own", "read-program", *signals]
    assert (tmp_path / "beside" / "file").read_text() == "content"


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is of Linux")
def test_the_operating_system_contains_candidates_where_it_can():
    """A filter of calls is active in most containers, and does not prevent another one."""
    available = ctypes.CDLL(None).syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint32(1)) > 0
    filtered = re.search(r"^Seccomp:\s*(\d)", Path("/proc/self/status").read_text(), re.M)
    known = os.uname().machine in ("x86_64", "aarch64") and filtered is not None and filtered[1] in ("0", "2")
    assert containment.mode() == (LANDLOCK if available and known else HEADERS)


def test_the_compiler_of_untrusted_text_gets_no_environment_and_an_empty_folder(monkeypatch):
    monkeypatch.setenv("API_TOKEN", TOKEN)
    started = []

    def run(command, **options):
        started.append((options["env"], options["cwd"], list(Path(options["cwd"] or ".").iterdir())))
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(LibraryError):
        compiler.compile_apart(Path("libnvrtc.so"), b"", "k.cu", (), [])
    [(environment, folder, files)] = started
    assert (TOKEN in environment.values(), "HOME" in environment) == (False, False)
    assert (folder not in (None, str(Path.cwd())), files) == (True, [])


@needs_landlock
def test_a_tool_sees_only_its_folder_and_this_process_is_not_restricted(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", TOKEN)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").write_text("own")
    (tmp_path / "beside").write_text("beside")

    def cat(*names):
        return tools.run(Path("/bin/cat"), names, tmp_path / "own", 10)

    assert cat("file").stdout == b"own"
    for name in ("../beside", str(tmp_path / "beside"), "/etc/passwd", f"/proc/{os.getpid()}/environ"):
        assert cat(name).stdout == b"", name
    assert TOKEN.encode() not in cat("/proc/self/environ").stdout
    assert (tmp_path / "beside").read_text() == "beside"


SHELL = Path("/bin/sh")
needs_shell = pytest.mark.skipif(not SHELL.exists(), reason="no shell")


@needs_shell
def test_a_tool_gets_no_environment_but_a_folder_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", TOKEN)
    shown = tools.run(SHELL, ["-c", "set"], tmp_path, 10).stdout.decode()
    assert TOKEN not in shown
    assert re.search(rf"^TMPDIR=['\"]?{re.escape(str(tmp_path))}['\"]?$", shown, re.M)


@needs_shell
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is of Linux")
def test_a_tool_has_the_memory_that_it_may_use(tmp_path):
    wait = "i=0; until [ $(ulimit -v) != unlimited ] || [ $i = 2000 ]; do i=$((i + 1)); done; ulimit -v"
    assert tools.run(SHELL, ["-c", wait], tmp_path, 10, memory_bytes=1 << 30).stdout == b"1048576\n"


@needs_shell
def test_a_tool_that_takes_too_long_is_ended(tmp_path):
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        tools.run(SHELL, ["-c", "i=0; while [ $i -lt 20000000 ]; do i=$((i + 1)); done"], tmp_path, 0.05)
    assert time.monotonic() - started < 4


ENDLESS = b"""
template <unsigned depth, unsigned kind> struct Bomb {
    static constexpr unsigned value = Bomb<depth - 1, 2 * kind>::value + Bomb<depth - 1, 2 * kind + 1>::value;
};
template <unsigned kind> struct Bomb<0, kind> { static constexpr unsigned value = kind; };
__device__ unsigned store = Bomb<28, 0>::value;
"""


def kill_compiler():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            parent = int(path.with_name("stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"containment.nvrtc_library" in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGSEGV)


def test_a_compiler_that_dies_is_blamed_on_the_text_and_one_that_does_not_load_is_not(tmp_path):
    library = nvrtc.find()
    timer = threading.Timer(1.0, kill_compiler)
    timer.start()
    with pytest.raises(CompileError, match=r"deep\.cu: NVRTC ended with SIGSEGV while it compiled this file\."):
        nvrtc.compiled(library, ENDLESS, "deep.cu", ("-arch=compute_90",), locate.headers())
    timer.join()
    with pytest.raises(ToolMissing, match="NVRTC does not load"):
        nvrtc.compiled(tmp_path / "absent.so", b"", "x.cu", (), ())


# an option of NVRTC, whether it names a file
OPTIONS = [
    ("-I/etc", True), ("-I", True), ("--include-path=/etc", True), ("-include=/etc/passwd", True),
    ("--pre-include=/etc/passwd", True), ("@options", True), ("--time=out.csv", True), ("-time=out.csv", True),
    ("--create-pch=x", True), ("--use-pch=x", True), ("--pch-dir=x", True), ("--pch", True), ("-pch", True),
    ("--fdevice-time-trace=x", True),
    ("--use_fast_math", False), ("-lineinfo", False), ("-DI=1", False), ("--std=c++20", False), ("-G", False),
]  # fmt: skip


def test_options_that_name_files_are_recognised():
    assert [nvrtc.names_file(option) for option, _ in OPTIONS] == [wanted for _, wanted in OPTIONS]


@pytest.mark.parametrize("option", ["--arch=sm_90f", "--flag=--maxrregcount=32"])
def test_an_option_that_no_kernel_could_be_built_with_is_an_error_of_usage(capsys, tmp_path, option):
    path = tmp_path / "candidate.cu"
    path.write_text(HONEST_CU)
    assert main(["check", str(path), "--pair", "triad", "--backend", "emulator", option]) == 2
    assert option.rpartition("=")[2] in capsys.readouterr().err


def test_an_option_that_names_a_file_is_an_error_of_usage(capsys, tmp_path):
    path = tmp_path / "candidate.cu"
    path.write_text(HONEST_CU)
    assert main(["check", str(path), "--pair", "triad", "--backend", "emulator", "--flag=-I/etc"]) == 2
    message = "--flag -I/etc names a file or a folder; a candidate may read only CUDA's headers."
    assert message in capsys.readouterr().err
