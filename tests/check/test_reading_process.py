"""The process of a text that was only read judges the next one; what does more than read has a process of its own."""

import contextlib
import dataclasses
import io
import itertools
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from ptxbench import containment, discovery
from ptxbench.check import contained
from ptxbench.check.contained import CheckTask, ProcessLimits, judge_candidate
from ptxbench.check.findings import to_document
from ptxbench.check.fork_server import FREE_SECONDS, JudgingProcess
from ptxbench.check.inputs import Candidate, read
from ptxbench.check.judgement_process import FREE, JudgementProcess, ServerLost, ServerProcess
from ptxbench.check.worker import MOST_READ
from tests.check.judging import SEED, outcome

TASK = CheckTask("triad", discovery.default_kernels(), "sm_90", SEED)
HOSTILE = Path(__file__).with_name("hostile")
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server():
    with contextlib.closing(ServerProcess()) as server:
        yield server


def cut(language="ptx"):
    """A text that no one had before, and that is rejected as soon as it is read."""
    return Candidate("cut", language, b"// %d\n.version 8.0\n.target sm_80\n{" % next(NUMBERS))


def process_of(server, candidate, expected, begin=lambda stage, pid: None, task=TASK):
    """The process that judges a candidate, with this outcome."""
    processes = []
    judgement = judge_candidate(
        candidate, task, server, lambda stage: begin(stage, processes[-1].pid), lambda one: processes.append(one)
    )
    assert outcome(judgement) == expected
    return processes


def pids_of(server, *candidates, expected="parses syntax", task=TASK):
    pids = []
    for candidate in candidates:
        process_of(
            server, candidate, expected, lambda stage, pid: pids.append(pid) if stage == "parses" else None, task
        )
    return pids


def test_twenty_texts_are_read_in_one_process(server):
    pids = pids_of(server, *(cut() for _ in range(2 * MOST_READ + 1)))
    assert max(map(pids.count, pids)) == MOST_READ


def test_a_text_that_is_compiled_has_its_own_process(server):
    pids = pids_of(server, cut("cuda"), cut("cuda"), expected="parses does-not-compile")
    assert len(set(pids)) == 2


def test_a_kernel_that_runs_gets_a_confined_process_that_has_only_read_and_is_its_last(server):
    status = {}

    def look(stage, pid):
        status[stage] = pid, "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()

    [reader] = pids_of(server, cut())
    process_of(server, read(HOSTILE / "traps.ptx"), "results trap", look)
    landlock = containment.mode() == containment.LANDLOCK
    assert status["parses"][0] == reader
    assert status["results"] == (reader, landlock)
    assert pids_of(server, cut()) != [reader]


def test_a_task_with_other_limits_has_its_own_process(server):
    [reader] = pids_of(server, cut())
    longer = dataclasses.replace(TASK, limits=ProcessLimits(seconds=121.0))
    assert pids_of(server, cut(), task=longer) != [reader]
    assert pids_of(server, cut()) == [reader]


@pytest.mark.parametrize(("name", "value"), [("separate", True), ("limits", {"seconds": 1.0})])
def test_a_process_takes_no_task_that_needs_another_setup(name, value):
    """Whether the emulator runs in it is decided at its first task, and limits cannot be raised."""
    first = {"limits": {"seconds": 120.0}, "separate": False, "path": "a"}
    process = JudgingProcess(first, None, None)
    assert process.suits({**first, "path": "b"})
    assert not process.suits({**first, name: value})


def test_if_others_end_a_waiting_process_nothing_is_lost(server):
    [reader] = pids_of(server, cut())
    os.kill(reader, signal.SIGKILL)
    assert pids_of(server, cut()) != [reader]


def ends(pid, seconds):
    """Whether a process ends in this time."""
    until = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.01)
    return not Path(f"/proc/{pid}").exists()


def test_a_waiting_process_ends_with_the_judge():
    with contextlib.closing(ServerProcess()) as server:
        [reader] = pids_of(server, cut())
        assert Path(f"/proc/{reader}").exists()
    assert ends(reader, 5)


@pytest.mark.long
def test_a_waiting_process_ends_after_some_seconds_without_a_task(server):
    [reader] = pids_of(server, cut())
    assert ends(reader, 3 * FREE_SECONDS)
    assert outcome(judge_candidate(cut(), TASK, server)) == "parses syntax"


@pytest.mark.parametrize(
    ("begun", "language", "free"), [("parses", "ptx", 1), ("results", "ptx", 0), ("parses", "cuda", 0)]
)
def test_a_process_in_which_a_kernel_may_have_run_is_never_used_again(server, begun, language, free):
    """A kernel that has taken over its process can write any event."""
    real = judge_candidate(cut(), TASK, server)
    our_end, line = socket.socketpair()
    orders, answers = os.pipe(), os.pipe()
    taken_over = JudgementProcess(server, our_end, orders[1], answers[0], 10.0)
    line.sendall(b'{"pid": null}\n')
    for event in ({"begin": begun}, {"begin": "parses"}, {"judgement": to_document(real), "reads_on": True}):
        os.write(answers[1], json.dumps(event).encode() + b"\n")
    line.shutdown(socket.SHUT_WR)
    candidate = Candidate("a", language, b"")
    contained.from_process(taken_over, candidate, TASK, None, lambda stage: None, lambda one: None, separate=False)
    assert line.recv(10).count(FREE) == free
    for handle in (line.detach(), orders[0], answers[1]):
        os.close(handle)


def test_a_server_that_reports_no_status_is_lost_although_it_seems_to_run(server):
    """As one that was killed: the kernel closes its connections before it has ended."""
    pids_of(server, cut())
    our_end, line = socket.socketpair()
    orders, answers = os.pipe(), os.pipe()
    judgement = JudgementProcess(server, our_end, orders[1], answers[0], 10.0)
    line.sendall(b'{"pid": null}\n')
    line.shutdown(socket.SHUT_WR)
    os.close(answers[1])
    candidate = Candidate("a", "ptx", b"")
    with pytest.raises(ServerLost):
        contained.from_process(judgement, candidate, TASK, io.BytesIO(), print, print, separate=False)
    for handle in (line.detach(), orders[0]):
        os.close(handle)
