"""A candidate and one question: its kernel is launched, and what is wrong with what came of it is a finding."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ptxbench.check.findings import Finding, finding
from ptxbench.check.launching import POISON, CheckCase, CheckKernel, LaunchOptions, LaunchResult, launch
from ptxbench.check.reading import CandidateText
from ptxbench.check.suite import CheckSuite
from ptxbench.errors import (
    Deadlock,
    EmulatorCrash,
    FuelExhausted,
    KernelError,
    KernelTrap,
    LaunchError,
    MemoryFault,
    UnsupportedInstruction,
)

FAULTS: tuple[tuple[type[KernelError], str], ...] = (
    (UnsupportedInstruction, "unsupported"),
    (LaunchError, "launch-refused"),
    (MemoryFault, "memory-fault"),
    (KernelTrap, "trap"),
    (Deadlock, "deadlock"),
    (FuelExhausted, "endless"),
    (EmulatorCrash, "emulator-crash"),
)
"""What the code of an error is."""

WRONG = ("wrong-result", "output-unwritten")
"""Codes of a launch that ended well and left what it should not."""


@dataclass
class CandidateLauncher:
    """Launches of one candidate: its text, the exam that asks, and the loop iterations that a warp may run.

    `launches`: how many there were so far.
    """

    exam: CheckSuite
    text: CandidateText
    fuel: int
    launches: int = 0

    def launch(self, case: CheckCase, how: LaunchOptions, kept: dict[str, bytes] | None = None) -> LaunchResult:
        """Launch once, with this candidate's fuel. Raises KernelError as `launching.launch` does."""
        self.launches += 1
        kernel = CheckKernel(self.text.ptx, self.exam.entry, self.exam.arch)
        return launch(kernel, self.exam.pair, case, replace(how, fuel=self.fuel), kept)

    def ask(self, stage: str, case: CheckCase) -> Finding | None:
        """What is wrong with one launch; None if it is right."""
        try:
            left = self.launch(case, LaunchOptions())
        except KernelError as error:
            return self.fault(stage, error, case)
        return self.wrong(stage, left, case)

    def wrong(self, stage: str, left: LaunchResult, case: CheckCase, poison: int = POISON) -> Finding | None:
        """What is wrong with what a launch left."""
        if left.changed is not None:
            told = f"{case.label}: the kernel writes to '{left.changed}', which it is given to read."
            return finding(stage, "input-changed", told)
        if (worst := self.exam.wrong(left, case)) and not self.exam.overflows(left, case):
            stale = self.exam.unwritten(left, case, poison)
            return finding(stage, "output-unwritten" if stale else "wrong-result", worst)
        return self.lasting(stage, left, case)

    def lasting(self, stage: str, left: LaunchResult, case: CheckCase) -> Finding | None:
        """What a launch left for later ones, where no kernel of the pair does so."""
        if left.state and not self.exam.keeps_state:
            told = f"{case.label}: the launch changes the module variable '{left.state[0]}'."
            return finding(stage, "writable-module-state", told)
        if left.unfreed and not self.exam.keeps_heap:
            blocks = "1 block" if left.unfreed == 1 else f"{left.unfreed:,} blocks"
            told = f"{case.label}: the launch leaves {blocks} of the heap allocated."
            return finding(stage, "heap-kept", told)
        return None

    def fault(self, stage: str, error: KernelError, case: CheckCase) -> Finding:
        """A launch that did not end well."""
        code = next((code for kind, code in FAULTS if isinstance(error, kind)), "emulator-crash")
        if "not enough memory" in str(error) or "GB are free" in str(error):
            code = "memory-limit"
        told = re.sub(r"; its PTX is saved as .*", ".", str(error))
        told = re.sub(r"; [\d.]+ GB are free", "", told)  # so that a seed gives one message on every machine
        line = re.match(r"line (\d+): ", told)
        message = told[line.end() :] if line else told
        named = line or re.search(r"\bwaits at line (\d+)", told)  # of a deadlock, where the first warp waits
        return self.text.places.at(stage, code, f"{case.label}: {message}", int(named[1]) if named else 0)
