"""ptxas accepts the PTX of the tests: otherwise they would test the emulator on another language."""

import importlib
import re
from pathlib import Path

import pytest

from ptxbench.emulator.isa import TABLE, table
from ptxbench.toolchain import locate, ptxas
from tests.emulator import harness
from tests.emulator.spelled import instruction


def assemble(text, arch):
    """ptxas's messages on a module; a test that cannot ask ptxas fails."""
    tool = locate.program("ptxas")
    assert tool is not None, locate.INSTALL
    return ptxas.assemble(tool, text, arch)


@pytest.fixture(scope="module")
def kernels():
    """Every kernel of every test module, whichever of them this run selected."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"tests.emulator.{path.stem}")
    return list(harness.KERNELS.values())


def test_ptxas_accepts_every_kernel_of_the_tests(kernels):
    """For sm_90: which kernels there are depends on the tests that ran before, and some of those need it."""
    header = harness.HEADER.replace("sm_80", "sm_90")
    assemble(header + "\n".join(kernels), "sm_90")


UNTRIED = re.compile(r"st\.(weak\.)?param|call\.|.*\.param::func|shfl\.(?!sync)|vote\.(?!sync)|w?g?mma\.|\w+matrix\.")
"""Forms only for calls or in old PTX, the emulator's own names for functions of the host, and the matrix
instructions, which have as many registers as their shapes ask for: test_wmma.py assembles those."""


OF_SM_120 = re.compile(r"\w+\.(\w+\.)*[us]8x4$|add\.sat\.(u32|[us]16x2)$|clmad\.")
"""What sm_100a does not have."""
NUMBERS = {
    "immLut": "0x96", "size": "128", "event": "7", "events": "3", "registers": "64", "bytes": "16", "groups": "1",
    "align": "16", "zero": "0", "choice": "1", "ord": "1",
}  # fmt: skip
"""The operands that must be numbers, by name."""


def spelling(entry, number):
    """One instruction with operands of the entry's types, and the registers that it needs."""
    declared, operands = [], []

    def register(kind, name):
        declared.append(f".reg .{kind} {name};")
        return name

    for place, form in enumerate(entry.operands):
        name = f"%x{number}_{place}"
        kind = form.type.name if form.type else "b32"
        exact = "bf16" in entry.opcode or "e2m1" in entry.opcode  # these take no wider register
        kind = harness.register(kind, result=form.kind == "target", exact=exact)
        if form.kind == "label":
            operands.append("TARGETS" if entry.flow == "switch" else "END")
        elif form.kind == "address":
            operands.append("[parameter]" if ".param" in entry.opcode else f"[{register('b64', name)}]")
        elif form.vector:
            tensor = re.search(r"\.tensor\.([1-5])d\b", entry.opcode)
            parts = int((tensor or re.search(r"\.v([248])\b|$", entry.opcode))[1] or 2)
            width = kind if tensor or ".v" in entry.opcode else f"b{int(kind[1:]) // parts}"
            operands.append("{" + ", ".join(register(width, f"{name}_{i}") for i in range(parts)) + "}")
        elif entry.opcode.startswith("mbarrier.") and form.kind == "target" and "shared::cluster" in entry.opcode:
            operands.append("_")  # the state of another CTA's barrier cannot be had
        elif form.name in NUMBERS:
            operands.append(NUMBERS[form.name])
        elif form.predicate:
            operands.append(f"{register(kind, name)}|{register('pred', name + 'q')}")
        else:
            operands.append(register(kind, name))
    return declared, instruction(entry.opcode, operands)


@pytest.mark.long
def test_ptxas_accepts_the_spellings_of_the_table(monkeypatch):
    """For a line with more than 16, those that differ from the first at one position: there are over 20,000 in all."""
    monkeypatch.setattr(table, "MOST_SPELLINGS", 16)
    entries = [entry for forms in TABLE.values() for entry in forms]
    declared, lines, newer = [], [], []
    for number, entry in enumerate(entries):
        if entry.flow == "exit" or UNTRIED.match(entry.opcode):
            continue
        registers, line = spelling(entry, number)
        declared += registers
        (newer if OF_SM_120.match(entry.opcode) else lines).append(line)
    for arch, of_arch in (("sm_100a", lines), ("sm_120a", newer)):
        body = "\n".join([*declared, "TARGETS: .branchtargets END;", *of_arch, "END: ret;"])
        header = harness.HEADER.replace("8.0", "9.3").replace("sm_80", arch)
        assemble(f"{header}.visible .entry spellings(.param .align 32 .b8 parameter[32])\n{{\n{body}\n}}\n", arch)
