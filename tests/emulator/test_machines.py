"""The same bytes and counters on every CPU: AVX-512, AVX2, no AVX or FMA; and from optimised code."""

import functools
import hashlib
import json
import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

PROGRAM = """
import hashlib, json
from ptxbench import discovery, emulator
kernels = discovery.default_kernels()
results = {}
for name in discovery.find_pairs(kernels):
    loaded = discovery.load(kernels, name)
    pair, path = loaded.pair, next(source.path for source in loaded.sources if source.variant == "ptx")
    size = pair.check_sizes[-1]
    launch = pair.launch(**size)
    arguments = pair.make_arguments(size, seed=1)
    execution = emulator.run(
        path.read_text(),
        grid=launch.grid_xyz,
        block=launch.block_xyz,
        args=list(arguments.values()),
        names=list(arguments),
        dynamic_shared_bytes=launch.shared_bytes,
        cluster=launch.cluster_xyz,
        arch=discovery.specialisation.split(path.stem)[1] or "sm_90",
    )
    digest = hashlib.sha256(b"".join(arguments[output].tobytes() for output in pair.outputs)).hexdigest()
    results[name] = [digest, execution.counters]
print(json.dumps(results))
"""


@functools.cache
def results(**settings):
    """Digest of the outputs and counters of every shipped PTX kernel, with these settings of the emulator."""
    environment = dict(os.environ) | {f"PTXBENCH_EMULATOR_{name}": value for name, value in settings.items()}
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(finished.stdout)


LESSER = ("x86-64", "x86-64-v2", "x86-64-v3") if platform.machine() == "x86_64" else ("generic",)


@pytest.mark.parametrize("settings", [*({"CPU": cpu} for cpu in LESSER), {"LEVEL": "1"}], ids=str)
def test_other_code_gives_the_same_bytes_and_counters(settings):
    expected = results()
    assert len(expected) >= 16
    assert hashlib.sha256(b"").hexdigest() not in {digest for digest, _ in expected.values()}
    assert results(**settings) == expected
