"""`ptxbench profile` as a user runs it: the command that it prints, and the counts that it reads back."""

import json
import shlex

import pytest

from ptxbench import toolchain
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.discovery import load
from ptxbench.profiling.counters import COUNTERS
from ptxbench.profiling.emulated import counts_of
from tests import simulated
from tests.folders import PAIR, changed
from tests.profiling import ncu as script

SIZE = {"n": 1024}
GRID, BLOCK = (8, 1, 1), (128, 1, 1)


def csv(counts, kernel="scale", grid=GRID, block=BLOCK, capability="9.0"):
    """A file as ncu writes it."""
    place = f'"0","1","python3","127.0.0.1","{kernel}","1","13","{block}","{grid}","0","{capability}","Command line"'
    rows = [f'{place},"{metric}","","{value:,}"' for metric, value in counts.items()]
    return "\n".join(["==PROF== Connected to process 1", script.HEADER, *rows, "==PROF== Disconnected", ""])


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """The emulator's counts of `scale`, by Nsight Compute's names."""
    from tests.folders import kernels_folder

    loaded = load(kernels_folder(tmp_path_factory.mktemp("counts")), "scale")
    built = toolchain.build_source(next(source for source in loaded.sources if source.variant == "ptx"), "sm_90")
    launch = loaded.pair.launch(**SIZE)
    outcome = EmulatorBackend("sm_90").run(built, launch, loaded.pair.make_arguments(SIZE, 1), loaded.pair.outputs)
    own, _ = counts_of(built, launch, outcome)
    return {counter.hardware: int(own[counter.emulated]) for counter in COUNTERS}


@pytest.fixture
def profile(ptxbench, kernels):
    """Runs the command on the small pair of the tests."""
    return lambda *options: ptxbench("profile", "scale", "--kernels", str(kernels), *options)


def test_it_prints_one_command_that_a_shell_takes_and_says_how_to_read_its_file(profile, kernels):
    ran = profile("--arch", "sm_90")
    words = shlex.split(ran.out)
    assert (ran.status, words[0], ran.out.count("\n")) == (0, "ncu", 1)
    own = words[words.index("ptxbench") :]
    launched = ["ptxbench", "profile", "scale", "--variant", "ptx", "--size", "n=1024", "--arch", "sm_90"]
    assert own == [*launched, "--kernels", str(kernels), "--seed", "1", "--launch"]
    assert words[words.index("--log-file") + 1] == "scale-ptx.csv"
    assert ran.err.endswith("--seed 1 --read scale-ptx.csv\n")


def test_the_kernels_of_ptxbench_need_no_folder_in_the_command(ptxbench):
    words = ptxbench("profile", "triad").out.split()
    assert {"--kernels", "--arch"}.isdisjoint(words)


def test_the_counts_of_the_emulator_and_the_gpu_are_printed_next_to_each_other(profile, emulated, tmp_path):
    sectors = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"
    path = tmp_path / "counters.csv"
    path.write_text(csv({**emulated, sectors: 2 * emulated[sectors]}))
    ran = profile("--read", str(path))
    lines = ran.out.splitlines()
    assert ran.status == 0, ran.err
    assert lines[0] == "scale ptx, n=1024, sm_90: counts of one launch"
    assert ["ptx_global_load_sectors", "128", "256", "-50.0%"] in [line.split() for line in lines]
    assert "4 of 5 counters agree" in ran.out
    document = json.loads(profile("--read", str(path), "--json").out)
    assert {one["counter"]: one["agrees"] for one in document["counters"]} == {
        "sass_executed": True,
        "ptx_global_load_requests": True,
        "ptx_global_load_sectors": False,
        "ptx_global_store_requests": True,
        "ptx_global_store_sectors": True,
    }


def test_the_emulator_counts_for_the_architecture_of_the_file(profile, emulated, tmp_path):
    path = tmp_path / "counters.csv"
    path.write_text(csv(emulated, capability="8.0"))
    assert profile("--read", str(path)).out.startswith("scale ptx, n=1024, sm_80:")
    path.write_text(csv(emulated, capability=""))
    ran = profile("--read", str(path))
    assert (ran.status, ran.err) == (
        2,
        "Error: The file does not name the GPU's architecture. Add --arch, such as --arch sm_90.\n",
    )


# the file, a part of the message
REFUSED = [
    ("",                                       "has no table of ncu: expected the file of --log-file"),
    (csv({"a": 1}, kernel="other"),            "has no launch of 'scale'; it has other."),
    (csv({"a": 1}, grid=(17, 1, 1)),           "with grid (17, 1, 1): expected (8, 1, 1). Name its --size"),
    (csv({"a": 1}, block=(64, 1, 1)),         "with block (64, 1, 1): expected (128, 1, 1)."),
    (csv({"sm__cycles_active.avg": 1}),        "has no counter that the emulator counts too"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_file_of_another_launch_is_refused(profile, tmp_path, text, message):
    path = tmp_path / "counters.csv"
    path.write_text(text)
    ran = profile("--read", str(path))
    assert (ran.status, message in ran.err, ran.out) == (2, True, ""), ran.err


# options, exit status, message
WRONG = [
    (["--run"],                 5, "Nsight Compute (ncu) is not on PATH. Install it, or add its folder to PATH."),
    (["--launch", "--run"],     2, "--read, --run and --launch exclude each other. Choose one."),
    (["--json"],                2, "--json prints counts. Add --read FILE or --run."),
    (["--variant", "*"],        2, "One launch is profiled, found cuda, cuda@fast, ptx. Name one variant"),
    (["--size", "all"],         2, "One launch is profiled, found several sizes. Name one variant and one size."),
    (["--variant", "ptxx"],     2, "Unknown variant 'ptxx'. Did you mean 'ptx'?"),
    (["--arch", "sm_0"],        2, "Unknown architecture 'sm_0'. Write it as sm_90 or sm_90a."),
]  # fmt: skip


@pytest.mark.parametrize(("options", "status", "message"), WRONG)
def test_wrong_options_are_refused(profile, monkeypatch, tmp_path, options, status, message):
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = profile(*options)
    assert (ran.status, message in ran.err) == (status, True), ran.err


def test_a_chain_is_refused(profile, kernels):
    text = changed(PAIR, "block=BLOCK)", "block=BLOCK, chain=Chain(8, 'n'))")
    (kernels / "pairs" / "scale.py").write_text(changed(text, "import EXACT,", "import EXACT, Chain,"))
    for options in ([], ["--launch"], ["--run"]):
        ran = profile(*options)
        assert ran.status == 2
        assert "scale is a chain of 8 launches; profiles of a chain are not available." in ran.err


def test_a_launch_without_a_gpu_says_where_to_run_it(profile):
    ran = profile("--launch")
    assert ran.status == 2
    assert ran.err.endswith("Run this on a machine with a GPU.\n")


def test_the_option_run_starts_the_command(profile, ncu, emulated, monkeypatch, tmp_path):
    """On the simulated device: the process of ncu launches the variant by the printed command."""
    simulated.install(monkeypatch, tmp_path / "gpu", device="T4")
    ncu("counts", emulated, runs=True)
    ran = profile("--run", "--arch", "sm_75")
    assert ran.status == 0, ran.err
    assert ran.out.startswith("scale ptx, n=1024, sm_75: counts of one launch")
    ncu("nothing", runs=True)
    assert "ncu counted no launch: it printed nothing." in profile("--run").err  # for the GPU's own architecture
