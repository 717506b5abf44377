"""Imports point down only, and each outside library is known to the layers that it belongs to.

Read from the source, so that an import inside a function or under TYPE_CHECKING counts too.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = [
    {"cli", "__main__", "notebook", "pytest_plugin", "service"},
    {"terminal", "report", "exporters"},
    {"wording", "doctor"},
    {"runner", "tune", "worker", "verdict", "execution", "exec_program", "portability", "listing", "calibration",
     "audit", "check", "bugs", "firstrun", "profiling", "model", "executed", "kernel_comparison", "callable_kernel",
     "draft", "kernel_timing", "launch_notes"},
    {"measure", "backends", "signature", "arguments", "dask_pool"},
    {"toolchain", "emulator", "metrics", "roofline", "floors", "verify", "mismatch", "oracle", "wrong_outputs", "stats",
     "cycles", "environment", "discovery", "template", "rival", "fingerprint"},
    {"pair", "arrays", "device_shape", "launch", "structs", "tensor_map", "libraries", "opcodes", "knobs",
     "substitution", "result", "run_info", "specifications", "pipes", "units", "errors", "exit_status",
     "saved_runs", "checklist", "cache", "containment", "documents", "architecture", "safe_text",
     "kernel_names", "languages", "interrupts", "__init__", "forks", "pool", "extras", "foreign_text",
     "keywords", "output_files"},
]  # fmt: skip
"""Highest first: a part may import from its own layer and from those below."""

APART = {"terminal", "report", "exporters"}
"""Parts of one layer that do not import each other: their common code is in wording."""

FACADE = {
    "ptxbench.check.findings.Finding", "ptxbench.check.findings.Judgement", "ptxbench.check.judge.Judge",
    "ptxbench.check.judge.judge", "ptxbench.check.judge.judge_many",
    "ptxbench.check.reward.Reward", "ptxbench.check.reward.reward",
    "ptxbench.notebook.Run", "ptxbench.notebook.load_run", "ptxbench.notebook.run",
}  # fmt: skip
"""What `ptxbench` itself offers, although every part may import it: the names are imported when they are used."""

ALONE = {
    "errors": {"exit_status"},
    "exit_status": set(),
    "arrays": set(),
    "kernel_names": set(),
    "languages": set(),
    "foreign_text": set(),
    "pair": {"arrays", "device_shape", "errors", "knobs", "launch", "libraries", "structs", "tensor_map"},
    "launch": {"structs"},
    "structs": set(),
    "run_info": set(),
    "checklist": set(),
    "device_shape": {"run_info"},
    "knobs": set(),
    "libraries": set(),
    "tensor_map": set(),
    "opcodes": set(),
    "substitution": {"errors"},
    "specifications": set(),
    "pipes": set(),
    "units": set(),
    "result": {"errors", "documents", "output_files", "run_info", "safe_text"},
    "output_files": {"errors"},
    "documents": {"errors", "safe_text"},
    "safe_text": set(),
    "cache": set(),
    "containment": set(),
    "interrupts": set(),
    "extras": {"errors"},
    "forks": set(),
    "pool": {"interrupts"},
    # knows nothing of pairs
    "emulator": {"architecture", "cache", "errors", "foreign_text", "forks", "interrupts", "kernel_names",
                 "keywords", "pool", "tensor_map"},
}  # fmt: skip
"""Parts that may import these of ptxbench and nothing else."""

OUTSIDE = {
    "click": ["cli"],
    "rich": ["cli", "terminal"],
    "cupy": ["backends.gpu"],
    "llvmlite": ["emulator", "toolchain.numba_worker"],
    "numba": ["emulator", "toolchain.numba_worker"],
    "triton": ["toolchain.triton_worker"],
    "pytest": ["pytest_plugin"],
    "starlette": ["service"],
    "uvicorn": ["service"],
    "anyio": ["service"],
    "jsonschema": ["service"],
    "mcp": ["service"],
    "pydantic": ["service"],
    "dask": ["dask_pool"],
    "distributed": ["dask_pool"],
}
"""The importers of an outside library: a part, or one module of it."""

NAMES_FOR_SOMEWHERE = {"utils", "util", "core", "common", "helpers", "helper", "misc"}


def read_package() -> dict[str, str]:
    """The source of every module, by its dotted name below ptxbench: `cli.run`, `emulator.isa.alu`."""
    package = ROOT / "ptxbench"
    return {
        ".".join(path.relative_to(package).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in package.rglob("*.py")
    }


def imports(module: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a module imports, relative imports resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ["ptxbench", *module.split(".")][: -node.level] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            # `from ptxbench import stats` imports ptxbench.stats; `from ptxbench.pair import Pair` a name.
            yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)


def layer(part: str) -> int | None:
    return next((i for i, parts in enumerate(LAYERS) if part in parts), None)


def faults(package: Mapping[str, str]) -> list[str]:
    """Every breach of the rules in a package given as source by module name."""
    breaches = []
    for module, source in sorted(package.items()):
        part = module.split(".")[0]
        if bad := NAMES_FOR_SOMEWHERE & set(module.split(".")):
            breaches.append(f"{module}: '{bad.pop()}' is a name for somewhere; find the noun")
        if layer(part) is None:
            breaches.append(f"{module}: in no layer; add it to LAYERS")
            continue
        for line, name in imports(module, source):
            top, *modules = name.split(".")
            where = f"{module}:{line}: imports {name}"
            if top == "ptxbench":
                target = modules[0] if modules and layer(modules[0]) is not None else "__init__"
                if layer(target) < layer(part) and not (part == "__init__" and name in FACADE):
                    breaches.append(f"{where}, which is above it")
                if {part, target} <= APART and part != target:
                    breaches.append(f"{where}; what both need belongs in wording")
                if part in ALONE and target not in ALONE[part] | {part}:
                    breaches.append(f"{where}; it may import {sorted(ALONE[part]) or 'nothing'} of ptxbench")
            elif top in OUTSIDE and not any(f"{module}.".startswith(f"{holder}.") for holder in OUTSIDE[top]):
                breaches.append(f"{where}, which belongs to {' and '.join(OUTSIDE[top])} alone")
    return breaches


def test_imports_point_down_only():
    assert faults(read_package()) == []


# module, source, the fault that must be found
BROKEN = [
    ("stats", "from ptxbench.runner import run",
     "stats:1: imports ptxbench.runner.run, which is above it"),
    ("verify", "def f():\n    from ptxbench import backends",
     "verify:2: imports ptxbench.backends, which is above it"),
    ("runner", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ptxbench.terminal.table",
     "runner:3: imports ptxbench.terminal.table, which is above it"),
    ("toolchain.ptxas", "from ..measure import measure",
     "toolchain.ptxas:1: imports ptxbench.measure.measure, which is above it"),
    ("exporters.to_csv", "from ptxbench.terminal.table import CellTable",
     "exporters.to_csv:1: imports ptxbench.terminal.table.CellTable; what both need belongs in wording"),
    ("wording.findings", "from ptxbench.terminal import plural",
     "wording.findings:1: imports ptxbench.terminal.plural, which is above it"),
    ("emulator.parse", "from ptxbench.pair import Pair",
     "emulator.parse:1: imports ptxbench.pair.Pair; "
     "it may import ['architecture', 'cache', 'errors', 'foreign_text', 'forks', 'interrupts', 'kernel_names', "
     "'keywords', 'pool', 'tensor_map'] of ptxbench"),
    ("report.table", "import click",
     "report.table:1: imports click, which belongs to cli alone"),
    ("runner", "from rich.table import Table",
     "runner:1: imports rich.table.Table, which belongs to cli and terminal alone"),
    ("backends.emulator", "import cupy.cuda",
     "backends.emulator:1: imports cupy.cuda, which belongs to backends.gpu alone"),
    ("backends.gpu_clock", "import cupy",
     "backends.gpu_clock:1: imports cupy, which belongs to backends.gpu alone"),
    ("verify", "from numba import njit",
     "verify:1: imports numba.njit, which belongs to emulator and toolchain.numba_worker alone"),
    ("emulator.utils", "",
     "emulator.utils: 'utils' is a name for somewhere; find the noun"),
    ("__init__", "from ptxbench.notebook import Run\nfrom ptxbench.cli import main",
     "__init__:2: imports ptxbench.cli.main, which is above it"),
    ("gadgets", "",
     "gadgets: in no layer; add it to LAYERS"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "source", "fault"), BROKEN)
def test_a_violation_is_found(module, source, fault):
    assert faults({module: source}) == [fault]


# module, source: allowed
FINE = [
    ("cli.run", "import click, rich\nfrom ptxbench import runner, report"),
    ("measure", "from ptxbench.backends.base import Clock"),
    ("discovery.execute", "import ptxbench\nfrom ptxbench.pair import Pair"),
    ("backends.gpu", "def cuda():\n    import cupy"),
    ("emulator.isa.alu", "from ..emit import e\nimport llvmlite.ir"),
    ("cli.run", "from .. import __version__"),
]


@pytest.mark.parametrize(("module", "source"), FINE)
def test_an_allowed_import_is_not_reported(module, source):
    assert faults({module: source}) == []
