"""A judgement in its own process: limits of time and memory, a crash, files that must not be read, Ctrl-C."""

import contextlib
import dataclasses
import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptxbench import cache, containment, discovery
from ptxbench.check import candidate_cache, contained, judgement_process, worker
from ptxbench.check.contained import GIB, CheckTask, ProcessLimits, judge, judge_candidate
from ptxbench.check.inputs import read
from ptxbench.check.judged import Judgements
from ptxbench.check.judgement_process import ServerProcess
from ptxbench.check.stages import CheckOptions
from ptxbench.emulator import native
from ptxbench.errors import MachineError, PairError, UsageError
from ptxbench.toolchain import sha256
from tests import quick
from tests.check.judging import SEED, outcome

KERNELS = discovery.default_kernels()
HOSTILE = Path(__file__).with_name("hostile")
HONEST_CU = (HOSTILE / "honest.cu").read_text()
HONEST = (HOSTILE / "honest.ptx").read_text()

BOMB = """
template <unsigned depth, unsigned kind> struct Bomb {
    static constexpr unsigned value = Bomb<depth - 1, 2 * kind>::value + Bomb<depth - 1, 2 * kind + 1>::value;
};
template <unsigned kind> struct Bomb<0, kind> { static constexpr unsigned value = kind; };
__device__ unsigned store = Bomb<28, 0>::value;
"""


def task(pair="triad", kernels=KERNELS, **limits):
    return CheckTask(pair, kernels, "sm_90", SEED, CheckOptions(), ProcessLimits(**limits))


class ReachedError(Exception):
    pass


def until(stage):
    """Ends a judgement at this stage."""

    def begin(begun):
        if begun == stage:
            raise ReachedError

    return begin


def test_a_right_kernel_is_accepted_in_its_process_and_every_stage_is_reported(tmp_path):
    stages = []
    judgement = judge(HOSTILE / "honest.ptx", task(), stages.append)
    assert outcome(judgement) == "accepted"
    assert judgement.file == str(HOSTILE / "honest.ptx")
    assert stages == [stage.stage for stage in judgement.stages]


def test_a_compilation_that_does_not_end_is_ended(tmp_path):
    (tmp_path / "bomb.cu").write_text(HONEST_CU.replace("extern", BOMB + "extern", 1))
    started = time.monotonic()
    judgement = judge(tmp_path / "bomb.cu", task(seconds=2))
    assert time.monotonic() - started < 30
    assert outcome(judgement) in ("parses time-limit", "parses memory-limit")
    assert judgement.decisive.message == "not finished after 2 s."


@pytest.mark.long
def test_a_compiler_that_runs_out_of_stack_costs_only_the_candidate(tmp_path):
    (tmp_path / "deep.cu").write_text(HONEST_CU.replace("fmaf(s", "(" * 100_000 + "fmaf(s", 1))
    judgement = judge(tmp_path / "deep.cu", task(seconds=60))
    assert outcome(judgement) in ("parses crashed", "parses does-not-compile", "parses time-limit")


def test_memory_is_limited(tmp_path):
    own = ".local .b8 stack[300000];\n    st.local.u32 [stack], 0;\n"
    (tmp_path / "large.ptx").write_text(HONEST.replace("\n    ld.param", f"\n    {own}\n    ld.param", 1))
    judgement = judge(tmp_path / "large.ptx", task(memory_bytes=GIB // 2))
    assert outcome(judgement) == "results memory-limit"
    with pytest.raises(ReachedError):  # with more of it, it is right
        judge(tmp_path / "large.ptx", task(), until("hidden"))


@pytest.mark.parametrize(
    ("allowed", "ends"),
    [(resource.RLIM_INFINITY, "results memory-limit"), (6 * GIB, "results memory-limit"), (GIB, "results shell-limit")],
)
def test_too_little_memory_rejects_no_candidate_if_the_shell_allows_less_than_the_limit(monkeypatch, allowed, ends):
    monkeypatch.setattr(resource, "getrlimit", lambda name: (allowed, allowed))
    candidate = read(HOSTILE / "honest.ptx")
    ended = contained.ended_early(candidate, task(), "results", "memory-limit", "not finished.")
    judgement = contained.by_limit_of_shell(ended, candidate, task())
    assert outcome(judgement) == ends
    assert judgement.verdict == ("unjudged" if allowed == GIB else "rejected")
    assert [stage.stage for stage in judgement.stages] == ["results"]


def test_the_limits_apply_to_child_processes_too():
    program = (
        "import resource, subprocess, sys\n"
        "from ptxbench.check.worker import limit\n"
        "limit(5.0, 2 << 30)\n"
        "import resource as r\n"
        "print(subprocess.run([sys.executable, '-c', 'import resource as r; print(r.getrlimit(r.RLIMIT_AS)[0], "
        "r.getrlimit(r.RLIMIT_CORE)[0])'], capture_output=True, text=True).stdout)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(2 << 30), "0"]


def test_a_machine_with_many_cores_needs_no_more_address_space(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "64")
    assert judgement_process.environment()["OPENBLAS_NUM_THREADS"] == "1"


def test_the_process_gets_only_the_variables_that_it_needs(monkeypatch):
    monkeypatch.setenv("API_TOKEN", "hunter2")
    monkeypatch.setenv("MY_PYTHON_TOKEN", "hunter2")
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    monkeypatch.setenv("PYTHONPERFSUPPORT", "1")
    variables = judgement_process.environment()
    assert "hunter2" not in variables.values()
    assert "PYTHONPERFSUPPORT" not in variables
    assert (variables["PATH"], variables["PYTHONHASHSEED"]) == (os.environ["PATH"], "1")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "cannot write a temporary file (TMPDIR): No space left on device."),
        (errno.EMFILE, "Too many open files in the judgement. Raise the limit (ulimit -n)"),
        (errno.EAGAIN, "can start no more processes. Raise their limit (ulimit -u)"),
        (errno.EACCES, None),
    ],
)
def test_a_full_disk_in_a_judgement_is_not_the_candidates_fault(number, words):
    message = worker.machine_message(OSError(number, os.strerror(number)))
    assert message is None if words is None else words in message


def test_too_many_open_files_are_not_a_bug(server, monkeypatch):
    def no_file():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("tempfile.TemporaryFile", no_file)
    with pytest.raises(OSError, match="Too many open files"):
        judge_in(server, "adds_what_nobody_wrote.ptx")


INTRUDER = """
import os, pathlib, socket, sys
if layer := os.environ.get("PTXBENCH_CACHE_LAYER"):  # in the process of the judgement
    cache = pathlib.Path(os.environ["PTXBENCH_CACHE"])
    entry = next(each for each in sorted(cache.rglob("*")) if each.is_file())
    attempts = {
        "an entry added": lambda: (cache / "intruder").write_text("x"),
        "an entry changed": lambda: entry.open("ab"),
        "an entry cut": lambda: os.truncate(entry, 0),
        "an entry removed": entry.unlink,
        "another layer": lambda: pathlib.Path(layer).with_name("0" * 64).mkdir(),
        "the pair": lambda: pathlib.Path(__file__).open("ab"),
        "the network": socket.socket,
    }
    def succeeds(attempt):
        try:
            attempt()
        except OSError:
            return False
        return True
    if done := [name for name, attempt in attempts.items() if succeeds(attempt)]:
        raise RuntimeError(f"{done}")
    (pathlib.Path(layer) / "own").write_text("x")
"""


@pytest.mark.long  # it builds everything that the pair's suite needs, in its own cache
@pytest.mark.skipif(containment.mode() != containment.LANDLOCK, reason="no Landlock in this kernel")
def test_the_process_writes_only_to_its_own_part_of_the_cache(kernels, tmp_path, monkeypatch):
    """The pair's own file tries, since it runs in the process that a candidate could take over."""
    pair = kernels / "pairs" / "scale.py"
    source = (kernels / "ptx" / "scale.ptx").read_text()
    intruder = "".join(f"    {line}\n" for line in INTRUDER.splitlines())
    tried = f"def tried(*arguments, **named):\n{intruder}    return real(*arguments, **named)\n"
    own = "real, PAIR = PAIR.reference, dataclasses.replace(PAIR, reference=tried)\n"
    pair.write_text(f"import dataclasses\n{pair.read_text()}\n{tried}{own}")
    native.event_function()
    detector = cache.known(native.event_key())
    root = tmp_path / "cache"  # others write to the tests' own at the same time
    monkeypatch.setenv("PTXBENCH_CACHE", str(root))
    cache.replace(native.event_key(), detector)  # compiling the race detector takes ten seconds
    (root / "other").mkdir(parents=True)
    (root / "other" / "entry").write_text("x")
    (tmp_path / "mine.ptx").write_text(f"// mine\n{source}")

    def state():
        return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    with pytest.raises(ReachedError):  # and the pair's own kernels are in the cache now
        judge(tmp_path / "mine.ptx", task("scale", kernels), until("hidden"))
    before = state()
    (tmp_path / "mine.ptx").write_text(f"// another\n{source}")
    with pytest.raises(ReachedError):
        judge(tmp_path / "mine.ptx", task("scale", kernels), until("hidden"))
    own = root / "candidates" / sha256((tmp_path / "mine.ptx").read_bytes())
    assert (own / "own").is_file()
    assert {path for path in state() if path not in before} == {path for path in own.rglob("*") if path.is_file()}
    assert {path: time for path, time in state().items() if path in before} == before


def test_layers_that_are_too_large_or_too_many_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(candidate_cache, "MOST_LAYERS", 2)
    monkeypatch.setattr(candidate_cache, "REMOVED_AT_ONCE", 2)
    layers = [candidate_cache.layer(f"{number}") for number in range(4)]
    for age, layer in enumerate(layers):
        (layer / "file").write_text("x")
        os.utime(layer, (age, age))
    assert candidate_cache.layer("1") == layers[1]  # used again
    candidate_cache.tidy(layers[1])
    assert [path.is_dir() for path in layers] == [False, True, False, True]
    (layers[3] / "link").symlink_to(tmp_path)
    (layers[3] / "large").write_bytes(b"x" * 100)
    monkeypatch.setattr(candidate_cache, "MOST_BYTES", 50)
    candidate_cache.tidy(layers[3])
    assert [path.is_dir() for path in layers] == [False, True, False, False]
    assert tmp_path.is_dir()
    candidate_cache.tidy(candidate_cache.layer("empty"))
    assert [path.name for path in layers[1].parent.iterdir()] == ["1"]


def test_for_a_text_that_no_tool_reads_no_kernel_of_the_pair_is_compiled(tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "no.cu").write_text("no kernel\n")
    assert outcome(judge(tmp_path / "no.cu", task())) == "parses does-not-compile"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["candidates"]


def test_without_a_private_cache_there_is_no_layer(tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    assert candidate_cache.layer("1") is None
    assert list((tmp_path / "cache").iterdir()) == []


# ---- files


@pytest.mark.parametrize("path", quick.every(3, sorted(HOSTILE.glob("reads_a_file*.cu"))), ids=lambda path: path.name)
def test_no_line_of_another_file_gets_into_a_message(path, tmp_path, kept_server):
    """Judged on our own file in place of /etc/passwd, so that there is something to leak."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2 hunter2 hunter2\n")
    text = path.read_text().replace("/etc/passwd", str(secret)).replace("../etc/passwd", str(secret))
    (tmp_path / "candidate.cu").write_text(text)
    judgement = judge_candidate(read(tmp_path / "candidate.cu"), task(), kept_server)
    assert outcome(judgement) == "parses bad-include"
    assert "hunter2" not in str(judgement)


def test_a_file_next_to_the_candidate_is_not_read(tmp_path, kept_server):
    (tmp_path / "mine.h").write_text("hunter2\n")
    (tmp_path / "candidate.cu").write_text(HONEST_CU.replace("<cuda_fp16.h>", '"mine.h"'))
    judgement = judge_candidate(read(tmp_path / "candidate.cu"), task(), kept_server)
    assert outcome(judgement) == "parses bad-include"
    assert "hunter2" not in str(judgement)


def test_lines_of_another_file_that_the_ptx_names_are_not_looked_up(tmp_path, kept_server):
    (tmp_path / "secret").write_text("hunter2\n")
    claims = f'.file 1 "{tmp_path}/secret"\n.visible'
    text = HONEST.replace(".visible", claims, 1).replace("DONE:", "    .loc 1 1 1\nDONE:")
    (tmp_path / "candidate.ptx").write_text(text)
    judgement = judge_candidate(read(tmp_path / "candidate.ptx"), task(), kept_server)
    assert outcome(judgement) == "accepted"
    assert "hunter2" not in str(judgement)


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    judge(HOSTILE / "never_ends.ptx", task())
    assert list(tmp_path.iterdir()) == []


# ---- what is not the candidate's fault


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("absent.ptx", "There is no file"),
        ("folder.ptx", "has no .ptx or .cu file"),
        ("kernel.txt", "neither a .ptx nor a .cu file"),
    ],
)
def test_a_file_that_cannot_be_judged_is_an_error_of_usage(name, error, tmp_path):
    (tmp_path / "folder.ptx").mkdir()
    (tmp_path / "kernel.txt").write_text("")
    with pytest.raises(UsageError, match=error):
        judge(tmp_path / name, task())


def test_a_mistake_of_the_pair_is_not_blamed_on_the_candidate(kernels):
    pair = kernels / "pairs" / "scale.py"
    pair.write_text(pair.read_text().replace("PAIR = ", "PAIR = missing or ", 1))
    with pytest.raises(PairError, match="missing"):
        judge(HOSTILE / "honest.ptx", task("scale", kernels))


def test_an_error_of_ptxbench_gives_no_verdict_on_the_candidate():
    wrong = dataclasses.replace(task(), settings=CheckOptions(targets=7))
    judgement = judge(HOSTILE / "honest.ptx", wrong)
    assert (judgement.verdict, outcome(judgement)) == ("unjudged", "portability judge-failed")
    assert "exit status 1: " in judgement.decisive.message


def test_an_error_of_the_process_must_be_an_error_of_ptxbench():
    assert type(contained.reported_error("UsageError", "no")) is UsageError
    assert type(contained.reported_error("SystemExit", "no")) is PairError
    assert type(contained.reported_error("__builtins__", "no")) is PairError


# ---- its end


def living(group):
    """The processes of a group that still run, without zombies."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of, *_ = path.read_text().rpartition(")")[2].split()
            pids += [path.parent.name] if int(of) == group and state != "Z" else []
    return pids


def judge_in(server, name, begin=lambda stage, process: None):
    """Judge a hostile file; `begin` gets each stage and the process of the judgement."""
    started = []
    return judge_candidate(
        read(HOSTILE / name), task(), server, lambda stage: begin(stage, started[-1]), started.append
    )


@pytest.fixture
def server():
    with contextlib.closing(ServerProcess()) as server:
        yield server


@pytest.fixture(scope="module")
def module_server():
    with contextlib.closing(ServerProcess()) as server:
        yield server


@pytest.fixture
def kept_server(module_server):
    """The server of all tests, without the judgements of earlier tests."""
    module_server.judgements = Judgements()
    return module_server


def test_ctrl_c_ends_the_process_and_all_that_it_started(server):
    pids = []

    def interrupt(stage, process):
        if stage == "results":
            pids.append(process.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge_in(server, "never_ends.ptx", interrupt)
    deadline = time.monotonic() + 10  # killed is not yet gone
    while remaining := living(pids[-1]):
        assert time.monotonic() < deadline, remaining
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_from_which_judgements_are_forked_has_not_loaded_scipy(kept_server):
    """Each library makes every fork slower; scipy's optimizer alone has eighty."""
    honest = read(HOSTILE / "honest.ptx")
    for comment in (b"// first", b"// second"):  # before the second, it prepares the pair
        text = dataclasses.replace(honest, content=comment + b"\n" + honest.content)
        assert outcome(judge_candidate(text, task(), kept_server)) == "accepted"
    mapped = Path(f"/proc/{kept_server.process.pid}/maps").read_text()
    assert "/highspy/" in mapped  # it has derived
    assert "/scipy/" not in mapped


def test_a_process_that_dies_costs_only_the_candidate_and_the_cause_is_reported(server):
    def kill(stage, process):
        if stage == "lint":
            os.kill(process.pid, signal.SIGSEGV)

    judgement = judge_in(server, "honest.ptx", kill)
    assert outcome(judgement).endswith(" crashed")
    assert judgement.decisive.message == "the process ended with SIGSEGV."
    assert judgement.verdict == "rejected"
    assert [stage.verdict for stage in judgement.stages][:2] == ["passed", "passed"]
    assert outcome(judge_in(server, "traps.ptx")) == "results trap"


# the signal, in how many judgements it comes, from where; the outcome, and how many processes judged
ENDS = [
    (signal.SIGKILL, 1, "others", "results trap", 2),  # as the kernel does when memory runs out
    (signal.SIGTERM, 1, "others", "results trap", 2),
    (signal.SIGKILL, 9, "others", "lint crashed", 2),  # the candidate may be the cause
    (signal.SIGSEGV, 1, "others", "lint crashed", 1),  # a fault of its own
    (signal.SIGKILL, 1, "here", "lint crashed", 1),  # as `cancel` of the service does
]


@pytest.mark.parametrize(
    ("sent", "times", "by", "expected", "processes"), quick.first_of_each(lambda end: end[4], ENDS)
)
def test_a_candidate_whose_process_others_end_is_judged_once_more(kept_server, sent, times, by, expected, processes):
    pids = []

    def end(stage, process):
        if stage == "lint" and len(pids) < times:  # before it, the process waits
            pids.append(process.pid)
            process.kill() if by == "here" else os.kill(process.pid, sent)
        elif stage == "results":
            pids.append(process.pid)

    judgement = judge_in(kept_server, "traps.ptx", end)
    assert (outcome(judgement), judgement.verdict) == (expected, "rejected")
    assert len(set(pids)) == len(pids) == processes


@pytest.mark.parametrize(("times", "expected"), [(1, "results endless"), (2, "results crashed")])
def test_a_candidate_whose_process_dies_in_a_launch_is_judged_again_with_an_emulator_process(
    kept_server, times, expected
):
    pids = []

    def end(stage, process):
        if stage == "results":
            pids.append(process.pid)
            if len(pids) <= times:
                os.kill(process.pid, signal.SIGSEGV)

    judgement = judge_in(kept_server, "never_ends.ptx", end)
    assert (outcome(judgement), judgement.verdict) == (expected, "rejected")
    assert len(set(pids)) == 2


def test_a_judgement_that_is_cancelled_in_a_launch_is_not_begun_again(kept_server):
    pids = []

    def end(stage, process):
        if stage == "results":
            pids.append(process.pid)
            process.kill()

    assert outcome(judge_in(kept_server, "never_ends.ptx", end)) == "results crashed"
    assert len(pids) == 1


@pytest.mark.parametrize("restarted", quick.every(2, [False, True]))
def test_if_the_server_dies_no_verdict_is_lost(server, restarted):
    """Even if another judgement has started it again before this one notices."""
    killed = []

    def kill(stage, process):
        if stage == "signature" and not killed:
            killed.append(server.process.pid)
            server.process.kill()
            if restarted:
                server.process.wait()
                server.run()

    assert outcome(judge_in(server, "traps.ptx", kill)) == "results trap"
    assert killed != [server.process.pid]


@pytest.mark.long
def test_if_the_server_always_dies_there_is_no_verdict(server):
    judgement = judge_in(server, "traps.ptx", lambda stage, process: server.process.kill())
    assert (judgement.verdict, outcome(judgement)) == ("unjudged", "parses judge-failed")
    message = "the process from which judgements are forked cannot run: it ended with SIGKILL."
    assert judgement.decisive.message == message


def test_a_judgement_that_is_ended_from_outside_is_not_a_verdict(server):
    with pytest.raises(MachineError, match=r"The judge was closed before this judgement was complete\."):
        judge_in(server, "never_ends.ptx", lambda stage, process: server.close())
