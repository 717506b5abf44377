"""The process from which judgements are forked: which pairs it keeps, with the data of their seeds, and how it ends
judgements."""

import contextlib
import dataclasses
import errno
import gc
import json
import os
import selectors
import signal
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ptxbench import cache, discovery
from ptxbench.check import fork_server, huge_pages, task_channel
from ptxbench.check.contained import CheckTask
from ptxbench.check.fork_server import (
    MOST_PAIRS,
    MOST_SEEDS,
    ForkServer,
    JudgingProcess,
    PreparedPair,
    RunningJudgement,
    with_task,
)
from ptxbench.check.judgement_process import END, FREE, NEED
from ptxbench.check.stages import CheckOptions
from ptxbench.check.task_channel import SentTask
from ptxbench.forks import Fork
from tests.folders import CUDA, PAIR, changed, kernels_folder


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


def with_header(tmp_path, include):
    """The pair `scale` with a header in another folder, and that header."""
    header = tmp_path / "include" / "factor.cuh"
    header.parent.mkdir()
    header.write_text("#define FACTOR 1\n")
    pair = changed(PAIR, '["--use_fast_math"]', f'["-I{header.parent}", "-DHEADER=<factor.cuh>"]')
    return kernels_folder(tmp_path, pair=pair, cuda=f"{include}\n{CUDA}"), header


@pytest.mark.parametrize("include", ["#include <factor.cuh>", "#include HEADER"])  # the second one is not known
def test_a_pair_is_loaded_again_if_a_header_in_another_folder_has_changed(server, tmp_path, include):
    kernels, header = with_header(tmp_path, include)
    task = json.loads(CheckTask("scale", kernels, "sm_90", 7).to_json(Path("candidate.ptx"), Path(), None))
    first = server.pair(task)
    assert server.pair(task) is first
    header.write_text("#define FACTOR 2\n")
    assert server.pair(task) is not first
    assert len(server.pairs) == 1


@pytest.mark.parametrize("other", [{"arch": "sm_80"}, {"seed": 8}, {"settings": CheckOptions(thorough=True)}])
def test_another_architecture_seed_or_option_has_its_own_suite(server, other):
    task = CheckTask("triad", discovery.default_kernels(), "sm_90", 7)
    first, second = (
        server.pair(json.loads(each.to_json(Path("candidate.ptx"), Path(), None)))
        for each in (task, dataclasses.replace(task, **other))
    )
    assert second is not first


# ---- the end of a judgement


@dataclass
class ScriptedProcess:
    """A judgement's process that ends only if it is killed. It is its own fork, too."""

    returncode: int | None = None

    @property
    def fork(self):
        return self

    def poll(self):
        return self.returncode

    def end(self):
        self.returncode = -9 if self.returncode is None else self.returncode


@pytest.fixture
def judging(server):
    """A judgement in a scripted process, and the other end of its connection."""
    connection, judge = socket.socketpair()
    judge.settimeout(10)
    process = ScriptedProcess()
    server.running[connection] = RunningJudgement(process, {}, None)
    server.selector.register(connection, selectors.EVENT_READ)
    with judge:
        yield process, connection, judge
    connection.close()


def test_a_judgement_that_needs_the_kernels_of_the_pair_is_answered_when_they_are_made(server, judging, monkeypatch):
    _, connection, judge = judging
    made = []
    pair = PreparedPair(None, CheckOptions(), warm_result=True)
    server.running[connection].pair = pair
    server.running[connection].task = {"pair": "a", "kernels": "b", "arch": "c", "settings": {"targets": []}}
    monkeypatch.setattr(fork_server, "key", lambda *task: task)
    monkeypatch.setattr(cache, "replace", lambda key, content: made.append(key))
    for warm_before in (False, True):
        monkeypatch.setattr(fork_server, "is_warm", lambda *task, warm_before=warm_before: warm_before)
        judge.sendall(NEED)
        server.take_order(connection)
        assert (json.loads(judge.recv(100)), pair.needed) == ({"ready": True}, True)
        assert made == [("a", Path("b"), "c", [])]  # at the first time


def test_a_process_that_has_only_read_a_text_waits_for_another_task(server, judging):
    process, connection, judge = judging
    server.running[connection].pair = pair = PreparedPair(None, CheckOptions())
    judge.sendall(FREE)
    server.take_order(connection)
    assert (process.returncode, server.running, pair.free) == (None, {}, [process])


@pytest.mark.parametrize(
    ("task", "ended", "taken"),
    [
        ({"limits": 1, "separate": False, "seed": 2}, False, True),
        ({"limits": 2, "separate": False}, False, False),
        ({"limits": 1, "separate": True}, False, False),
        ({"limits": 1, "separate": False}, True, False),
    ],
)
def test_a_process_that_waits_takes_only_a_task_with_its_limits(task, ended, taken):
    class Waiting(ScriptedProcess):
        suits = JudgingProcess.suits
        task: dict[str, object]
        channel: socket.socket

    one, other = socket.socketpair()
    with one, other:
        waiting = Waiting(1 if ended else None)
        waiting.task, waiting.channel = {"limits": 1, "separate": False, "seed": 1}, one
        free = [waiting]
        assert with_task(free, SentTask(task, [0, 1, 2])) is (waiting if taken else None)
        assert free == ([] if taken or ended else [waiting])
        if taken:
            sent = task_channel.receive(other)
            assert sent.task == task
            for descriptor in sent.descriptors:
                os.close(descriptor)


def test_the_end_of_the_server_ends_its_judgements(server, judging):
    process, _, judge = judging
    server.close()
    assert (process.returncode, server.running, judge.recv(1)) == (-9, {}, b"")


def test_a_judgement_whose_judge_has_ended_is_ended(server, judging):
    process, connection, judge = judging
    judge.close()
    server.take_order(connection)
    assert (process.returncode, server.running) == (-9, {})


def test_a_process_that_was_asked_to_end_is_killed_only_when_its_time_is_over(server, judging):
    process, connection, judge = judging
    judge.sendall(END)
    server.take_order(connection)
    assert process.returncode is None
    server.running[connection].kill_at = time.monotonic()
    server.report_end(connection)
    assert json.loads(judge.recv(100)) == {"status": -9, "forced": True}
    assert not server.running


def test_a_process_that_ends_when_it_was_asked_to_is_not_reported_as_killed(server, judging):
    process, connection, judge = judging
    process.returncode = 1
    judge.sendall(END)
    server.take_order(connection)
    assert json.loads(judge.recv(100)) == {"status": 1, "forced": False}


def test_a_judge_that_has_gone_does_not_end_the_server(server, judging):
    process, connection, judge = judging
    process.returncode = 1
    server.running[connection].kill_at = time.monotonic()
    judge.close()
    server.report_end(connection)
    assert not server.running


def test_a_machine_that_cannot_fork_is_an_answer_and_not_the_end_of_the_server(server, monkeypatch):
    def fork(pair, sent):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(server, "fork", fork)
    task = CheckTask("triad", discovery.default_kernels(), "sm_90", 7)
    connection, judge = socket.socketpair()
    judge.settimeout(10)
    reading, answers = os.pipe()
    with judge, os.fdopen(reading) as answer, os.fdopen(answers, "w"):
        server.start(SentTask(json.loads(task.to_json(Path("a.ptx"), Path(), None)), [0, answers, 2]), connection)
        assert json.loads(answer.readline())["error"] == "MachineError"
        assert (server.running, judge.recv(1)) == ({}, b"")


# ---- the processes


def test_the_processes_that_a_judgement_has_started_end_with_it():
    reading, writing = os.pipe()

    def main():
        os.setsid()
        os.fork()
        os.write(writing, b".")
        signal.pause()

    channel, other_end = socket.socketpair()
    with os.fdopen(reading, "rb", buffering=0) as pipe, other_end:
        process = JudgingProcess({}, Fork(main, [writing]), channel)
        os.close(writing)
        try:
            assert pipe.read(1) + pipe.read(1) == b".."
            process.end()
            with selectors.DefaultSelector() as selector:
                selector.register(pipe, selectors.EVENT_READ)
                assert selector.select(10), "a process that the judgement has started is still there"
            assert pipe.read(1) == b""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.fork.pid, signal.SIGKILL)


def test_a_judgement_is_forked_after_the_threads_of_builds_have_ended(server, monkeypatch):
    """A copy of the process would wait forever for a lock that one of them holds."""
    build = threading.Thread(target=time.sleep, args=(0.02,))
    alive = []
    # Those of this test: pytest-xdist has threads that do not end.
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread(), build])
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(fork_server, "Fork", lambda main, inherited: alive.append(build.is_alive()))
    monkeypatch.setattr(huge_pages, "collapse", lambda: None)
    build.start()
    server.fork(None, SentTask({}, [])).channel.close()
    assert alive == [False]


def test_processes_that_wait_for_a_task_end_when_the_pair_gets_its_own_kernels(monkeypatch):
    """They were forked before, and lack what was prepared."""
    waiting = ScriptedProcess()
    pair = PreparedPair(None, CheckOptions(), warm_result=False, free=[waiting])
    pair.prepare()
    assert (waiting.returncode, pair.free) == (-9, [])
