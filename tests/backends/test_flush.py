"""The preparation of a launch: how it is chosen, its kernels on the emulator, and resetting persisting lines."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from ptxbench import toolchain
from ptxbench.arrays import poison
from ptxbench.backends import flush
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.backends.flush import Flush, choose, forget_persisting, spin_ns
from ptxbench.backends.gpu import GpuBackend
from ptxbench.pair import Launch, f32, u64

# nanoseconds by multiple of L2, the multiple chosen, why
CURVES = [
    ({0: 10, 0.5: 12, 1: 18, 2: 20, 3: 20, 4: 20},          2,    "the plateau begins there"),
    ({0: 10, 0.5: 12, 1: 19.8, 2: 20, 3: 20, 4: 20},        1,    "within 1 % of the greatest"),
    ({0: 10, 0.5: 12, 1: 19.7, 2: 20, 3: 20, 4: 20},        2,    "not within 1 %"),
    ({0: 10, 0.5: 12, 1: 18, 2: 19, 3: 19.5, 4: 21},        4,    "it never levels off"),
    ({4: 21, 3: 19.5, 2: 20.9, 1: 18, 0.5: 12, 0: 10},      2,    "in whatever order they were measured"),
    ({0: 20, 0.5: 20, 1: 20, 2: 20, 3: 20, 4: 20},          0,    "it does nothing, which a check must say"),
]  # fmt: skip


@pytest.mark.parametrize(("curve", "chosen", "why"), CURVES, ids=[row[2] for row in CURVES])
def test_the_smallest_sufficient_flush_is_chosen(curve, chosen, why):
    assert choose(curve) == chosen


# host, flush, step of the timer, nanoseconds to spin
SPINS = [
    (10_000, 15_000, 32,         0),        # just long enough
    (10_000, 14_999, 32,         20_032),   # 2 h, a whole number of steps, and a step
    (10_000, 14_999, 1_000,      21_000),
    (10_100, 0,      1_000,      22_000),   # rounded up
    (10_000, 0,      1_000_000,  2_000_000),  # a coarse timer may be just about to step
]  # fmt: skip


@pytest.mark.parametrize(("host", "flushing", "step", "spin"), SPINS)
def test_the_device_spins_if_the_flush_is_too_short_for_the_host(host, flushing, step, spin):
    assert spin_ns(host, flushing, step) == spin


class Driver:
    """Records the calls, which end as scripted."""

    def __init__(self, limit=0, reset=0):
        self.calls = []
        self.statuses = {"cuCtxSetLimit": limit, "cuCtxResetPersistingL2Cache": reset}

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *(getattr(argument, "value", argument) for argument in arguments)))
            return self.statuses[name]

        return call


class OldDriver:
    """A driver without both entry points, as ctypes shows it."""


def test_persisting_lines_are_reset_with_their_share_of_the_cache():
    driver = Driver()
    assert forget_persisting(driver) is True
    assert driver.calls == [("cuCtxSetLimit", 6, 0), ("cuCtxResetPersistingL2Cache",)]


UNSUPPORTED_LIMIT = 215


@pytest.mark.parametrize("driver", [Driver(limit=UNSUPPORTED_LIMIT), Driver(reset=801), OldDriver()])
def test_a_device_or_driver_without_persisting_lines_raises_no_error(driver):
    assert forget_persisting(driver) is False


def test_a_backend_in_another_process_has_the_same_flush():
    flush = Flush(3.0, 20_000)
    assert pickle.loads(pickle.dumps(GpuBackend(flush))).flush == flush
    assert GpuBackend().flush == Flush(2.0, 0)


HERE = Path(flush.__file__).parent
ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]


def build(name, arch="sm_90"):
    return toolchain.build(HERE / f"{name}.ptx", language="ptx", variant="ptx", entry=name, arch=arch)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", ["spin", "timer_steps", "fma_chain"])
def test_the_kernels_assemble_for_every_architecture(name, arch):
    built = build(name, arch)
    assert built.cubin
    assert built.report.log == ""
    assert any(opcode.startswith("BRA") for opcode in built.report.opcodes)
    if name != "fma_chain":  # before the loop and in it: a reading is never taken twice
        reads = [opcode for opcode in built.report.opcodes if opcode.startswith(("CS2R", "CS2UR", "S2R", "S2UR"))]
        assert sum(built.report.opcodes[opcode] for opcode in reads) >= 2
    assert built.report.spill_load_bytes == 0


def emulate(name, launch, arguments, outputs=()):
    return EmulatorBackend("sm_90").run(build(name), launch, arguments, outputs)


def test_the_spin_lasts_the_requested_time_by_the_timer():
    """The emulator's timer advances by a nanosecond an instruction of the warp."""
    ran = [
        emulate("spin", Launch(1, 1), {"nanoseconds": np.uint64(ns)}).counts["ptx_warp_instructions"]
        for ns in (0, 400, 40_000)
    ]
    assert ran[0] < 20  # one turn of the loop
    assert 400 <= ran[1] <= 420
    assert 40_000 <= ran[2] <= 40_020


def test_every_reading_of_the_timer_is_kept_in_order():
    arguments = {"readings": poison((1000,), u64), "count": np.uint32(1000)}
    readings = emulate("timer_steps", Launch(1, 1), arguments, ("readings",)).outputs["readings"]
    assert len(set(np.diff(readings))) == 1  # of the emulator's timer, the same instructions lie between any two
    assert readings[1] > readings[0]


def test_every_chain_of_the_fma_kernel_ends_at_its_limit():
    arguments = {"y": poison((512,), f32), "rounds": np.uint32(64)}
    ran = emulate("fma_chain", Launch(2, 256), arguments, ("y",))
    assert set(ran.outputs["y"].tolist()) == {8.0}
    few = emulate("fma_chain", Launch(1, 256), {"y": poison((256,), f32), "rounds": np.uint32(1)}, ("y",))
    thread = np.arange(256)
    assert few.outputs["y"].tolist() == (2 * thread + 4 + (0 + 0.5 + 1 + 1.5) / 2).tolist()
