"""What tests of the whole tool share: a small pair in a folder of its own, and a cache of builds."""

import signal
from typing import NamedTuple

import pytest

from ptxbench.cli import main
from tests.folders import kernels_folder


class Ran(NamedTuple):
    """What a command line came to."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """A cache of builds that starts empty: NVRTC and ptxas take half a second for what is not in it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def kernels(tmp_path, monkeypatch, shared_cache):
    """The kernels folder with the pair `scale`, in the current folder."""
    monkeypatch.setenv("PTXBENCH_CACHE", str(shared_cache))
    monkeypatch.chdir(tmp_path)
    return kernels_folder(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Ctrl-C can be tested although the tests may run in the background, where a shell has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Output as into a file, whatever the terminal of whoever runs the tests; pytest-xdist sets COLUMNS too."""
    for variable in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def own_kernels(monkeypatch):
    """The kernels of ptxbench, whatever folder whoever runs the tests works in."""
    monkeypatch.delenv("PTXBENCH_KERNELS", raising=False)


@pytest.fixture
def ptxbench(capsys):
    """Runs a command line in this process: its exit status, stdout and stderr."""

    def ptxbench(*arguments):
        status = main([str(each) for each in arguments])
        return Ran(status, *capsys.readouterr())

    return ptxbench
