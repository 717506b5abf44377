"""Outputs of timed samples, saved during the measurement and verified afterwards: is a kernel right while it is
timed?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ptxbench.backends.base import Clock
from ptxbench.result import Round
from ptxbench.runner.case_data import CaseData
from ptxbench.verify import ErrorOf, Verdict, same_bits, verify


@dataclass(frozen=True)
class OutputSnapshot:
    """The outputs of a sample of `variant` on the data of `case`, after a block of the contrast with `against`."""

    against: str
    variant: str
    block: int
    outputs: Mapping[str, Any]
    case: CaseData


@dataclass
class OutputSnapshots:
    """The snapshots of a round: the SampleObserver of a measurement. `case`: returns the data of the last sample."""

    clocks: Mapping[str, Clock]
    case: Callable[[], CaseData]
    snapshots: list[OutputSnapshot] = field(default_factory=list)

    def __call__(self, against: str, variant: str, block: int) -> None:
        """Keep the outputs of the variant's last sample. Outputs with the same bits are kept once."""
        outputs = self.clocks[variant].outputs()
        for other in self.snapshots:
            if other.variant == variant and same_bits(outputs, outputs, other.outputs):
                outputs = other.outputs
        self.snapshots.append(OutputSnapshot(against, variant, block, outputs, self.case()))

    def verdicts(
        self, errors: Mapping[str, Mapping[str, ErrorOf]], labels: Mapping[str, str]
    ) -> list[tuple[OutputSnapshot, Verdict]]:
        """Each snapshot with its verdict. `errors`: the errors allowed to the variant; `labels` begin the messages."""
        return [
            (
                snapshot,
                verify(
                    snapshot.outputs,
                    snapshot.case.expected.widened(errors[snapshot.variant]),
                    f"{labels[snapshot.variant]}, {snapshot.case.where}, timed, block {snapshot.block}",
                ),
            )
            for snapshot in self.snapshots
        ]


def with_verified_outputs(rounds: Sequence[Round], verdicts: Sequence[tuple[OutputSnapshot, Verdict]]) -> list[Round]:
    """The rounds whose snapshots are all right, each with its `evidence`: which blocks were verified, and their
    error."""
    wrong = {snapshot.variant for snapshot, verdict in verdicts if verdict.worst}
    right_rounds = []
    for timed_round in rounds:
        if wrong & set(timed_round.contrast):
            continue
        of_round = [
            (snapshot, verdict) for snapshot, verdict in verdicts if snapshot.against == timed_round.contrast[1]
        ]
        errors = [verdict.max_error for _, verdict in of_round]
        known_errors = [error for error in errors if error is not None]
        evidence = {
            "blocks": sorted({snapshot.block for snapshot, _ in of_round}),
            "max_error": max(known_errors) if known_errors and len(known_errors) == len(errors) else None,
        }
        right_rounds.append(replace(timed_round, evidence=evidence))
    return right_rounds
