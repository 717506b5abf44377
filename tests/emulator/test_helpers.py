"""Threads that help a launch."""

import threading

import pytest

from ptxbench.emulator.helpers import Helpers


@pytest.fixture
def helpers():
    helpers = Helpers()
    yield helpers
    helpers.stop()


def nothing():
    pass


def test_results_are_in_the_order_of_the_actions(helpers):
    second_done = threading.Event()

    def first():
        assert second_done.wait(10)
        return "first"

    def second():
        second_done.set()
        return "second"

    assert helpers.share(lambda: second_done.wait(10), [first, second]) == ["first", "second"]


def test_what_no_helper_has_begun_is_left_out(helpers):
    begun, release = threading.Event(), threading.Event()
    done = []

    def busy():
        begun.set()
        assert release.wait(10)

    def other():
        """What another thread shares while the only helper is busy."""
        assert begun.wait(10)
        done.append(helpers.share(nothing, [lambda: "not begun"]))
        release.set()

    thread = threading.Thread(target=other)
    thread.start()
    assert helpers.share(lambda: begun.wait(10), [busy]) == [None]
    thread.join()
    assert (done, helpers.count) == ([[]], 1)


def test_an_exception_is_raised_after_all_actions_have_ended(helpers):
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
        helpers.share(all_begun.wait, [fails, slow])
    assert ended == [True]
    assert helpers.share(nothing, []) == []


def test_an_action_that_fails_takes_back_what_has_not_begun(helpers):
    def interrupted():
        raise KeyboardInterrupt

    begun = threading.Event()
    assert helpers.share(lambda: begun.wait(10), [begun.set]) == [None]
    with pytest.raises(KeyboardInterrupt):
        helpers.share(interrupted, [lambda: "earlier"])
    assert helpers.tasks.empty()
    begun.clear()
    assert helpers.share(lambda: begun.wait(10), [lambda: begun.set() or "later"]) == ["later"]


def test_helpers_end_when_they_are_stopped(helpers):
    before = threading.active_count()
    both = threading.Barrier(3, timeout=10)
    helpers.share(both.wait, [both.wait, both.wait])
    assert threading.active_count() == before + 2
    threads = [thread for thread in threading.enumerate() if thread.daemon][-2:]
    helpers.stop()
    for thread in threads:
        thread.join(10)
    assert threading.active_count() == before
