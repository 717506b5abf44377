"""What a sanitised launch found, in words. The kinds and their layout are runtime/sanitize.py's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench.emulator import memory
from ptxbench.emulator.layout import Site, StepReport, Translation
from ptxbench.emulator.runtime import context, sanitize


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a kernel, found at the first thread that did it, by line and kind.

    `kind`: out-of-bounds, misaligned, uninitialised, race, divergent-barrier, barrier-after-exit, pending-copy,
    member-mask or schedule. `line` is the PTX's.
    """

    kind: str
    line: int
    message: str


@dataclass(frozen=True)
class RawFinding:
    """A finding as the generated code stores it; `slot` is its site's index in the raw counters."""

    kind: int
    slot: int
    lane: int
    address: int
    cta: int
    warp: int
    other: int


KINDS = {
    context.OUT_OF_BOUNDS: "out-of-bounds",
    context.MISALIGNED: "misaligned",
    sanitize.UNINITIALISED: "uninitialised",
    sanitize.UNINITIALISED_REGISTER: "uninitialised",
    sanitize.READ_AFTER_WRITE: "race",
    sanitize.WRITE_AFTER_WRITE: "race",
    sanitize.WRITE_AFTER_READ: "race",
    sanitize.DISAGREEMENT: "race",
    sanitize.DIVERGENT_BARRIER: "divergent-barrier",
    sanitize.BARRIER_AFTER_EXIT: "barrier-after-exit",
    sanitize.EXIT_BEFORE_BARRIER: "barrier-after-exit",
    sanitize.NOT_A_MEMBER: "member-mask",
    sanitize.PENDING_COPY: "pending-copy",
}
VERBS = {"load": "reads", "store": "writes", "atomic": "updates", "mbarrier": "uses"}


def first_of_each(raw: Sequence[RawFinding]) -> list[RawFinding]:
    """For each site and kind, the finding of the lowest CTA, whichever host thread ran it."""
    best: dict[tuple[int, int], RawFinding] = {}
    for each in raw:
        key = (each.slot, each.kind)
        if key not in best or (each.cta, each.warp, each.lane) < (best[key].cta, best[key].warp, best[key].lane):
            best[key] = each
    return list(best.values())


class Describer:
    """Turns raw findings into sentences that name line, thread, CTA and what else took part."""

    def __init__(
        self, translation: Translation, buffers: Sequence[memory.Buffer], grid: tuple[int, int, int],
        block: tuple[int, int, int], shared_bytes: int,
    ) -> None:  # fmt: skip
        self.translation = translation
        self.buffers = buffers
        self.grid = grid
        self.block = block
        self.sizes = {"shared": shared_bytes, "local": translation.local_bytes}
        self.sites = {site.slot: site for site in translation.sites}

    def findings(self, raw: Sequence[RawFinding]) -> tuple[Finding, ...]:
        """In the order of the PTX."""
        described = [self.describe(each) for each in first_of_each(raw)]
        return tuple(sorted(set(described), key=lambda finding: (finding.line, finding.kind, finding.message)))

    def step(self, site: Site) -> StepReport:
        return self.translation.steps[site.step]

    def describe(self, raw: RawFinding) -> Finding:
        site = self.sites[raw.slot]
        step = self.step(site)
        thread = coordinates(32 * raw.warp + raw.lane, self.block)
        who = f"line {step.line}: {step.opcode} by thread {thread} of CTA {coordinates(raw.cta, self.grid)}"
        return Finding(KINDS[raw.kind], step.line, f"{who} {self.what(raw, site)}")

    def what(self, raw: RawFinding, site: Site) -> str:
        place = f"byte {raw.address} of {site.space} memory"
        if raw.kind in (context.OUT_OF_BOUNDS, context.MISALIGNED):
            return bad_access(raw.kind, site, raw.address, self.buffers, self.sizes)
        if raw.kind == sanitize.UNINITIALISED:
            return f"reads {place}, which nobody has written."
        if raw.kind == sanitize.UNINITIALISED_REGISTER:
            return f"reads '{site.kind}' before it was written."
        if raw.kind == sanitize.PENDING_COPY:
            return f"reads {place}, which an asynchronous copy is still filling. Wait for it first."
        if raw.kind == sanitize.DIVERGENT_BARRIER:
            return "comes to a barrier while other lanes of its warp wait at another. All must come to the same."
        if raw.kind == sanitize.BARRIER_AFTER_EXIT:
            return "waits at a barrier that threads which have exited can never reach. Let them arrive first."
        if raw.kind == sanitize.EXIT_BEFORE_BARRIER:
            return "exits while other lanes of its warp wait at a barrier. Let it arrive there first."
        if raw.kind == sanitize.NOT_A_MEMBER:
            return "is not in the member mask that it names. Leave it out by a branch, or name it."
        other = self.other(raw.other)
        if raw.kind == sanitize.DISAGREEMENT:
            return f"writes {place}, and {other} in the same instruction another value. Which one stays is undefined."
        earlier = "read" if raw.kind == sanitize.WRITE_AFTER_READ else "wrote"
        return f"{VERBS[site.kind]} {place}, which {other} {earlier}, and no barrier lies between."

    def other(self, identity: int) -> str:
        """The other access of a race: its thread and line."""
        thread = identity & (1 << sanitize.THREAD_BITS) - 1
        slot = (identity & (1 << sanitize.ATOMIC_BIT) - 1) >> sanitize.THREAD_BITS
        name = f"thread {coordinates(thread, self.block)}"
        return f"{name} at line {self.step(self.sites[slot]).line}" if slot in self.sites else name


def bad_access(kind: int, site: Site, address: int, buffers: Sequence[memory.Buffer], sizes: dict[str, int]) -> str:
    """What an access outside every buffer, or a misaligned one, did."""
    verb = VERBS[site.kind]
    if site.space in ("global", "const"):
        where = memory.nearest(buffers, address, site.bytes)
    else:
        where = f"byte {address} of {site.space} memory, which has {sizes[site.space]}"
    if kind == context.MISALIGNED:
        return f"{verb} {site.bytes} bytes at {where}; they must start at a multiple of {site.bytes}."
    return f"{verb} {where}. Check its guard."


def coordinates(rank: int, extents: tuple[int, int, int]) -> str:
    """A rank as "7", or as "(1, 2, 0)" where there is more than one dimension."""
    if extents[1] == extents[2] == 1:
        return str(rank)
    return f"({rank % extents[0]}, {rank // extents[0] % extents[1]}, {rank // extents[0] // extents[1]})"
