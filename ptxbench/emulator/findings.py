"""The findings of a sanitized launch, in words. Their kinds and layout are in runtime/sanitize.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ptxbench.emulator import memory
from ptxbench.emulator.layout import Site, StepReport, Translation
from ptxbench.emulator.places import OwnPlaces
from ptxbench.emulator.races import layout
from ptxbench.emulator.runtime import context, kinds, warpgroup


@dataclass(frozen=True)
class RawReport:
    """What the generated code stores about an error. `slot`: the index of its site in the raw counters."""

    kind: int
    slot: int
    lane: int
    address: int
    cta: int
    warp: int


@dataclass(frozen=True)
class SanitizerFinding:
    """One error in a kernel, found at the first thread that made it, by line and kind.

    `kind`: out-of-bounds, misaligned, cluster-exited, cluster-not-started, uninitialised, race, divergent-barrier,
    divergent-branch, barrier-after-exit, pending-copy, pending-mma, missing-proxy-fence, mbarrier, member-mask,
    partial-warp, nc-of-written or schedule. `line` is the PTX's.
    """

    kind: str
    line: int
    message: str
    between_ctas: bool = False
    """For a race: whether threads of two CTAs took part."""


@dataclass(frozen=True)
class RawFinding(RawReport):
    """A finding as the generated code stores it."""

    other: int
    """For a race: the lower half of the other access's stamp (races/layout.py)."""
    where: int = 0
    """Twice the other access's CTA, plus 1 if the two would be ordered with wider scopes."""


KINDS = {
    context.OUT_OF_BOUNDS: "out-of-bounds",
    context.MISALIGNED: "misaligned",
    context.LEFT: "cluster-exited",
    kinds.UNINITIALISED: "uninitialised",
    kinds.UNINITIALISED_REGISTER: "uninitialised",
    kinds.READ_AFTER_WRITE: "race",
    kinds.WRITE_AFTER_WRITE: "race",
    kinds.WRITE_AFTER_READ: "race",
    kinds.DISAGREEMENT: "race",
    kinds.DIVERGENT_BARRIER: "divergent-barrier",
    kinds.NOT_UNIFORM: "divergent-branch",
    kinds.BARRIER_AFTER_EXIT: "barrier-after-exit",
    kinds.EXIT_BEFORE_BARRIER: "barrier-after-exit",
    kinds.NOT_A_MEMBER: "member-mask",
    kinds.INACTIVE_SOURCE: "member-mask",
    kinds.PART_OF_WARP: "partial-warp",
    kinds.PENDING_COPY: "pending-copy",
    kinds.OVERWRITES_COPY: "pending-copy",
    kinds.UNFINISHED_COPY: "pending-copy",
    kinds.WRITE_UNDER_COPY: "pending-copy",
    kinds.UNDER_PRODUCT: "pending-mma",
    kinds.PRODUCT_REGISTER: "pending-mma",
    kinds.PRODUCT_MISUSED: "pending-mma",
    kinds.MISSING_PROXY_FENCE: "missing-proxy-fence",
    kinds.START_UNFENCED: "missing-proxy-fence",
    kinds.START_UNORDERED: "race",
    kinds.STARTED_AGAIN: "mbarrier",
    kinds.ENDED_IN_USE: "mbarrier",
    kinds.EARLY_PHASE: "mbarrier",
    kinds.EARLY_ARRIVAL: "mbarrier",
    kinds.UNORDERED_EXIT: "cluster-exited",
    kinds.TWO_COPIES: "race",
    kinds.NOT_STARTED: "cluster-not-started",
    kinds.OLD_VALUE: "unordered-load",
    kinds.NOT_READ_ONLY: "nc-of-written",
}
RACES = (
    kinds.READ_AFTER_WRITE, kinds.WRITE_AFTER_WRITE, kinds.WRITE_AFTER_READ, kinds.WRITE_UNDER_COPY,
    kinds.START_UNORDERED,
)  # fmt: skip
"""Kinds with a second access, which another CTA may have made."""
VERBS = {
    "load": "reads", "store": "writes", "atomic": "updates", "mbarrier": "uses", "copy": "copies to",
    "discard": "discards", "prefetch": "prefetches", "wgmma": "reads",
}  # fmt: skip
PAST = {"load": "read", "store": "wrote", "atomic": "updated", "copy": "copied", "discard": "discarded",
        "mbarrier": "initialised", "wgmma": "read"}  # fmt: skip
SENTENCES = {
    kinds.NOT_STARTED: "{verb} {place}, which may not have started. Wait for the cluster (barrier.cluster) first.",
    kinds.UNINITIALISED: "reads {place}, which was never written.",
    kinds.UNINITIALISED_REGISTER: "reads '{kind}' before it was written.",
    kinds.PENDING_COPY: "reads {place}, which an asynchronous copy is still filling. Wait for it first.",
    kinds.DIVERGENT_BARRIER: (
        "reaches a barrier while other lanes of its warp wait at another one. All must reach the same one."
    ),
    kinds.NOT_UNIFORM: (
        "goes another way than other lanes of its warp, and .uni promises that all go the same way. Remove .uni."
    ),
    kinds.BARRIER_AFTER_EXIT: (
        "waits at a barrier that exited threads can never reach. Let them arrive before they exit."
    ),
    kinds.EXIT_BEFORE_BARRIER: ("exits while other lanes of its warp wait at a barrier. Let it arrive there first."),
    kinds.NOT_A_MEMBER: (
        "is not in the member mask of this instruction. Branch around it, or add the lane to the mask."
    ),
    kinds.PART_OF_WARP: (
        "needs all lanes of its warp, but some have exited, or have another guard. Let all of them execute it."
    ),
    kinds.INACTIVE_SOURCE: (
        "reads a lane that does not execute it: one that has exited, is not in the block or is elsewhere. A result "
        "depends on this value, which is undefined. Let that lane execute it too, or do not use its value."
    ),
    kinds.OVERWRITES_COPY: (
        "writes {place}, which an asynchronous copy of this CTA, or of one that has ended, is still filling. Wait for "
        "each copy before the next one and before the end."
    ),
    kinds.UNFINISHED_COPY: (
        "starts a copy that is not complete when the thread exits. Let it commit the copy and wait for it first "
        "(cp.async.bulk.commit_group and wait_group)."
    ),
    kinds.PRODUCT_REGISTER: "uses {kind} of a product that is not complete. Wait for it first.",
}
"""What a thread did, by the kind of the finding."""
SENTENCES_ABOUT_TWO = {
    kinds.UNDER_PRODUCT: (
        "writes {place}, which {other} is still reading. Wait for the product first, in each of its warps."
    ),
    kinds.MISSING_PROXY_FENCE: (
        "{verb} {place} in the async proxy, which {other} wrote, without a proxy fence between. Add fence.proxy.async "
        "after the write."
    ),
    kinds.NOT_READ_ONLY: (
        "{verb} {place} by .nc, which {other} {did} in this launch: the load may give the old value, whatever orders "
        "the two. Load without .nc (in CUDA C without __ldg; or take __restrict__ from the pointer)."
    ),
    kinds.WRITE_UNDER_COPY: "writes {place}, which {other} is still copying. Wait for the copy first.",
    kinds.DISAGREEMENT: (
        "writes {place}, and {other} writes another value in the same instruction. Which one remains is undefined."
    ),
    kinds.SAME_VALUE: ("writes the value that {place} already holds; {other} {did} it, and nothing orders the two."),
    kinds.OLD_VALUE: (
        "may give the value of {place} before {other} {did} it: no release by that thread and acquire by this one "
        "order the two."
    ),
    kinds.STARTED_AGAIN: "initialises the mbarrier at {place} again, which {other} initialised. Invalidate it first.",
    kinds.ENDED_IN_USE: "invalidates the mbarrier at {place}, which {other} has used, and nothing orders the two.",
    kinds.EARLY_ARRIVAL: (
        "arrives at the mbarrier at {place} for the phase after the one that {other} arrived for, and nothing orders "
        "the two: more threads arrive than it counts, or one of them too early."
    ),
    kinds.START_UNORDERED: (
        "uses the mbarrier at {place}, which {other} initialised, and nothing orders the two. Add a barrier after the "
        "initialisation; in a cluster, fence.mbarrier_init and the cluster's barrier."
    ),
    kinds.START_UNFENCED: (
        "gives the mbarrier at {place} to the async proxy, which {other} initialised, without a fence between. Add "
        "fence.mbarrier_init after the initialisation."
    ),
}
"""The same with what another thread did."""
STRAY = "stray-prefetch"
"""The kind of a remark. A prefetch is a hint, so a stray one is not an error."""


def first_of_each(raw: Sequence[RawFinding]) -> list[RawFinding]:
    """For each site and kind, the finding of the lowest CTA, whichever host thread ran it."""
    best: dict[tuple[int, int], RawFinding] = {}
    for finding in raw:
        key = (finding.slot, finding.kind)
        lowest = best.get(key)
        if lowest is None or (finding.cta, finding.warp, finding.lane) < (lowest.cta, lowest.warp, lowest.lane):
            best[key] = finding
    return list(best.values())


def in_order(findings: Iterable[SanitizerFinding]) -> tuple[SanitizerFinding, ...]:
    return tuple(sorted(set(findings), key=lambda finding: (finding.line, finding.kind, finding.message)))


class Describer:
    """Turns raw findings into sentences with line, thread, CTA and the other accesses."""

    def __init__(
        self, translation: Translation, buffers: Sequence[memory.Buffer], grid: tuple[int, int, int],
        block: tuple[int, int, int], dynamic_shared_bytes: int,
    ) -> None:  # fmt: skip
        self.translation = translation
        self.buffers = buffers
        self.grid = grid
        self.block = block
        self.own = OwnPlaces(translation, dynamic_shared_bytes)
        self.sites = {site.slot: site for site in translation.sites}

    def findings(self, raw: Sequence[RawFinding]) -> tuple[SanitizerFinding, ...]:
        """The findings in PTX order."""
        return in_order(finding for finding in self.described(raw) if finding.kind != STRAY)

    def remarks(self, raw: Sequence[RawFinding]) -> tuple[SanitizerFinding, ...]:
        """Actions that are useless but not errors: prefetches outside every buffer."""
        return in_order(finding for finding in self.described(raw) if finding.kind == STRAY)

    def described(self, raw: Sequence[RawFinding]) -> list[SanitizerFinding]:
        return [self.describe(finding) for finding in first_of_each(raw) if self.is_error(finding)]

    def notes(self, raw: Sequence[RawFinding]) -> tuple[str, ...]:
        """Facts that are not errors: unordered stores of a value that is already in memory."""
        same_values = [finding for finding in first_of_each(raw) if finding.kind == kinds.SAME_VALUE]
        return tuple(sorted({f"same value: {self.describe(finding).message.rstrip('.')}" for finding in same_values}))

    def old_values(self, raw: Sequence[RawFinding]) -> tuple[SanitizerFinding, ...]:
        """The loads that gave an old value, one for each line."""
        loads = [finding for finding in first_of_each(raw) if finding.kind == kinds.OLD_VALUE]
        return in_order(self.describe(finding) for finding in loads)

    def inactive_sources(self, raw: Sequence[RawFinding]) -> tuple[SanitizerFinding, ...]:
        """The shuffles that read lanes which do not execute them: errors if a result depends on such a value."""
        return in_order(self.describe(one) for one in first_of_each(raw) if one.kind == kinds.INACTIVE_SOURCE)

    def is_error(self, raw: RawFinding) -> bool:
        """A copy to shared::cta may use an mbarrier that no fence has released to the cluster, as libcu++ has it do."""
        if raw.kind == kinds.START_UNFENCED:
            return "shared::cluster" in self.opcode(raw)
        return raw.kind not in (kinds.SAME_VALUE, kinds.OLD_VALUE, kinds.INACTIVE_SOURCE)

    def is_unwritten_matrix(self, raw: RawFinding) -> bool:
        """Whether a matrix instruction reads memory that was never written."""
        return raw.kind == kinds.UNINITIALISED and self.step(self.sites[raw.slot]).counted == "matrix"

    def opcode(self, raw: RawFinding) -> str:
        return self.step(self.sites[raw.slot]).opcode

    def step(self, site: Site) -> StepReport:
        return self.translation.steps[site.step]

    def describe(self, raw: RawFinding) -> SanitizerFinding:
        site = self.sites[raw.slot]
        step = self.step(site)
        thread = coordinates(32 * raw.warp + raw.lane, self.block)
        action = f"line {step.line}: {step.opcode} by thread {thread} of CTA {coordinates(raw.cta, self.grid)}"
        kind = STRAY if site.kind == "prefetch" else KINDS.get(raw.kind, "race")
        between_ctas = raw.kind in RACES and raw.where >> 1 != raw.cta
        return SanitizerFinding(kind, step.line, f"{action} {self.sentence(raw, site)}", between_ctas)

    def sentence(self, raw: RawFinding, site: Site) -> str:
        place = self.place(raw.address, site)
        if raw.kind in (context.OUT_OF_BOUNDS, context.MISALIGNED, context.LEFT):
            return bad_access(raw.kind, site, raw.address, self.buffers, self.own)
        if raw.kind == kinds.UNORDERED_EXIT:
            rank = (raw.address & 0xFFFFFFFF) >> context.RANK_BITS
            return (
                f"{VERBS[site.kind]} the shared memory of the CTA of rank {rank} in the cluster, which exits at line "
                f"{raw.address >> 32}, and nothing orders the exit after it. Let that CTA wait for the cluster "
                f"(barrier.cluster) before it exits."
            )
        verb = VERBS.get(site.kind, "")
        if raw.kind == kinds.UNINITIALISED and self.translation.stores_unwritten:
            start = f"reads {place}, which was never written, or only with a value that was never written"
            if not self.translation.read_first:
                return f"{start}."
            register, line = self.translation.read_first
            return f"{start}, such as that of {register}: line {line} reads it before any line writes it."
        if sentence := SENTENCES.get(raw.kind):
            return sentence.format(verb=verb, place=place, kind=site.kind)
        if raw.kind == kinds.TWO_COPIES:
            step = self.step(self.sites[self.other_slot(raw.other)])
            return (
                f"writes {place}, which another {step.opcode} at line {step.line} is still writing, and nothing orders "
                f"the two."
            )
        if raw.kind in RACES and raw.where >> 1 == layout.EARLIER:
            return (
                f"{VERBS[site.kind]} {place}, which the previous launch stores, and nothing orders the two. Wait for "
                f"that launch (griddepcontrol.wait) first."
            )
        if raw.kind == kinds.PRODUCT_MISUSED:
            return f"{warpgroup.COMPLAINTS[raw.address]}."
        other_access = self.other(raw.other, raw.cta if raw.kind == kinds.EARLY_PHASE else raw.where >> 1)
        if raw.kind == kinds.EARLY_PHASE:
            expecting = f"; {other_access} was the last to expect bytes" if raw.other else ", and none were expected"
            return (
                f"completes the phase of the mbarrier at {place} while {raw.where:,} bytes of copies to it are "
                f"missing{expecting}. Expect the bytes of all copies."
            )
        other_verb = (
            PAST.get(self.sites[slot].kind, "used")
            if (slot := self.other_slot(raw.other)) in self.sites
            else "accessed"
        )
        if sentence := SENTENCES_ABOUT_TWO.get(raw.kind):
            return sentence.format(verb=verb, place=place, other=other_access, did=other_verb)
        why = "and the scope of one does not include the other" if raw.where & 1 else "and nothing orders the two"
        advice = ""
        if slot in self.sites and self.sites[slot].kind == "wgmma":
            advice = " Let each warp of the warpgroup arrive after its own wgmma.wait_group."
        return f"{verb} {place}, which {other_access} {other_verb}, {why}.{advice}"

    def place(self, address: int, site: Site) -> str:
        """The name of a byte of shared or local memory, or of a buffer."""
        if address >= context.GLOBAL_BASE:
            return memory.nearest(self.buffers, address, 1).split(", which has ")[0]
        if site.space == "cluster":
            return self.own.in_cluster(address)
        return f"byte {self.own.byte(space_of(site), address)} of {space_of(site)} memory"

    def other_slot(self, identity: int) -> int:
        return identity >> layout.THREAD_BITS & (1 << layout.SITE_BITS) - 1

    def other(self, identity: int, cta: int) -> str:
        """The other access of a race: its opcode, thread, CTA and line."""
        if cta == layout.EARLIER:
            return "the launch before"
        thread = identity & (1 << layout.THREAD_BITS) - 1
        name = f"thread {coordinates(thread, self.block)} of CTA {coordinates(cta, self.grid)}"
        if (slot := self.other_slot(identity)) not in self.sites:
            return name
        step = self.step(self.sites[slot])
        return f"{step.opcode} by {name} at line {step.line}"


def space_of(site: Site) -> str:
    """The memory of a site in shared or local memory: those of copies and products have other names."""
    return site.space if site.space in ("shared", "local") else "shared"


VARIABLE_BYTES = 1 << 32
"""The addresses that shared, local and constant memory may have."""


def bad_access(kind: int, site: Site, address: int, buffers: Sequence[memory.Buffer], own: OwnPlaces) -> str:
    """A sentence about an access outside every buffer or variable, or a misaligned one."""
    verb = VERBS[site.kind]
    if site.space in ("global", "const", "param"):
        place = memory.nearest(buffers, address, site.bytes)
        if kind == context.OUT_OF_BOUNDS and memory.inside(buffers, address, site.bytes):  # a freed heap block
            return f"{verb} {place}, after free. Free it later."
        own_address = address - context.CONST_WINDOW * (site.space == "const")
        if site.space == "const" and not 0 <= own_address < VARIABLE_BYTES:
            return f"{verb} address {own_address:#x}, which is not in constant memory. Use the space of the address."
        if memory.inside(buffers, address + (1 << 32), site.bytes):
            return f"{verb} {place}. The address lacks the carry from its lower 32 bits to the upper ones."
        if wrapped := memory.as_if_unsigned(buffers, address, site.bytes):
            return f"{verb} {wrapped}. A negative index of 32 bits was extended as unsigned. Check its guard."
        if site.space == "global" and 0 < address < VARIABLE_BYTES:
            place += ". A variable's address in shared, local or constant memory needs cvta here"
        if site.space == "global" and memory.inside(buffers, address + context.PARAM_WINDOW, site.bytes):
            place += ". The address of a parameter needs cvta.param here"
    elif site.space == "cluster":
        place = own.in_cluster(address & 0xFFFFFFFF)
        if kind == context.LEFT:
            return (
                f"{verb} {place}, which has exited at line {address >> 32}. Let it wait for the cluster "
                f"(barrier.cluster) before it exits."
            )
        offset = address & (1 << context.RANK_BITS) - 1
        if variable := own.beyond(site, offset) or own.in_zone("shared", offset):
            rank = address >> context.RANK_BITS
            return f"{verb} {variable}, in the CTA of rank {rank} of the cluster. Check its guard."
        if kind == context.OUT_OF_BOUNDS and own.byte("shared", offset) + site.bytes <= own.size("shared"):
            return f"{verb} {place}, which has no CTA of that rank."
        place += f", which has {own.size('shared')}"
    elif site.space == "shared" and own.translation.clustered and 1 << context.RANK_BITS <= address < 1 << 31:
        place = f"an address outside its own CTA ({site.space}::cta); use {site.space}::cluster for that of another"
        return f"{verb} {place}, if the instruction has it."
    else:
        space = space_of(site)
        place = f"byte {own.byte(space, address)} of {space} memory, which has {own.size(space)}"
        if kind == context.OUT_OF_BOUNDS:
            place = own.beyond(site, address) or own.in_zone(space, address) or place
    if kind == context.MISALIGNED:
        return f"{verb} {site.bytes} bytes at {place}; they must start at a multiple of {site.bytes}."
    if site.space == "shared" and own.size("shared") == 0:
        return f"{verb} {place}: the launch gives no dynamic shared memory."
    return f"{verb} {place}. Check its guard."


def coordinates(rank: int, extents: tuple[int, int, int]) -> str:
    """A rank as "7", or as "(1, 2, 0)" if there is more than one dimension."""
    if extents[1] == extents[2] == 1:
        return str(rank)
    return f"({rank % extents[0]}, {rank // extents[0] % extents[1]}, {rank // extents[0] // extents[1]})"
