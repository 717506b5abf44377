"""Whether a kernel is right while it is timed: outputs of timed samples, copied aside, and verified afterwards."""

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
    """What a sample of `variant` left of what it was `given`, after block `block` of the contrast of `against`."""

    against: str
    variant: str
    block: int
    outputs: Mapping[str, Any]
    given: CaseData


@dataclass
class OutputSnapshots:
    """The exhibits of a round. Call it as the witness of a measurement. `given`: the data of the last sample."""

    clocks: Mapping[str, Clock]
    given: Callable[[], CaseData]
    snapshots: list[OutputSnapshot] = field(default_factory=list)

    def __call__(self, against: str, variant: str, block: int) -> None:
        """Keep what the variant's last sample left; of what is the same as before, only that it is."""
        outputs = self.clocks[variant].outputs()
        for other in self.snapshots:
            if other.variant == variant and same_bits(outputs, outputs, other.outputs):
                outputs = other.outputs
        self.snapshots.append(OutputSnapshot(against, variant, block, outputs, self.given()))

    def verdicts(
        self, errors: Mapping[str, Mapping[str, ErrorOf]], labels: Mapping[str, str]
    ) -> list[tuple[OutputSnapshot, Verdict]]:
        """Each exhibit judged, with the `errors` that its variant is allowed; `labels` begin the messages."""
        return [
            (
                each,
                verify(
                    each.outputs,
                    each.given.expected.widened(errors[each.variant]),
                    f"{labels[each.variant]}, {each.given.where}, timed, block {each.block}",
                ),
            )
            for each in self.snapshots
        ]


def with_verified_outputs(rounds: Sequence[Round], verdicts: Sequence[tuple[OutputSnapshot, Verdict]]) -> list[Round]:
    """The rounds of which every exhibit is right, each with what was verified of it."""
    wrong = {each.variant for each, verdict in verdicts if verdict.worst}
    found = []
    for one in rounds:
        if wrong & set(one.contrast):
            continue
        own = [(each, verdict) for each, verdict in verdicts if each.against == one.contrast[1]]
        errors = [verdict.max_error for _, verdict in own]
        known = [error for error in errors if error is not None]
        evidence = {
            "blocks": sorted({each.block for each, _ in own}),
            "max_error": max(known) if known and len(known) == len(errors) else None,
        }
        found.append(replace(one, evidence=evidence))
    return found
