"""Whether a kernel is right while it is timed: outputs of timed samples, kept, and verified afterwards."""

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
    """The rounds whose snapshots are all right; `snapshot` gets what was verified."""
    wrong = {snapshot.variant for snapshot, verdict in verdicts if verdict.worst}
    right_rounds = []
    for one in rounds:
        if wrong & set(one.contrast):
            continue
        own = [(snapshot, verdict) for snapshot, verdict in verdicts if snapshot.against == one.contrast[1]]
        errors = [verdict.max_error for _, verdict in own]
        known = [error for error in errors if error is not None]
        evidence = {
            "blocks": sorted({snapshot.block for snapshot, _ in own}),
            "max_error": max(known) if known and len(known) == len(errors) else None,
        }
        right_rounds.append(replace(one, evidence=evidence))
    return right_rounds
