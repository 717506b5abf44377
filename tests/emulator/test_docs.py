"""The example of docs/emulator.md prints the output below it, and the tables name every counter and every error."""

import contextlib
import io
import re
from pathlib import Path

from ptxbench import errors
from ptxbench.emulator import counters

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "emulator.md").read_text()


def test_the_example_prints_what_the_page_says():
    program, printed = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.S).groups()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(program, "docs/emulator.md", "exec"), {})
    assert output.getvalue() == printed


def test_every_counter_is_explained():
    """Under its name; a family under that of its first, with `..._` for what follows; a class by itself."""
    section = (DOCS / "counters.md").read_text().partition("## What they do not mean")[0]
    explained = set(re.findall(r"`([\w.]+)`", section))
    for name in counters.ADDITIVE:
        loads = name.replace("_store_", "_load_")
        head, _, last = loads.rpartition("_")
        kind = name.removeprefix("ptx_warp_instructions_")
        flops = re.sub(r"flops_\w+", "flops_TYPE", name)
        in_family = f"..._{last}" in explained and any(
            f"{head}_{first}" in explained for first in ("requests", "wavefronts")
        )
        assert {name, loads, kind, flops} & explained or in_family, name


def test_every_error_of_a_launch_is_explained():
    table = TEXT.partition("## When something is wrong")[2].partition("## Limits")[0]
    own = {
        "PtxSyntaxError", "UnsupportedInstruction", "LaunchError", "MemoryFault", "Deadlock", "FuelExhausted",
        "KernelTrap", "KernelTooLarge", "EmulatorCrash",
    }  # fmt: skip
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == own
    for name in own:
        assert issubclass(getattr(errors, name), errors.KernelError)
