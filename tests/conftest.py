"""Shared fixtures for tests of the whole tool: a small pair in its own folder, its run, and a cache of builds."""

import dataclasses
import gc
import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

# NumPy reads it when it is imported. A thread of BLAS that has nothing to do takes a core from the other workers.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

from ptxbench import cache
from ptxbench.cli import main
from ptxbench.result import RunDocument, from_json
from tests.documents import require_schema
from tests.folders import kernels_folder

# An example may take long on a machine that does other things too.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Python does not search for cycles of references while pytest makes 14,000 items, which all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="module", autouse=True)
def search_only_what_is_new():
    """What stays after a module is not searched for cycles again: gc.collect() would take up to a second of each test
    that runs it."""
    yield
    gc.collect()
    gc.freeze()


class Ran(NamedTuple):
    """The result of a command line."""

    status: int
    out: str
    err: str


class Emulated(NamedTuple):
    """A run on the emulator, and the folder of its pair."""

    run: RunDocument
    kernels: Path


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """One cache of builds for all tests and all workers of a test run. It starts empty.

    PTXBENCH_TEST_CACHE names a folder that is kept between test runs. It is not used where the cache would refuse it.
    """
    if (kept := os.environ.get("PTXBENCH_TEST_CACHE")) and cache.refusal(Path(kept)) is None:
        return Path(kept)
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "builds"


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(shared_cache):
    """Every test uses the shared cache, unless it sets its own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTXBENCH_CACHE", str(shared_cache))
        yield


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """The kernels folder with the pair `scale`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return kernels_folder(tmp_path)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """The pair `scale`, run once."""
    folder = tmp_path_factory.mktemp("scale")
    kernels = kernels_folder(folder)
    command = ["run", "--backend", "emulator", "--kernels", str(kernels), "--results", str(folder / "results")]
    assert main(command) == 0
    [path] = (folder / "results").rglob("*.json")
    return Emulated(from_json(path.read_text(), path.name), kernels)


@pytest.fixture
def emulated(recorded, tmp_path):
    """The same, in its own folder that a test may edit."""
    return Emulated(recorded.run, Path(shutil.copytree(recorded.kernels, tmp_path / "kernels")))


@pytest.fixture(scope="module")
def small_control():
    """A control of a few bytes, for runs whose times are scripted: its usual 128 MiB, larger than a cache, are made
    and verified in each worker."""
    from ptxbench.runner import control

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "PAIR", dataclasses.replace(control.PAIR, bench_sizes=[{"n": 4096}]))
        yield


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Ctrl-C and a closed terminal can be tested although the tests may run in the background or under nohup, where
    SIGINT or SIGHUP is ignored."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def same_environment():
    """Output as into a file, whatever the terminal of whoever runs the tests, and the kernels of ptxbench, whatever
    folder they work in; pytest-xdist sets COLUMNS too. Not for each test: that takes a quarter of an empty one."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PTXBENCH_KERNELS"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture
def ptxbench(capsys):
    """Runs a command line in this process: its exit status, stdout and stderr. JSON must be as its schema says."""

    def ptxbench(*arguments):
        status = main([str(argument) for argument in arguments])
        ran = Ran(status, *capsys.readouterr())
        if {"--json", "--json-lines"} & {str(argument) for argument in arguments}:
            require_schema(ran.out)
        return ran

    return ptxbench


ENGINES = []
"""Keeps the functions loaded that tests have made the process forget: LLVM's table of symbols has their addresses."""


@pytest.fixture
def forget_functions(monkeypatch):
    """Forget the functions that kernels share, as in another process; until the end of the test."""
    from ptxbench.emulator import native

    def forget():
        ENGINES.append({})
        monkeypatch.setattr(native, "SHARED", ENGINES[-1])

    return forget
