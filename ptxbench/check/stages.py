"""The stages of a judgement, each a method: what was done, and what was found. The first that rejects ends it.

Nothing of the candidate runs but its kernel, on the emulator. Whoever does not trust it runs this in a process with
limits (`contained`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ptxbench import toolchain
from ptxbench.check.beside import COMPARED, figures, figures_of, heavier, resource_words, slower
from ptxbench.check.candidate_launcher import WRONG, CandidateLauncher
from ptxbench.check.finding_codes import ERROR, OF_THE_PAIR
from ptxbench.check.findings import (
    NO_VERDICT,
    REJECTED,
    SKIPPED,
    STAGES,
    Finding,
    Judgement,
    Skip,
    StageOutcome,
    StageResult,
    finding,
    limited,
    verdict_of,
)
from ptxbench.check.launching import FUEL, CheckCase, LaunchOptions, LaunchResult
from ptxbench.check.lint import lint
from ptxbench.check.machine_code import EXECUTED, Executions, code_of, derived, ends, executions, ratio, settled
from ptxbench.check.questions import Question
from ptxbench.check.reading import CandidateText, one_line
from ptxbench.check.repeats import repeats
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import Source
from ptxbench.emulator.syntax import Module
from ptxbench.errors import (
    KernelError,
    SignatureMismatch,
)
from ptxbench.execution import model_notes
from ptxbench.portability.survey import Subject, survey
from ptxbench.signature import check_signature, read_headers
from ptxbench.toolchain import Build, locate
from ptxbench.toolchain.trial import ASSEMBLES
from ptxbench.units import size_words

CANDIDATE = "candidate"

BETWEEN_CTAS = "race-between-ctas"
"""The code of a race in which two CTAs take part; no barrier orders them."""

UNTIMED = "no GPU: the counts stand for the time"
"""Why a time is not there; `timed` takes one where there is a GPU."""


@dataclass(frozen=True)
class CheckOptions:
    """How to judge. `flags`: options of NVRTC; `targets`: what to assemble for beyond the architecture; `thorough`:
    whether at a bench size too."""

    fuel: int = FUEL
    flags: Sequence[str] = ()
    targets: Sequence[str] = ()
    thorough: bool = False


@dataclass
class Checker:
    """One candidate on its way through the stages. `path` is where its text lies; its name is what messages say."""

    exam: CheckSuite
    path: Path
    settings: CheckOptions = CheckOptions()
    compared: dict[str, dict[str, Any]] = field(default_factory=dict)
    ratios: dict[str, dict[str, Any]] = field(default_factory=dict)
    executed: dict[str, Executions] = field(default_factory=dict)
    tried: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def text(self) -> CandidateText:
        """The candidate's text, which the first stages read."""
        return CandidateText(self.path, self.path.read_bytes(), self.exam.arch, self.settings.flags)

    @cached_property
    def asking(self) -> CandidateLauncher:
        return CandidateLauncher(self.exam, self.text, self.settings.fuel)

    def judge(
        self,
        begin: Callable[[str], None] = lambda stage: None,
        done: Callable[[StageResult, Sequence[Finding]], None] = lambda result, found: None,
        stages: Sequence[str] = tuple(STAGES),
    ) -> Judgement:
        """Each of the stages in turn, all by default; `begin` hears of each, and `done` what came of it."""
        results: list[StageResult] = []
        findings: list[Finding] = []
        for stage in stages:
            begin(stage)
            started = time.monotonic()
            found: Sequence[Finding] = ()
            try:
                told = getattr(self, stage)()
                words, found = told.words, told.findings
                verdict = verdict_of(found)
            except Skip as skip:
                words, verdict = str(skip), SKIPPED
            except KernelError as error:  # what passed a stage before should not fail in this one
                words, found = "failed", (finding(stage, "judge-failed", str(error)),)
                verdict = verdict_of(found)
            results.append(StageResult(stage, verdict, words, round(time.monotonic() - started, 3)))
            found = limited(found)
            findings += found
            done(results[-1], found)
            if verdict in (REJECTED, NO_VERDICT):
                break
        return Judgement(
            file=self.path.name,
            sha256=toolchain.sha256(self.text.content),
            language=self.text.language,
            pair=self.exam.found.name,
            arch=self.exam.arch,
            seed=self.exam.seed,
            stages=tuple(results),
            findings=tuple(findings),
            compared=self.compared,
            ratios=self.ratios,
            executed=self.executed,
            targets=self.tried,
            notes=tuple(dict.fromkeys(self.text.notes + self.notes)),
        )

    @property
    def source(self) -> Source:
        return Source(
            CANDIDATE, self.text.language, self.path, self.exam.entry, tuple(self.settings.flags), contained=True
        )

    def parses(self) -> StageOutcome:
        return self.text.parses()

    def assembles(self) -> StageOutcome:
        return self.text.assembles()

    def signature(self) -> StageOutcome:
        pair, entry = self.exam.pair, self.exam.entry
        try:
            check_signature(self.text.ptx, entry, pair.args, self.path)
        except SignatureMismatch as error:
            known = any(header.name == entry for header in read_headers(self.text.ptx))
            place = re.match(rf"{re.escape(self.path.name)}(?::(\d+))?: ", str(error))
            line = int(place[1]) if place and place[1] else None
            told = str(error)[place.end() :] if place else str(error)
            code = "wrong-signature" if known else "no-entry"
            wanted = ", ".join(arg.name for arg in pair.args)
            hint = f"The pair's arguments are {wanted}, in this order." if known else f"Name the kernel '{entry}'."
            return StageOutcome(
                "not those of the pair", [finding("signature", code, told, line, self.text.places.column(line), hint)]
            )
        return StageOutcome(f"{len(pair.args)} parameters, as the pair has them")

    def lint(self) -> StageOutcome:
        found = [
            self.text.places.at("lint", each.code, each.message, each.line)
            for each in lint(self.text.module, self.exam.entry, self.exam.pair.args)
            if each.code not in OF_THE_PAIR or each.code not in self.exam.habits
        ]
        if self.text.language == "cuda" and "// begin inline asm" in self.text.ptx:
            line = self.text.ptx[: self.text.ptx.index("// begin inline asm")].count("\n") + 2
            found.append(self.text.places.at("lint", "inline-asm", "the CUDA C has inline PTX.", line))
        once = list(dict.fromkeys(found))
        return StageOutcome("nothing found" if not once else f"{len(once)} found", once)

    # ---- launches

    def results(self) -> StageOutcome:
        return self.asked("results", self.exam.results)

    def hidden(self) -> StageOutcome:
        questions = [*self.exam.hidden, *(self.exam.bench if self.settings.thorough else ())]
        if not questions:
            raise Skip("the pair's functions take no other sizes")
        return self.asked("hidden", questions)

    def values(self) -> StageOutcome:
        if not self.exam.special:
            raise Skip("the pair's functions take no other data")
        return self.asked("values", self.exam.special)

    def asked(self, stage: str, questions: Sequence[Question]) -> StageOutcome:
        """Launch once a question, on the first of its cases that counts: one that a kernel of the pair's fails too does
        not."""
        counted: list[CheckCase] = []
        beyond: set[str] = set()
        excused = 0
        for question in questions:
            if stage == "values" and question.name in beyond:
                continue  # at another size it is beyond the pair too
            for case in question:
                found = self.asking.ask(stage, case)
                if not found:
                    counted.append(case)
                    break
                # On odd data a kernel of the pair may be wrong; that is no leave to fault on them.
                strict = stage == "values" and found.code not in WRONG
                if found.severity == ERROR and not self.exam.reference_kernels:
                    told = "no kernel of the pair is right at its own check sizes here."
                    return StageOutcome("nothing to judge by", [finding("results", "nothing-counts", told)])
                if found.severity != ERROR or not self.exam.beyond_contract(case, fault=strict):
                    return StageOutcome(f"{case.label}", [found])
            else:
                excused += bool(question.made)
                beyond.add(question.name)
        if stage == "results" and not counted:
            told = "the pair's own kernels fail at every check size too."
            return StageOutcome("nothing to judge by", [finding(stage, "nothing-counts", told)])
        words = f", {excused} beyond the pair" if excused else ""
        return StageOutcome(f"{counted_words(stage, counted)}{words}")

    def sanitizer(self) -> StageOutcome:
        found: dict[tuple[str, int | None], Finding] = {}
        notes: list[str] = []
        unchecked = False
        launches = [(case, LaunchOptions(sanitize=True)) for case in self.exam.sanitized]
        if announces(self.text.module):  # what one CTA stores for others is seen by these before its next store
            launches.append((self.exam.largest, LaunchOptions(sanitize=True, ctas="by turns")))
        for case, how in launches:
            try:
                left = self.asking.launch(case, how)
            except KernelError as error:
                return StageOutcome(case.label, [self.asking.fault("sanitizer", error, case)])
            for each in (*left.findings, *left.remarks):
                message = re.sub(r"^line \d+: ", "", each.message)
                code = BETWEEN_CTAS if each.between_ctas else each.kind
                told = self.text.places.at("sanitizer", code, f"{case.label}: {message}", each.line)
                found.setdefault((told.code, told.line), told)
            notes += left.notes
            unchecked |= bool(left.unchecked)
        self.notes += [f"sanitizer: {self.text.places.lines_of(each)}" for each in dict.fromkeys(notes)]
        partly = ", but not every check was made" if unchecked else ""
        clean = "no finding" if unchecked else "clean"
        return StageOutcome(f"{f'{len(found)} found' if found else clean}{partly}", list(found.values()))

    def repeats(self) -> StageOutcome:
        return repeats(self.asking)

    # ---- beside the pair's own

    @cached_property
    def build(self) -> Build:
        """The candidate as ptxas makes it."""
        return toolchain.build(
            self.path,
            language=self.text.language,
            variant=CANDIDATE,
            entry=self.exam.entry,
            arch=self.exam.arch,
            flags=self.settings.flags,
            contained=True,
        )

    def resources(self) -> StageOutcome:
        if locate.program("ptxas") is None:
            raise Skip("ptxas is not there")
        own = self.exam.report(self.build)
        others = {variant: self.exam.report(each) for variant, each in self.exam.builds.items()}
        for name, report in {CANDIDATE: own, **others}.items():
            self.compared.setdefault(name, {}).update(figures(report))
        return StageOutcome(resource_words(own), list(heavier(own, others)))

    def counts(self) -> StageOutcome:
        case = self.exam.largest
        left = self.asking.launch(case, LaunchOptions())
        own = figures_of(left.counters)
        self.notes += model_notes(left.models, self.exam.arch)
        if ideal := sorted(left.approximate):
            self.notes.append(f"{', '.join(ideal)}: ideal values here; a GPU's may be off as the manual allows")
        others = {variant: figures_of(counters) for variant, counters in self.exam.counts.items()}
        for name, figure in {CANDIDATE: own, **others}.items():
            self.compared.setdefault(name, {}).update(figure)
        self.ratios = {
            variant: {name: own[name] / each[name] for name in COMPARED if each[name]}
            for variant, each in others.items()
        }
        self.count_machine_code(left, case)
        return StageOutcome(f"at {case.label}", list(slower(self.least_ratios(), case.label)))

    def count_machine_code(self, left: LaunchResult, case: CheckCase) -> None:
        """Derive the machine instructions that this launch executed, and their ratios to those of the variants."""
        builds = {CANDIDATE: self.build, **self.exam.builds}
        found = {CANDIDATE: derived(self.build, left, case.launch), **self.exam.executed}
        self.executed = executions(found, builds)
        own = code_of(CANDIDATE, builds)
        for variant, ratios in self.ratios.items():
            if variant in self.executed:
                both = self.executed[CANDIDATE], self.executed[variant]
                ratios[EXECUTED] = ratio(*both, same_code=code_of(variant, builds) == own)

    def least_ratios(self) -> dict[str, dict[str, float]]:
        """What the ratios are at the least; without those of ranges that are too wide."""
        found = {}
        for variant, each in self.ratios.items():
            sure = settled(self.executed.get(CANDIDATE)) and settled(self.executed.get(variant))
            known = {name: ends(value) for name, value in each.items() if name != EXECUTED or sure}
            found[variant] = {name: value[0] for name, value in known.items() if value}
        return found

    def time(self) -> StageOutcome:
        raise Skip(UNTIMED)

    def portability(self) -> StageOutcome:
        if not self.settings.targets:
            raise Skip("no other target was asked for")
        own = next(each for each in self.exam.found.sources if each.variant == "ptx")
        sources = (self.source, Source("ptx", own.language, own.path, own.entry))
        matrix = next(
            each
            for each in survey([Subject(CANDIDATE, sources, {})], self.settings.targets)
            if hasattr(each, "reaches")
        )
        reach = matrix.reaches[CANDIDATE]
        self.tried = {target: result.status == ASSEMBLES for target, result in reach.trials.items()}
        lost = [target for target in matrix.reaches["ptx"].assembling if not self.tried[target]]
        found = []
        if lost:
            result = reach.trials[lost[0]]
            need = result.needs[0] if result.needs else None
            told = f"{', '.join(lost)}: {need.message if need else result.reason or 'refused'}."
            line = need.line if need else None
            found = [finding("portability", "fewer-targets", one_line(told), line, self.text.places.column(line))]
        return StageOutcome(f"{len(reach.assembling)} of {len(self.tried)} targets", found)


def counted_words(stage: str, counted: Sequence[CheckCase]) -> str:
    """How many questions of a stage counted; of hidden sizes, which has the most elements."""
    if stage == "results":
        return f"{len(counted)} launches at the check sizes"
    if stage == "values":
        return f"{len(counted)} kinds of data"
    most = max(counted, key=lambda case: sum(np.size(each) for each in case.arguments.values()), default=None)
    return f"{len(counted)} sizes, such as {size_words(most.size)}" if most else "no size that counts"


ANNOUNCEMENT = re.compile(r"st(\.async)?\.(volatile|relaxed|release|mmio)(?!.*\.(shared|local))")


def announces(module: Module) -> bool:
    """Whether a kernel stores what another CTA may wait for."""
    return any(
        ANNOUNCEMENT.match(each.opcode) for function in module.functions.values() for each in function.instructions
    )
