"""Kernels that are compiled and run on the emulator, and the executions derived for their machine code."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from ptxbench import emulator, executed, toolchain
from ptxbench.toolchain import Build


@dataclass(frozen=True)
class Ran:
    build: Build
    counted: executed.Counted
    executed: executed.Executed

    def opcode(self, name):
        """Executions of all instructions with that opcode, with or without further modifiers."""
        by_address = self.executed.by_instruction
        code = toolchain.lines.annotate(self.build).instructions
        return sum(
            by_address[instruction.address]
            for instruction in code
            if instruction.text.split()[1 if instruction.text[0] == "@" else 0].startswith(name)
        )


@pytest.fixture
def launched(tmp_path):
    """Compiles a text with kernel `k`, runs it, and derives the executions of its machine code."""

    def run(text, args, *, grid=1, block=32, arch="sm_90", language="cuda"):
        path = tmp_path / f"k{'.cu' if language == 'cuda' else '.ptx'}"
        path.write_text(text)
        build = toolchain.build(path, language=language, variant="k", entry="k", arch=arch)
        values = [np.array(arg) if isinstance(arg, list) else arg for arg in args]
        execution = emulator.run(build.ptx, "k", grid=(grid, 1, 1), block=(block, 1, 1), args=values, arch=arch)
        counted = executed.Counted(execution.by_line, grid * math.ceil(block / 32), execution.loops)
        return Ran(build, counted, executed.of_build(build, counted))

    return run
