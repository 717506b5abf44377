"""A simulated NVIDIA GPU, on which tests run that need a GPU.

It replaces the CUDA libraries that ptxbench calls. The folder `path`, first on PYTHONPATH, has a package `cupy` in
place of CuPy and a `sitecustomize` that gives NVIDIA's driver library and NVML to ctypes; pynvml is the real one. So
it works in this process, in workers, and in `ptxbench` as users start it, and ptxbench does not know about it. One
environment variable holds JSON that describes the device and its faults: the fields of `Script` and `Fault` in
description.py.

What it models
- Time is virtual. A call takes the host a scripted time (`host_ns`). An operation starts when the host has enqueued it
  and the device is free. So a slow host appears in the times of events, as on a real device. `time.perf_counter_ns` is
  that of the virtual host; all other clocks are real. Events and %globaltimer have a resolution.
- A kernel takes a fixed time, plus the longer of two times: that of the data that it moves (memory and L2, which evicts
  the least recently used block and writes dirty blocks back), and that of the instructions that its warps execute, at
  the current clock, with some noise.
- Streams run as late as the API allows: when the host waits. Only then a copy reads and writes the host's memory.
- Memory: a size, CuPy's pool with blocks that are split, joined and freed, and garbage in new memory.
- Kernels execute on the emulator, from the PTX from which ptxas made the loaded cubin. The result of a launch is
  remembered for the identity of its data, so a thousand timed launches on the same data cost one emulation.
- It has its clock at once, unless the script changes the clock: a warm-up ends as soon as the times have settled.
- Launches are refused for: extents, registers, .maxntid, shared memory beyond 48 KiB and the opt-in, clusters and
  cooperative grids that do not fit, cubins of other devices, PTX without a JIT compiler or for a newer driver.
- Graphs, and captures that end or are invalidated by a wait.
- Sticky errors, a context in each process, exclusive mode, a device that is lost for all processes, NVML.

What it does not model
- Parallel streams: there is one queue of work, and dependent launches do not overlap. No peer access, no managed
  memory, no textures, no MPS, no MIG.
- Pointers in memory or in structures other than tensor maps: a kernel can access only what its own parameters point
  to, and the arrays of its tensor maps. An access outside a block of the pool is an illegal address, even if a real
  device would access a neighbouring block.
- Real times: no time here says anything about a GPU.
- What NVIDIA does not document, and what CuPy does beyond its CUDA calls.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("path")
VARIABLE = "SIMULATED_GPU"


def environment(folder: Path, **script: Any) -> dict[str, str]:
    """The environment variables that make a process and its children find the device."""
    path = [str(PATH), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {VARIABLE: json.dumps({"folder": str(folder), **script}), "PYTHONPATH": os.pathsep.join(path)}


def install(monkeypatch: Any, folder: Path, **script: Any) -> None:
    """Have this process find the device until the test ends, and every process that it starts."""
    import time

    import pynvml

    from ptxbench import toolchain
    from ptxbench.measure import experiment
    from ptxbench.runner import control

    # What the device replaces in this process is restored afterwards.
    monkeypatch.setattr(toolchain, "assembled", toolchain.assembled)
    monkeypatch.setattr(experiment, "warm_up", experiment.warm_up)
    monkeypatch.setattr(control, "PAIR", replace(control.PAIR, bench_sizes=list(control.PAIR.bench_sizes)))
    for name, value in environment(folder, **script).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(PATH))
    ours = [".".join(path.relative_to(PATH).with_suffix("").parts) for path in PATH.rglob("*.py")]
    ours = [our.removesuffix(".__init__") for our in ours if our != "sitecustomize"]
    theirs = [
        module for module in sys.modules if module.partition(".")[0] in ("cupy", "cupy_backends", "simulated_gpu")
    ]
    for name in {*ours, *theirs}:
        monkeypatch.setitem(sys.modules, name, None)  # so that each is restored afterwards
        del sys.modules[name]
    monkeypatch.setattr(time, "perf_counter_ns", time.perf_counter_ns)
    from simulated_gpu import libraries

    monkeypatch.setattr(ctypes, "CDLL", libraries.find)
    monkeypatch.setattr(pynvml, "CDLL", libraries.find)
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
