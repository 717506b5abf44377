"""A GPU that is not there, for the tests."""

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

    from ptxbench.runner import control

    monkeypatch.setattr(control, "PAIR", replace(control.PAIR, bench_sizes=list(control.PAIR.bench_sizes)))
    for name, value in environment(folder, **script).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(PATH))
    for name in [each for each in sys.modules if each.partition(".")[0] in ("cupy", "cupy_backends", "simulated_gpu")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(time, "perf_counter_ns", time.perf_counter_ns)
    from simulated_gpu import libraries

    monkeypatch.setattr(ctypes, "CDLL", libraries.find)
    monkeypatch.setattr(pynvml, "CDLL", libraries.find)
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
