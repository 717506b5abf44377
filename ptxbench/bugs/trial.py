"""Tries one bug: does it change the machine code, does `check` reject it, and does `numpy.allclose` find it?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ptxbench import toolchain
from ptxbench.bugs.bug import Bug
from ptxbench.check.cases import silence
from ptxbench.check.findings import STAGES, Judgement
from ptxbench.check.launching import CheckKernel, LaunchOptions, launch
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import Source
from ptxbench.errors import CompileError, KernelError, PairError
from ptxbench.toolchain import cubin, locate, ptxas

FUEL = 1 << 16
"""The most loop iterations of a warp: no check size of a shipped pair needs a tenth of it, and a bug may loop
forever."""

JUDGED = tuple(STAGES)[: tuple(STAGES).index("resources")]
"""The stages that decide whether a kernel is right."""


@dataclass
class BugTrial:
    """A kernel of a pair, and the tests of its bugs."""

    suite: CheckSuite
    source: Source
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = self.source.path.read_text(encoding="utf-8")

    def ptx(self, text: str) -> str | None:
        """The PTX of a text of this kernel; None if it does not compile."""
        if self.source.language == "ptx":
            return text
        try:
            return toolchain.compiled(text.encode(), self.source.path, self.suite.arch, self.source.flags)[0]
        except CompileError:
            return None

    def machine_code(self, ptx: str) -> str | None:
        """A key that is equal for two texts with the same machine code; None if ptxas cannot assemble the text."""
        tool = locate.program("ptxas")
        assert tool, "audit checks it first"
        try:
            binary, messages = toolchain.assembled(tool, ptx, self.suite.arch)
        except ptxas.RefusedError:
            return None
        resources = ptxas.resources(messages, self.suite.entry)
        if resources is None:
            return None
        return cubin.identity(cubin.read(binary), self.suite.entry, resources.registers, resources.shared_bytes)

    @cached_property
    def original_ptx(self) -> str:
        """The PTX of the original kernel. Raises PairError if it cannot be built."""
        ptx = self.ptx(self.text)
        if ptx is None or self.machine_code(ptx) is None:
            raise PairError(f"{self.source.path.name} cannot be built for {self.suite.arch}.")
        return ptx

    @cached_property
    def original_code(self) -> str | None:
        return self.machine_code(self.original_ptx)

    def is_a_bug(self, bug: Bug) -> bool | None:
        """Whether the machine code differs; None if the text with the bug cannot be built."""
        ptx = self.ptx(bug.planted(self.text))
        if ptx == self.original_ptx:
            return False
        code = self.machine_code(ptx) if ptx is not None else None
        return None if code is None else code != self.original_code

    def judged(self, text: str) -> Judgement:
        """The judgement of a text by the stages that decide whether it is right."""
        with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
            path = Path(folder) / self.source.path.name
            path.write_text(text, encoding="utf-8")
            return Checker(self.suite, path, CheckOptions(FUEL, self.source.flags)).judge(stages=JUDGED)

    def differs(self, text: str) -> bool:
        """Whether one launch at the largest check size shows a difference to `numpy.allclose`."""
        case = self.suite.largest
        ptx = self.ptx(text)
        assert ptx is not None
        try:
            result = launch(
                CheckKernel(ptx, self.suite.entry, self.suite.arch), self.suite.pair, case, LaunchOptions(fuel=FUEL)
            )
        except KernelError:
            return True
        with silence():
            return not all(
                np.allclose(
                    (result.outputs[name] if (indices := case.expected.samples.get(name)) is None
                     else result.outputs[name].reshape(-1)[indices]).astype(np.float64),
                    expected.astype(np.float64),
                )
                for name, expected in case.expected.outputs.items()
            )  # fmt: skip

    @cached_property
    def compares(self) -> bool:
        """Whether `numpy.allclose` accepts the original kernel."""
        return not self.differs(self.text)
