"""A simulated NVIDIA GPU, on which the tests run what needs one.

It stands where ptxbench touches CUDA. The folder `path`, first on PYTHONPATH, has a package `cupy` for CuPy and a
`sitecustomize` that gives NVIDIA's driver library and NVML to ctypes; pynvml is the real one. So it works in this
process, in workers, and in `ptxbench` as users start it, and ptxbench knows nothing of it. What the device is and what
goes wrong is JSON in one environment variable: the fields of `Script` and `Fault` in description.py.

What it models
- Time is virtual. A call takes the host a scripted time (`host_ns`); an operation starts once the host enqueued it and
  the device is free. So a late host shows in the times of events, as on a real device. `time.perf_counter_ns` is that
  of the virtual host; all other clocks are real. Events and %globaltimer step.
- A kernel takes a fixed time, and the longer of what it moves (memory and L2, which forgets the least recently used
  block and writes dirty ones back) and what its warps execute, at the clock of the moment, with some noise.
- Streams run as late as the API allows: where the host waits. Then a copy reads and writes the host's memory.
- Memory: a size, CuPy's pool with its blocks split, joined and given back, garbage in what is new.
- Kernels execute on the emulator, from the PTX that ptxas made the loaded cubin of. What a launch did is remembered by
  the identity of its data, so that a thousand timed launches on the same data cost one emulation.
- What a launch is refused for: extents, registers, .maxntid, shared memory beyond 48 KiB and the opt-in, clusters and
  cooperative grids that do not fit, cubins of other devices, PTX without a JIT compiler or for a newer driver.
- Graphs, and captures that end, or are spoilt by a wait.
- Errors that stay, a context in each process, exclusive mode, a device that is gone for all processes, NVML.

What it does not model
- Streams beside each other: there is one queue of work. No peer, no managed memory, no textures, no MPS, no MIG.
- Pointers in memory or in structures: a kernel reaches what its own parameters point to. An access outside a block of
  the pool is an illegal address, also where a real device would hit a neighbour.
- Clusters as such: a kernel whose CTAs work together in one does not run. Tensor maps are made, not used.
- How long anything really takes: no time here says anything about a GPU.
- What NVIDIA does not document, and what CuPy does beyond its calls of CUDA.
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
    """What a process needs in its environment to find the device; its children find it too."""
    path = [str(PATH), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {VARIABLE: json.dumps({"folder": str(folder), **script}), "PYTHONPATH": os.pathsep.join(path)}


def install(monkeypatch: Any, folder: Path, **script: Any) -> None:
    """Have this process find the device until the test ends, and every process that it starts."""
    import time

    import pynvml

    from ptxbench import toolchain
    from ptxbench.runner import control

    monkeypatch.setattr(toolchain, "assembled", toolchain.assembled)
    monkeypatch.setattr(control, "PAIR", replace(control.PAIR, bench_sizes=list(control.PAIR.bench_sizes)))
    for name, value in environment(folder, **script).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(PATH))
    ours = [".".join(each.relative_to(PATH).with_suffix("").parts) for each in PATH.rglob("*.py")]
    ours = [each.removesuffix(".__init__") for each in ours if each != "sitecustomize"]
    theirs = [each for each in sys.modules if each.partition(".")[0] in ("cupy", "cupy_backends", "simulated_gpu")]
    for name in {*ours, *theirs}:
        monkeypatch.setitem(sys.modules, name, None)  # so that afterwards each is what it was before
        del sys.modules[name]
    monkeypatch.setattr(time, "perf_counter_ns", time.perf_counter_ns)
    from simulated_gpu import libraries

    monkeypatch.setattr(ctypes, "CDLL", libraries.find)
    monkeypatch.setattr(pynvml, "CDLL", libraries.find)
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
