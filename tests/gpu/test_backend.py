"""The guarantees of the GPU backend for a launch and its clock, with kernels that break the rules on purpose."""

import subprocess
import sys
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench import discovery, toolchain
from ptxbench.arrays import poison
from ptxbench.backends import buffers
from ptxbench.backends.gpu import find_driver
from ptxbench.errors import DeviceError, WrongResult
from ptxbench.languages import REQUIRED
from ptxbench.measure import SamplingSettings, measure
from ptxbench.pair import Launch, f32, u8, u32
from ptxbench.run_info import info_document
from tests import struct_pair

PTX = Path(__file__).with_name("ptx")


def build(gpu, entry, assembler="toolkit"):
    return toolchain.build(
        PTX / f"{entry}.ptx",
        language="ptx",
        variant="ptx",
        entry=entry,
        arch=gpu.device().sm,
        assembler=assembler,
    )


def test_a_store_past_the_end_is_found_in_the_guard_zone(gpu):
    arguments = {"out": poison((256,), u32)}
    with pytest.raises(WrongResult) as error:
        gpu.run(build(gpu, "past_end"), Launch(1, 256), arguments, ("out",))
    assert str(error.value) == (
        "past_end.ptx writes outside its outputs: byte 1024 of 'out', which has 1024. Check its guard."
    )


@pytest.mark.parametrize("most", [buffers.MOST_FETCHED, 0])
def test_a_store_to_an_input_is_found(gpu, monkeypatch, most):
    monkeypatch.setattr(buffers, "MOST_FETCHED", most)
    arguments = {"x": np.arange(5, dtype=f32), "out": poison((1,), f32)}
    with pytest.raises(WrongResult, match=r"element 3 of the input 'x' was 3\.0 and is 7\.0"):
        gpu.run(build(gpu, "writes_input"), Launch(1, 1), arguments, ("out",))
    assert arguments["x"].tolist() == [0, 1, 2, 3, 4]  # the kernel worked on a copy
    clock = gpu.clock(build(gpu, "writes_input"), Launch(1, 1), arguments, ("out",))
    clock.enqueue()()
    with pytest.raises(WrongResult, match=r"element 3 of the input 'x' was 3\.0 and is 7\.0"):
        clock.outputs()
    other = {"x": np.full(5, 7, f32), "out": poison((1,), f32)}  # 7 is the old content
    clock.refill(other)
    clock.enqueue()()
    assert clock.outputs()["out"].tolist() == [7]


def test_a_part_of_l2_is_set_aside_for_launches_that_need_it_except_while_l2_is_emptied(gpu, monkeypatch):
    """On a real device too: the part that is set aside keeps lines that no sweep evicts."""
    limits, driver = [], find_driver()
    limit = driver.cuCtxSetLimit

    def noted(number, value):
        limits.append(value.value)
        return limit(number, value)

    monkeypatch.setattr("ptxbench.backends.gpu.find_driver", lambda: SimpleNamespace(
        cuCtxSetLimit=noted, cuCtxResetPersistingL2Cache=driver.cuCtxResetPersistingL2Cache
    ))  # fmt: skip
    arguments = {"x": np.arange(5, dtype=f32), "out": poison((1,), f32)}
    most = gpu.launcher.limits.set_aside_bytes
    assert most > 0
    built = build(gpu, "writes_input")
    clock = gpu.clock(built, Launch(1, 1, set_aside=50), arguments, ("out",))
    assert limits[:2] == [0, most // 2]  # nothing first, then the requested part
    before = len(limits)
    clock.enqueue()()
    assert limits[before:] == [0, most // 2]  # about the sweep
    with pytest.raises(WrongResult):
        gpu.run(built, Launch(1, 1), arguments, ("out",))
    assert limits[-1] == 0


def test_a_large_input_stays_on_the_device_while_its_checksum_matches(gpu, triad, monkeypatch):
    """Its bits are not copied back after a launch or after samples; the bits of the output are."""
    builds, launch, arguments, outputs = triad
    runtime, fetched = gpu.cuda.runtime, []
    copy = runtime.memcpyAsync

    def noted(to, source, size, kind, stream):
        fetched.append(size if kind == runtime.memcpyDeviceToHost else 0)
        copy(to, source, size, kind, stream)

    monkeypatch.setattr(runtime, "memcpyAsync", noted)
    monkeypatch.setattr(buffers, "MOST_FETCHED", 1 << 20)
    outcome = gpu.run(builds["ptx"], launch, arguments, outputs)
    assert sum(size == 4 << 20 for size in fetched) == 1
    assert sum(fetched) == (4 << 20) + 3 * 2 * buffers.GUARD_BYTES + 2 * 2 * 8
    x, y = (arguments[name] for name in arguments if isinstance(arguments[name], np.ndarray) and name not in outputs)
    assert outcome.outputs[outputs[0]].size == x.size == y.size == 1 << 20


@pytest.mark.parametrize("assembler", ["toolkit", "driver"])
def test_scalars_arrive_with_their_exact_sizes(gpu, assembler):
    arguments = {
        "byte": np.uint8(0xA5),
        "double": np.float64(0.1),
        "half": np.uint16(0xBEEF),
        "single": np.float32(0.1),
        "out": poison((16,), u8),
    }
    outcome = gpu.run(build(gpu, "scalars", assembler), Launch(1, 1), arguments, ("out",))
    expected = np.float64(0.1).tobytes() + np.float32(0.1).tobytes() + bytes([0xEF, 0xBE, 0xA5, 0xFF])
    assert outcome.outputs["out"].tobytes() == expected


def test_dynamic_shared_memory_may_exceed_48_kib(gpu):
    arguments = {"out": poison((256,), u32)}
    outcome = gpu.run(build(gpu, "big_shared"), Launch(1, 256, shared_bytes=63 * 1024), arguments, ("out",))
    assert outcome.outputs["out"].tolist() == list(range(256))


def test_a_block_larger_than_maxntid_is_a_device_error_that_says_what_to_check(gpu):
    with pytest.raises(DeviceError, match=r"past_end\.ptx: CUDA_ERROR_\w+: .*"):
        gpu.run(build(gpu, "past_end"), Launch(1, 1024), {"out": poison((1024,), u32)}, ("out",))


def test_an_illegal_address_is_a_device_error_and_later_launches_report_why_they_fail(gpu):
    # In a separate process, because the error makes the GPU unusable for the process.
    code = f"""
from pathlib import Path
from ptxbench import toolchain
from ptxbench.backends.gpu import GpuBackend
from ptxbench.errors import DeviceError, MachineError
from ptxbench.arrays import poison
from ptxbench.pair import Launch, u32

gpu = GpuBackend()
built = toolchain.build(Path({str(PTX / "illegal_address.ptx")!r}), language="ptx", variant="ptx",
                        entry="illegal_address", arch=gpu.device().sm)
for _ in range(2):
    try:
        gpu.run(built, Launch(1, 1), {{"out": poison((1,), u32)}}, ("out",))
    except (DeviceError, MachineError) as error:
        print(error, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    first, second = done.stdout.splitlines()
    assert first.startswith("illegal_address.ptx: cudaErrorIllegalAddress: ")
    assert first.endswith("Run it with --backend emulator: it reports the line.")
    assert second == f"illegal_address.ptx: this process can no longer use the GPU: {first}"


@pytest.fixture
def triad(gpu):
    """Builds and arguments of triad at a size that takes a while."""
    kernels = discovery.default_kernels()
    loaded = discovery.load(kernels, "triad")
    size = {"n": 1 << 20}
    builds = {
        source.variant: toolchain.build(
            source.path,
            language=source.language,
            variant=source.variant,
            entry=source.entry,
            arch=gpu.device().sm,
            flags=source.flags,
        )
        for source in loaded.sources
        if source.language in REQUIRED
    }
    return builds, loaded.pair.launch(**size), loaded.pair.make_arguments(size, seed=1), loaded.pair.outputs


def test_events_give_a_positive_time_every_time(gpu, triad):
    builds, launch, arguments, outputs = triad
    clock = gpu.clock(builds["ptx"], launch, arguments, outputs)
    pending = [clock.enqueue() for _ in range(20)]
    ns = [wait() for wait in pending]
    assert all(isinstance(t, int) for t in ns)
    # 1 Mi elements of 12 bytes: no device moves 12 MB in a microsecond, none needs a second.
    assert all(1_000 < t < 1_000_000_000 for t in ns)


def test_a_cell_is_measured_in_paired_blocks_on_one_set_of_buffers(gpu, triad):
    builds, launch, arguments, outputs = triad
    clocks = {variant: gpu.clock(build, launch, arguments, outputs) for variant, build in builds.items()}
    settings = SamplingSettings(warm_up_seconds=0.1, warm_up_limit_seconds=0.1, looks=(8,), solo=0)
    [one] = [
        one_round
        for one_round in measure(clocks, seed=1, settings=settings).rounds
        if one_round.contrast == ("cuda", "ptx")
    ]
    assert len(one.ns) == 8
    assert all(t > 0 for block in one.ns for t in block)


@pytest.mark.parametrize("name", ["scan", "reduce_sum"])
def test_a_short_kernel_is_timed_by_graphs_that_restore_its_flags_and_sums(gpu, name):
    loaded = discovery.load(discovery.default_kernels(), name)
    pair, size = loaded.pair, {**loaded.pair.bench_sizes[0], "n": 1 << 13}
    sources = {source.variant: source for source in loaded.sources if source.variant in ("cuda", "ptx")}
    arch, data, launch = gpu.device().sm, pair.make_arguments(size, seed=1), pair.launch(**size)
    clocks = {
        variant: gpu.clock(
            toolchain.build_source(source, arch), launch, data, pair.outputs, updated=pair.updated, scratch=pair.scratch
        )
        for variant, source in sources.items()
    }
    for clock in clocks.values():
        assert clock.graphs
        short, long = clock.enqueue_graph(8), clock.enqueue_graph(16)
        assert -1_000 < short() < long() < 1_000_000
    once = gpu.run(toolchain.build_source(sources["ptx"], arch), launch, data, pair.outputs).outputs
    clocks["ptx"].enqueue()()
    outputs_of_ptx = clocks["ptx"].outputs()
    for output in set(pair.outputs) - set(pair.scratch):
        np.testing.assert_allclose(outputs_of_ptx[output], once[output], rtol=1e-4, atol=1e-3)


def test_a_kernel_gets_its_structs(gpu, tmp_path):
    loaded = discovery.load(struct_pair.write(tmp_path), "affine")
    pair, size = loaded.pair, {"n": 1000}
    data = pair.make_arguments(size, seed=1)
    for source in loaded.sources:
        build = toolchain.build_source(source, gpu.device().sm)
        outcome = gpu.run(build, pair.launch(**size), data, pair.outputs)
        np.testing.assert_allclose(outcome.outputs["y"], -(2 * data["x"] + 1) + (5 ^ 3) + 0.5, rtol=1e-5, atol=1e-5)
        assert gpu.floor(pair.launch(**size), data).enqueue()() > 0


def test_a_launch_takes_less_time_if_its_data_are_in_l2(gpu, triad):
    builds, _, _, outputs = triad
    pair, size = discovery.load(discovery.default_kernels(), "triad").pair, {"n": 1 << 16}  # 768 KiB
    data, launch = pair.make_arguments(size, seed=1), pair.launch(**size)
    cold, warm = (gpu.clock(builds["ptx"], launch, data, outputs, cache=state) for state in ("cold", "warm"))
    assert (warm.copies, cold.copies > 1) == (1, True)

    def slope(clock):
        return median((clock.enqueue_graph(32)() - clock.enqueue_graph(16)()) / 16 for _ in range(5))

    assert slope(cold) > 1.2 * slope(warm)
    assert median(cold.enqueue()() for _ in range(9)) > median(warm.enqueue()() for _ in range(9))


def test_a_clock_gives_the_output_of_its_last_sample_and_another_launch_agrees(gpu, triad):
    builds, launch, arguments, outputs = triad
    once = gpu.run(builds["ptx"], launch, arguments, outputs).outputs
    clock = gpu.clock(builds["ptx"], launch, arguments, outputs)
    clock.enqueue()()
    timed = clock.outputs()
    repeated = next(gpu.again(builds["ptx"], launch, arguments, outputs)).outputs
    for name in outputs:
        assert timed[name].tobytes() == repeated[name].tobytes() == once[name].tobytes()


def test_a_sample_that_writes_past_the_end_is_found_when_its_outputs_are_read(gpu):
    arguments = {"out": poison((256,), u32)}
    clock = gpu.clock(build(gpu, "past_end"), Launch(1, 256), arguments, ("out",))
    clock.enqueue()()
    with pytest.raises(WrongResult, match="byte 1024 of 'out'"):
        clock.outputs()


def test_the_device_is_described_for_the_run_document(gpu):
    device = gpu.device()
    assert set(info_document(device)) == {
        "kind", "name", "uuid_hash", "sm", "sms", "threads_per_sm", "memory_bytes", "l2_bytes", "ecc", "mig",
        "power_limit_w", "driver",
    }  # fmt: skip
    assert device.is_gpu
    assert device.sm.startswith("sm_")
    assert device.sms > 0
    assert device.threads_per_sm >= 1024
    assert device.memory_bytes > 1 << 30
    assert device.l2_bytes > 0


def test_the_device_is_described_even_if_nvml_fails(gpu, monkeypatch):
    import pynvml

    def refuse():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    device = gpu.device()
    assert (device.mig, device.power_limit_w, device.driver) == (None, None, None)
    assert device.sms > 0
