"""cuBLAS as a row next to the variants of a pair: its calls, and a run on the simulated device."""

import dataclasses
import pickle

import numpy as np
import pytest

from ptxbench import discovery, toolchain
from ptxbench.backends import cublas, gpu
from ptxbench.backends.cublas import OVERRIDE, Cublas, find_cublas
from ptxbench.backends.gpu import GpuBackend
from ptxbench.errors import LaunchUnavailable, MachineError, PairError
from ptxbench.libraries import Gemm
from ptxbench.measure import SamplingSettings
from ptxbench.runner import CellDone, RunFrame, RunOutcome, RunPlan, document
from ptxbench.runner.plan import plan_pairs
from ptxbench.runner.session import run
from ptxbench.verdict.config import GateConfig
from ptxbench.verdict.gate import gate
from tests import simulated

KERNELS = discovery.default_kernels()
SIZE = "m=17,n=8,k=24"
QUICK = SamplingSettings(warm_up_seconds=0, warm_up_limit_seconds=0, looks=(8,), solo=1, graph_ns=1)


class Library:
    """Records its calls; `failing` names the call that fails."""

    def __init__(self, failing=""):
        self.calls = []
        self.failing = failing

    def __getattr__(self, name):
        def call(*arguments):
            values = [getattr(getattr(argument, "_obj", argument), "value", argument) for argument in arguments]
            self.calls.append((name, values))
            return 13 if name == self.failing else 0

        return call


def test_a_product_of_rows_is_requested_as_one_of_columns():
    library = Library()
    handle = Cublas(library, 7)
    arrays = {"a": np.zeros((2, 4), np.float16), "b": np.zeros((4, 3), np.float16), "c": np.zeros((2, 3), np.float32)}
    arguments = {**arrays, "m": np.uint32(2), "n": np.uint32(3), "k": np.uint32(4)}
    handle.gemm(Gemm(), arguments, {"a": 100, "b": 200, "c": 300})()
    assert [name for name, _ in library.calls] == [
        "cublasCreate_v2", "cublasSetStream_v2", "cublasSetMathMode", "cublasGemmEx",
    ]  # fmt: skip
    assert library.calls[1][1][1] == 7
    assert library.calls[3][1][1:] == [0, 0, 3, 2, 4, 1.0, 200, 2, 3, 100, 2, 4, 0.0, 300, 0, 3, 68, -1]


@pytest.mark.parametrize("failing", ["cublasCreate_v2", "cublasGemmEx"])
def test_a_failed_call_is_an_error_of_the_machine(failing):
    arrays = dict.fromkeys("abc", np.zeros((1, 1), np.float32)) | dict.fromkeys("mnk", np.uint32(1))
    with pytest.raises(MachineError, match=rf"cuBLAS: {failing} failed with cublasStatus_t 13\."):
        Cublas(Library(failing), 0).gemm(Gemm(), arrays, dict.fromkeys("abc", 0))()


def test_cublas_is_not_used_when_set_to_round_its_inputs(monkeypatch):
    monkeypatch.setenv(OVERRIDE, "1")
    with pytest.raises(LaunchUnavailable, match=rf"{OVERRIDE}=1 makes cuBLAS round its inputs to TF32\. Unset it\."):
        find_cublas()


def plan_of(backend, pair, variants=()):
    pair_plans, _ = plan_pairs(KERNELS, [pair], variants, [SIZE], emulated=False)
    pair_plans = [
        dataclasses.replace(
            pair_plan, loaded=dataclasses.replace(pair_plan.loaded, pair=few_checks(pair_plan.loaded.pair))
        )
        for pair_plan in pair_plans
    ]
    return RunPlan(tuple(pair_plans), backend, "sm_90", KERNELS, settings=QUICK)


def few_checks(pair):
    return dataclasses.replace(pair, check_sizes=pair.check_sizes[:1])


@pytest.fixture
def backend(monkeypatch, tmp_path):
    simulated.install(monkeypatch, tmp_path, device="small")
    gpu_backend = GpuBackend()
    assert gpu_backend.unavailable() is None
    return gpu_backend


@pytest.fixture
def installed(monkeypatch, backend):
    from simulated_gpu import libraries

    monkeypatch.setattr(gpu, "find_cublas", libraries.Cublas)


@pytest.mark.parametrize("name", ["sgemm_tiled", "hgemm_mma"])
def test_the_result_of_cublas_is_that_of_the_reference(backend, installed, name):
    loaded = discovery.load(KERNELS, name)
    (source,), pair, size = loaded.libraries, loaded.pair, {"m": 17, "n": 8, "k": 24}
    data = pair.make_arguments(size, seed=1)
    outputs = backend.run(toolchain.build_source(source, "sm_90"), pair.launch(**size), data, pair.outputs).outputs["c"]
    exact = data["a"].astype(np.float64) @ data["b"].astype(np.float64)
    assert (abs(outputs - exact) <= pair.tolerance.bound(exact, data)).all()


def test_cublas_is_verified_and_timed_as_a_row_that_no_gate_judges(backend, installed):
    plan = plan_of(backend, "sgemm_tiled", ["cuda", "library.cublas"])
    (cell,) = [event.cell for event in run(plan) if isinstance(event, CellDone)]
    library_row = cell.variants["library.cublas"]
    assert (library_row.status, library_row.language, library_row.build, library_row.file) == (
        "verified",
        "library",
        None,
        None,
    )
    assert library_row.check.max_error is not None
    (one,) = cell.rounds
    assert (one.contrast, one.timing) == (("cuda", "library.cublas"), "slope")
    assert all(ns > 0 for block in one.ns for ns in block)
    measured = document(RunFrame(plan, backend.device()), [cell], "complete")
    assert {row.row.variant for row in gate(measured, measured, GateConfig()).rows} == {"cuda"}
    wrong = {**cell.variants, "library.cublas": dataclasses.replace(library_row, status="wrong", reason="y[0]")}
    assert (
        RunOutcome([dataclasses.replace(cell, variants=wrong)], "complete").exit_status == 0
    )  # no kernel of the pair's
    assert pickle.loads(pickle.dumps(plan.pair_plans[0].sources)) == plan.pair_plans[0].sources


def test_without_cublas_its_row_is_skipped_and_the_message_says_what_to_install(backend, monkeypatch):
    def missing():
        raise LaunchUnavailable(f"cuBLAS is not installed ({cublas.INSTALL}).")

    monkeypatch.setattr(gpu, "find_cublas", missing)
    (cell,) = [
        event.cell
        for event in run(plan_of(backend, "sgemm_tiled", ["ptx", "library.*"]))
        if isinstance(event, CellDone)
    ]
    assert (cell.variants["library.cublas"].status, cell.variants["ptx"].status) == ("skipped", "verified")
    assert "pip install nvidia-cublas" in cell.variants["library.cublas"].reason


def test_the_emulator_has_no_libraries_and_the_list_mentions_that(ptxbench):
    (pair_plan,), _ = plan_pairs(KERNELS, ["sgemm_tiled"])
    assert all(source.library is None for source in pair_plan.sources)
    assert "libraries library.cublas (GPU only)" in " ".join(ptxbench("list", "sgemm_tiled").out.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"cublas": Gemm(k="depth")}', "the library 'cublas' takes depth. Expected arguments of the pair."),
        ('{"mkl": Gemm()}', "libraries has 'mkl'"),
        ("[Gemm()]", "It must be a dict"),
    ],
)
def test_an_unknown_library_is_reported_with_its_line(tmp_path, text, message):
    folder = tmp_path / "kernels"
    for kind, suffix in (("pairs", "py"), ("cuda", "cu"), ("ptx", "ptx")):
        (folder / kind).mkdir(parents=True)
        content = (KERNELS / kind / f"sgemm_tiled.{suffix}").read_text()
        (folder / kind / f"sgemm_tiled.{suffix}").write_text(content.replace('{"cublas": Gemm()}', text))
    with pytest.raises(PairError, match=r"sgemm_tiled\.py:") as error:
        discovery.load(folder, "sgemm_tiled")
    assert message in str(error.value)
