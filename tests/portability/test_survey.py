"""The subjects of a survey, and its results."""

from pathlib import Path

import pytest

from ptxbench.discovery import Source, default_kernels
from ptxbench.errors import CompileError, PairError, UsageError
from ptxbench.portability.survey import Jit, Matrix, Subject, file_subject, matrix_of, pair_subject, survey
from ptxbench.runner.events import Step
from ptxbench.toolchain.drivers import FIRST, Driver
from ptxbench.toolchain.options import SourceOptions
from ptxbench.toolchain.trial import ASSEMBLES, TargetTrial
from tests.folders import CUDA, PTX, changed

TWO = (
    PTX
    + """
// .entry commented(.param .u64 x) .maxntid 7 { }
.visible .entry second(
    .param .u64 x
)
.reqntid 8, 4
.minnctapersm 1
{
    ret;
}
.entry third() { ret; }
.entry fourth() .maxntid 2, 3, 5 { ret; }
"""
)


def run(subjects, targets):
    events = list(survey(subjects, targets))
    return [event for event in events if isinstance(event, Matrix)], [
        event for event in events if isinstance(event, Step)
    ]


@pytest.fixture
def file(tmp_path):
    def file(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return file


def test_a_pair_is_tried_with_all_its_variants_the_pair_first():
    subject = pair_subject(default_kernels(), "softmax")
    assert [source.variant for source in subject.sources][:3] == ["cuda", "ptx", "cuda@fast"]
    assert set(subject.threads.values()) == {256}


def test_a_file_is_tried_with_all_its_kernels_and_the_threads_that_they_allow(file):
    subject = file_subject(file("two.ptx", TWO), ["sm_90"])
    assert [source.entry for source in subject.sources] == ["scale", "second", "third", "fourth"]
    assert subject.threads == {"scale": 128, "second": 32, "fourth": 30}


def test_one_kernel_of_a_file_is_chosen_by_its_name(file):
    path = file("two.ptx", TWO)
    subject = file_subject(path, ["sm_90"], SourceOptions(entry="second"))
    assert ([source.entry for source in subject.sources], subject.threads["second"]) == (["second"], 32)
    for name, hint in (("secnd", "Did you mean 'second'?"), ("x", "It has scale, second, third, fourth.")):
        with pytest.raises(UsageError) as caught:
            file_subject(path, ["sm_90"], SourceOptions(entry=name))
        assert str(caught.value) == f"two.ptx has no kernel '{name}'. {hint}"


def test_the_kernels_of_cuda_c_are_found_for_a_target_that_compiles_it(file, kernels):
    path = file("new.cu", CUDA.replace("void scale", "void __launch_bounds__(64) scale") + "#if __CUDA_ARCH__ < 800\n"
                "#error too old\n#endif\n")  # fmt: skip
    subject = file_subject(path, ["sm_60", "sm_75", "sm_80"])
    assert ([source.entry for source in subject.sources], subject.threads) == (["scale"], {"scale": 64})
    with pytest.raises(CompileError, match=r"new\.cu:\d+: "):
        file_subject(path, ["sm_75"])
    path.write_text(path.read_text() + "#if __CUDA_ARCH__ >= 800\n#error too new\n#endif\n")
    for targets, problem in ((["sm_60", "sm_75", "sm_80"], "too old"), (["sm_80", "sm_75"], "too new")):
        with pytest.raises(CompileError, match=problem):  # the first one
            file_subject(path, targets)
    with pytest.raises(UsageError, match="NVRTC supports none of sm_60"):
        file_subject(path, ["sm_60"])


BAD = [
    ("notes.txt", "",  UsageError, "'notes.txt' is neither a .ptx nor a .cu file."),
    ("none.ptx", ".version 7.0\n.target sm_75\n", PairError,
     "none.ptx has no kernel: no .entry in its PTX. Name a file with an .entry."),
    ("none.ptx", ".version 7.0\n.target sm_75\n.extern .entry declared(.param .u64 x);\n", PairError,
     "none.ptx has no kernel"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "error", "message"), BAD)
def test_a_file_without_kernels_is_refused(file, name, text, error, message):
    with pytest.raises(error) as caught:
        file_subject(file(name, text), ["sm_90"])
    assert str(caught.value).startswith(message)


def test_a_missing_file_is_reported(tmp_path):
    (tmp_path / "gone2.ptx").touch()
    with pytest.raises(PairError, match=r"^There is no file .*gone\.ptx\. Did you mean '.*gone2\.ptx'\?$"):
        file_subject(tmp_path / "gone.ptx", ["sm_90"])


def test_a_survey_reports_each_step_and_then_holds_every_trial(kernels):
    subject = pair_subject(kernels, "scale")
    (matrix,), steps = run([subject], ("sm_75", "sm_90"))
    assert [(step.done, step.total) for step in steps] == [(done, 6) for done in range(6)]
    assert {(step.variant, step.phase) for step in steps} == {
        (variant, phase) for variant in ("cuda", "ptx", "cuda@fast") for phase in ("sm_75:", "sm_90:")
    }
    assert list(matrix.reaches) == ["cuda", "ptx", "cuda@fast"]
    for reach in matrix.reaches.values():
        assert reach.assembling == ("sm_75", "sm_90")
        assert reach.occupancy == {"sm_75": 1.0, "sm_90": 1.0}


def test_shared_memory_of_the_launch_counts_towards_occupancy(kernels):
    path = kernels / "pairs" / "scale.py"
    text = changed(path.read_text(), "block=BLOCK)", "block=BLOCK, shared_bytes=40_000)")
    path.write_text(text)
    (matrix,), _ = run([pair_subject(kernels, "scale")], ("sm_75", "sm_90"))
    # one CTA of 4 warps on sm_75's 64 KiB and 32 warps; five on sm_90's 228 KiB and 64 warps
    assert matrix.reaches["ptx"].occupancy == {"sm_75": 4 / 32, "sm_90": 5 * 4 / 64}


def test_the_threads_that_a_compiler_chooses_give_the_occupancy():
    source = Source("tile", "tile", Path("k.tile.cu"), "k")
    trial = TargetTrial("sm_90", ASSEMBLES, registers=128, threads=256, shared_bytes=100_000)
    matrix = matrix_of(Subject("k", (source,), {}), ["sm_90"], {("tile", "sm_90"): trial})
    assert matrix.reaches["tile"].occupancy == {"sm_90": 2 * 8 / 64}  # two CTAs of 8 warps


def test_the_required_driver_follows_from_version_and_target(file):
    def jit(name, version, target, targets):
        text = PTX.replace(".version 6.3", f".version {version}").replace("sm_75", target)
        (matrix,), _ = run([file_subject(file(name, text), targets)], targets)
        return matrix.reaches["scale"].jit

    plain = ("sm_75", "sm_90", "sm_90a", "sm_100", "sm_103", "sm_103a", "sm_120")
    r570, r525 = Driver("12.8", 570), Driver("12.0", 525)
    assert jit("a.ptx", "8.7", "sm_90", plain) == Jit("8.7", "sm_90", r570, ("sm_90", "sm_100", "sm_103", "sm_120"))
    assert jit("b.ptx", "8.0", "sm_90a", plain) == Jit("8.0", "sm_90a", r525, ("sm_90",))  # not by its plain target
    assert jit("c.ptx", "8.8", "sm_100f", plain).gpus == ("sm_100", "sm_103")
    assert jit("d.ptx", "9.4", "sm_75", plain).driver is None


def test_drivers_are_newer_for_newer_versions():
    versions = [tuple(map(int, version.split("."))) for version in FIRST]
    releases = [tuple(map(int, release.cuda.split("."))) for release in FIRST.values()]
    branches = [release.branch for release in FIRST.values()]
    for column in (versions, releases, branches):
        assert column == sorted(column)
        assert len(set(column)) == len(column)
