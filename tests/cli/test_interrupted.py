"""Ctrl-C in real processes, at the moments at which a traceback could appear: it ends every command quietly. So do the
signals of a closed terminal and of a batch system."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptxbench.__main__ import repeat_interrupt
from ptxbench.cli.exec import INTERRUPTED
from tests.folders import CUDA, PAIR, PTX, kernels_folder
from tests.quick import every

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")

HOOK = '''
"""Python runs this in each process before the program: it presses Ctrl-C when a module is about to be imported."""
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace

module, child, _ = os.environ["PTXBENCH_MOMENT"].partition(" in a child")
first = os.environ.setdefault("PTXBENCH_FIRST", str(os.getpid())) == str(os.getpid())
mark = Path(os.environ["PTXBENCH_MARK"])

class PressCtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == module and not (child and first) and not mark.exists():
            mark.touch()
            os.killpg(int(os.environ["PTXBENCH_FIRST"]), int(os.environ["PTXBENCH_SENT"]))  # as a terminal does

sys.meta_path.insert(0, PressCtrlC())
'''

RUN = ("run", "--backend", "emulator")
MOMENTS = [
    # the module about to be imported   the command                      the last line of stderr
    ("ptxbench.cli",                     RUN,                              ""),
    ("click",                            RUN,                              ""),
    ("ptxbench.cli.run",                 RUN,                              ""),
    ("numpy",                            RUN,                              ""),
    ("ptxbench.emulator.worker",         RUN,                              "Interrupted. 0 of 2 cells are finished."),
    ("llvmlite.binding",                 RUN,                              "Interrupted. 0 of 2 cells are finished."),
    ("ptxbench.emulator.worker",         ("exec", "a.ptx", "--grid", "1", "--block", "32"), INTERRUPTED),
    ("ptxbench.portability.survey",      ("arch", "scale"),                ""),
    ("ptxbench.toolchain.trial",         ("arch", "a.ptx"),                ""),
    ("ptxbench.check.worker in a child", ("check", "a.ptx", "--pair", "scale"), "Interrupted: 0 of 1 judged."),
    ("ptxbench.bugs.audit in a child",   ("check", "--audit", "--jobs", "2"), ""),
    ("ptxbench.audit.edits",             ("gate", "audit", "--mutants"),   ""),
]  # fmt: skip


def processes_with(mark):
    """The processes that inherited this environment, also those of another session."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"PTXBENCH_MARK={mark}".encode() in path.read_bytes().split(b"\0"):
                pids.append(int(path.parent.name))
        except OSError:  # it has ended
            continue
    return pids


def ended(tmp_path, kernels, moment, command, sent=signal.SIGINT):
    """The exit status and stderr of a command that gets this signal at this moment, and leaves no process behind."""
    kernels_folder(tmp_path, name="again", cuda=CUDA.replace("scale", "again"), ptx=PTX.replace("scale", "again"),
                   pair=PAIR)  # fmt: skip
    Path("a.ptx").write_text(".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry k() { ret; }\n")
    Path("hook").mkdir()
    Path("hook/sitecustomize.py").write_text(HOOK)
    Path("temporary").mkdir()
    mark = tmp_path / "mark"
    own = {
        "PTXBENCH_MOMENT": moment,
        "PTXBENCH_MARK": str(mark),
        "PYTHONPATH": str(tmp_path / "hook"),
        "PTXBENCH_KERNELS": str(kernels),
        "PTXBENCH_SENT": str(int(sent)),
        "TMPDIR": str(tmp_path / "temporary"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "ptxbench", *command],
        env={**os.environ, **own}, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _, err = process.communicate(timeout=60)
    assert mark.exists(), "the moment never came"
    deadline = time.monotonic() + 5
    while (remaining := processes_with(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert remaining == []
    return process.returncode, err


@pytest.mark.parametrize(("moment", "command", "message"), every(4, MOMENTS))
def test_ctrl_c_ends_without_a_traceback_and_leaves_no_process(tmp_path, kernels, moment, command, message):
    status, err = ended(tmp_path, kernels, moment, command)
    assert status in (130, -2), err  # -2: by the signal itself, which a shell reports as 130
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert err.strip() == message


@pytest.mark.parametrize("sent", every(2, [signal.SIGTERM, signal.SIGHUP]))
def test_a_signal_that_ends_the_program_is_handled_as_ctrl_c_is(tmp_path, kernels, sent):
    status, err = ended(tmp_path, kernels, "llvmlite.binding", RUN, sent)
    assert (status, err.strip()) == (-sent, "Interrupted. 0 of 2 cells are finished.")
    assert list(Path("temporary").iterdir()) == []


def test_ctrl_c_in_a_destructor_interrupts_once_more(capsys):
    """Python would only print such an exception, and go on."""
    started = time.monotonic()
    try:  # around both, so that it can come at any time
        repeat_interrupt(SimpleNamespace(exc_type=KeyboardInterrupt))
        time.sleep(5)
    except KeyboardInterrupt:
        assert time.monotonic() - started < 4  # the wait itself ended
    else:
        pytest.fail("no interrupt came")
    assert capsys.readouterr().err == ""
