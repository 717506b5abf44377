"""Threads that do a part of a launch."""

import threading

import pytest

from ptxbench.emulator.thread_team import ThreadTeam


@pytest.fixture
def team():
    team = ThreadTeam()
    yield team
    team.stop()


def nothing():
    pass


def test_results_are_in_the_order_of_the_actions(team):
    second_done = threading.Event()

    def first():
        assert second_done.wait(10)
        return "first"

    def second():
        second_done.set()
        return "second"

    assert team.share(lambda: second_done.wait(10), [first, second]) == ["first", "second"]


def test_what_no_thread_has_begun_is_left_out(team):
    begun, release = threading.Event(), threading.Event()
    done = []

    def busy():
        begun.set()
        assert release.wait(10)

    def other():
        """What another thread shares while the only thread is busy."""
        assert begun.wait(10)
        done.append(team.share(nothing, [lambda: "not begun"]))
        release.set()

    thread = threading.Thread(target=other)
    thread.start()
    assert team.share(lambda: begun.wait(10), [busy]) == [None]
    thread.join()
    assert (done, team.count) == ([[]], 1)


def test_an_exception_is_raised_after_all_actions_have_ended(team):
    all_begun, failed, ended = threading.Barrier(3, timeout=10), threading.Event(), []

    def fails():
        all_begun.wait()
        failed.set()
        raise MemoryError("too large")

    def slow():
        all_begun.wait()
        assert failed.wait(10)
        ended.append(True)

    with pytest.raises(MemoryError, match="too large"):
        team.share(all_begun.wait, [fails, slow])
    assert ended == [True]
    assert team.share(nothing, []) == []


def test_an_action_that_fails_takes_back_what_has_not_begun(team):
    def interrupted():
        raise KeyboardInterrupt

    begun = threading.Event()
    assert team.share(lambda: begun.wait(10), [begun.set]) == [None]
    with pytest.raises(KeyboardInterrupt):
        team.share(interrupted, [lambda: "earlier"])
    assert team.tasks.empty()
    begun.clear()
    assert team.share(lambda: begun.wait(10), [lambda: begun.set() or "later"]) == ["later"]


def test_threads_end_when_they_are_stopped(team):
    before = set(threading.enumerate())  # those of other tests may end meanwhile
    both = threading.Barrier(3, timeout=10)
    team.share(both.wait, [both.wait, both.wait])
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2
    team.stop()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
