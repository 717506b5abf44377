"""The stages of a judgement, one method each, which returns what was done and found. The first that rejects ends it.

Only the candidate's kernel runs, on the emulator. For a candidate that is not trusted, `contained` runs this in a
process with limits.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ptxbench import architecture, toolchain
from ptxbench.check.candidate_launcher import MEMORY_LIMIT, NOT_RUN, WRONG, CandidateLauncher
from ptxbench.check.case_series import CaseSeries
from ptxbench.check.comparison import COMPARED, figures, figures_of, heavier, resource_words, slower
from ptxbench.check.finding_codes import ERROR, OF_THE_PAIR
from ptxbench.check.findings import (
    ASKS_PTXAS,
    FIRST_LAUNCHES,
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
from ptxbench.check.grids import explained_by_ctas
from ptxbench.check.launching import FUEL, CheckCase, CheckKernel, LaunchOptions, LaunchResult
from ptxbench.check.long_indices import IndicesUnknown
from ptxbench.check.machine_code import EXECUTED, Executions, code_of, derived, ends, executions, ratio, settled
from ptxbench.check.named_numbers import NamedNumbers
from ptxbench.check.old_values import unordered_load, with_ctas
from ptxbench.check.polls import announces, combines, reads_exchanged
from ptxbench.check.reading import CandidateText, one_line
from ptxbench.check.repeats import repeats
from ptxbench.check.residency import misfit
from ptxbench.check.source import inline_assembly
from ptxbench.check.suite import NAN, NAN_SCALAR, CheckSuite
from ptxbench.check.values import NAN_ROWS
from ptxbench.check.variations import ORDERS, order_hint
from ptxbench.discovery import Source
from ptxbench.emulator.sanitizer_report import USE_SMALLER
from ptxbench.errors import (
    KernelError,
    SignatureMismatch,
)
from ptxbench.launch_notes import model_notes
from ptxbench.portability.survey import target_trials
from ptxbench.signature import check_signature, named_argument, read_headers
from ptxbench.toolchain import Build, locate
from ptxbench.toolchain.trial import ASSEMBLES
from ptxbench.units import enumeration, plural, size_words

CANDIDATE = "candidate"

UNTIMED = "no GPU: counts instead of times"
"""Why there is no time; with a GPU `timed` replaces it."""


@dataclass(frozen=True)
class CheckOptions:
    """How to judge. `flags`: options of NVRTC; `targets`: additional targets to assemble for; `thorough`: whether to
    launch at a bench size too."""

    fuel: int = FUEL
    flags: Sequence[str] = ()
    targets: Sequence[str] = ()
    thorough: bool = False


@dataclass(frozen=True)
class CompletedStage:
    """A stage's result and findings."""

    result: StageResult
    findings: Sequence[Finding]

    @property
    def is_last(self) -> bool:
        """Whether it ends the judgement."""
        return self.result.verdict in (REJECTED, NO_VERDICT)

    @property
    def is_not_run(self) -> bool:
        """Whether it ends the judgement because the emulator cannot run the kernel."""
        return self.is_last and any(finding.code in NOT_RUN for finding in self.findings)


@dataclass
class Checker:
    """Takes one candidate through the stages. `path`: the file of its text; messages use its name."""

    suite: CheckSuite
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
        return CandidateText(self.path, self.path.read_bytes(), self.suite.arch, self.settings.flags)

    @cached_property
    def numbers(self) -> NamedNumbers:
        """The numbers that the candidate's text names."""
        return NamedNumbers.of(self.text.module)

    @cached_property
    def launcher(self) -> CandidateLauncher:
        return CandidateLauncher(self.suite, self.text, self.settings.fuel)

    def judge(
        self,
        begin: Callable[[str], None] = lambda stage: None,
        done: Callable[[StageResult, Sequence[Finding]], None] = lambda result, findings: None,
        stages: Sequence[str] = tuple(STAGES),
    ) -> Judgement:
        """Run the stages in order, all by default. `begin` is called before each stage, and `done` with its result."""
        results: list[StageResult] = []
        findings: list[Finding] = []
        for stage in stages:
            begin(stage)
            completed = [self.run_stage(stage)]
            if stage == FIRST_LAUNCHES and completed[0].is_not_run and ASKS_PTXAS in stages:
                begin(ASKS_PTXAS)  # ptxas decides whether the text is valid PTX
                assembled = self.run_stage(ASKS_PTXAS)
                completed = [assembled] if assembled.is_last else [assembled, *completed]
            for completed_stage in completed:
                results.append(completed_stage.result)
                findings += completed_stage.findings
                done(completed_stage.result, completed_stage.findings)
            if completed[-1].is_last:
                break
        return Judgement(
            file=self.path.name,
            sha256=toolchain.sha256(self.text.content),
            language=self.text.language,
            pair=self.suite.loaded.name,
            arch=self.suite.arch,
            seed=self.suite.seed,
            stages=tuple(results),
            findings=tuple(findings),
            compared=self.compared,
            ratios=self.ratios,
            executed=self.executed,
            targets=self.tried,
            notes=tuple(dict.fromkeys(self.text.notes + self.notes)),
        )

    def run_stage(self, stage: str) -> CompletedStage:
        """Run one stage. A KernelError becomes a finding."""
        started = time.monotonic()
        findings: Sequence[Finding] = ()
        try:
            outcome = getattr(self, stage)()
            words, findings = outcome.words, outcome.findings
            verdict = verdict_of(findings)
        except Skip as skip:
            words, verdict = str(skip), SKIPPED
        except KernelError as error:  # a candidate that passed earlier stages should not fail here
            words, findings = "failed", (finding(stage, "judge-failed", str(error)),)
            verdict = verdict_of(findings)
        result = StageResult(stage, verdict, words, round(time.monotonic() - started, 3))
        return CompletedStage(result, limited(findings))

    @property
    def source(self) -> Source:
        return Source(
            CANDIDATE, self.text.language, self.path, self.suite.entry, tuple(self.settings.flags), contained=True
        )

    def parses(self) -> StageOutcome:
        return self.text.parses()

    def assembles(self) -> StageOutcome:
        return self.text.assembles()

    def signature(self) -> StageOutcome:
        """Compare the parameters of the kernel with the arguments of the pair."""
        pair, entry = self.suite.pair, self.suite.entry
        try:
            check_signature(self.text.ptx, entry, pair.parameters, self.path)
        except SignatureMismatch as error:
            known = any(header.name == entry for header in read_headers(self.text.ptx))
            location = re.match(rf"{re.escape(self.path.name)}(?::(\d+))?: ", str(error))
            line = int(location[1]) if location and location[1] else None
            message = str(error)[location.end() :] if location else str(error)
            code = "wrong-signature" if known else "no-entry"
            wanted = ", ".join(parameter.name for parameter in pair.parameters)
            structs = "".join(f" {named_argument(struct)}." for struct in pair.structs)
            hint = f"The pair's arguments are {wanted}, in this order.{structs}"
            return StageOutcome(
                "not the pair's parameters" if known else f"no kernel '{entry}'",
                [finding("signature", code, message, line, self.text.locations.column(line), hint)],
            )
        return StageOutcome(f"{plural(len(pair.parameters), 'parameter')}, the same as the pair's")

    def lint(self) -> StageOutcome:
        findings = [
            self.text.locations.at("lint", complaint.code, complaint.message, complaint.line)
            for complaint in self.launcher.complaints
            if complaint.code not in OF_THE_PAIR or complaint.code not in self.suite.pair_kernels.lint_codes
        ]
        is_inline = self.text.language == "cuda" and "// begin inline asm" in self.text.ptx
        if is_inline and (line := inline_assembly(self.text.content)) is not None:
            column = self.text.locations.column(line)
            findings.append(finding("lint", "inline-asm", "the CUDA C has inline PTX.", line, column))
        distinct = list(dict.fromkeys(findings))
        return StageOutcome("nothing found" if not distinct else f"{len(distinct)} found", distinct)

    # ---- launches

    def results(self) -> StageOutcome:
        outcome = self.run_series("results", self.suite.results)
        if accepted := self.suite.weaknesses:
            words = f"the pair's reference and tolerance would accept {enumeration(accepted)} at every check size"
            self.notes.append(f"results: {words}")
        return outcome

    def hidden(self) -> StageOutcome:
        """Launch at sizes that the pair does not name, at those that the text names, and one CTA at larger ones."""
        named, _ = self.suite.named(self.numbers)
        many = self.suite.many_ctas if combines(self.text.module) else ()
        groups = [*self.suite.hidden, *many, *(self.suite.bench if self.settings.thorough else ()), *named]
        if not groups:
            raise Skip("the pair accepts no other sizes")
        outcome = self.run_series("hidden", groups)
        return outcome if outcome.findings else self.long_indices(outcome)

    def long_indices(self, outcome: StageOutcome) -> StageOutcome:
        """`outcome`, or what a launch at a size at which an index seems to lose bits finds: a warning if that is too
        large."""
        kernel = CheckKernel(self.text.ptx, self.suite.entry, self.suite.arch)
        try:
            difference = self.suite.long_indices.difference(kernel, self.suite.largest_launched)
        except IndicesUnknown as reason:
            self.notes.append(f"hidden: indices at larger sizes are not known to be right: {reason}")
            return outcome
        if difference is None:
            return outcome
        size = difference.size
        words = f"{size_words(size)}: a CTA {difference.words}"
        with contextlib.suppress(MemoryError):
            series = self.suite.beyond_indices(size)
            if series and next(iter(series[0]), None) is not None:
                larger = self.run_series("hidden", series)
                if not larger.findings:
                    self.notes.append(f"hidden: {words}; its results are right there, and not known at larger sizes")
                return larger if larger.findings else outcome
            if left := self.suite.never_written(kernel, size):
                message = f"{words}; {left}, are never written."
                return StageOutcome(size_words(size), [finding("hidden", "output-unwritten", message)])
        return StageOutcome(outcome.words, [finding("hidden", "narrow-index", f"{words}.")])

    def values(self) -> StageOutcome:
        """Launch on data that random numbers do not cover."""
        if not self.suite.special:
            raise Skip("the pair accepts no other data")
        _, named = self.suite.named(self.numbers)
        return self.run_series("values", [*self.suite.special, *named])

    def run_series(self, stage: str, groups: Sequence[CaseSeries]) -> StageOutcome:
        """Launch once for each series, on its first case that counts. A case does not count if a kernel of the pair
        fails it too."""
        counted: list[CheckCase] = []
        failed_by_the_pair: set[str] = set()
        left_out = 0
        first: StageOutcome | None = None
        for series in groups:
            if stage == "values" and series.name in failed_by_the_pair:
                continue  # the pair's kernels fail it at other sizes too
            for case in series:
                if stage != "results" and self.suite.never_ends(case):
                    continue
                wrong = self.launcher.run_case(stage, case)
                if not wrong:
                    counted.append(case)
                    break
                # On special data a kernel of the pair may be wrong; the candidate still must not fault.
                strict = stage == "values" and series.always_safe and wrong.code not in WRONG
                if series.name in (NAN, NAN_ROWS, NAN_SCALAR) and not strict and not self.suite.handles_nan:
                    continue
                if wrong.severity == ERROR and not self.suite.pair_kernels.right:
                    message = "no kernel of the pair is right at its own check sizes here."
                    return StageOutcome("nothing to compare with", [finding("results", "nothing-counts", message)])
                is_rounded = stage == "values" and wrong.code == "wrong-result" and self.suite.may_overflow(case)
                if wrong.severity != ERROR or not (is_rounded or self.suite.beyond_contract(case, fault=strict)):
                    explained = explained_by_ctas(self.launcher.explained(wrong, case), case, counted, self.text.module)
                    return StageOutcome(case.label, [explained])
                first = first or StageOutcome(case.label, [wrong])
            else:
                left_out += bool(series.cases)
                failed_by_the_pair.add(series.name)
        if stage == "results" and not counted:
            if first and first.findings[0].code == MEMORY_LIMIT:  # then the pair's kernels may lack only memory too
                return first
            message = "the pair's own kernels fail at every check size too."
            return StageOutcome("nothing to compare with", [finding(stage, "nothing-counts", message)])
        blind = [case for case in counted if self.suite.takes_zeros(case)] if stage == "hidden" else []
        if len(blind) * 2 > len(counted):
            words = f"at {len(blind)} of {plural(len(counted), 'size')}, such as {size_words(blind[0].size)}"
            self.notes.append(f"hidden: {words}, zeros are right results, because of the values that the pair draws")
        if stage == "values":
            tried = {series.name for series in groups if series.cases}
            refused = {kind: why for kind, why in self.suite.cases.refusals.items() if kind not in tried}
            self.notes += [
                f"values: nothing with {kind}, on which the pair fails: {why}" for kind, why in refused.items()
            ]
        words = f", {left_out} that the pair's own kernels fail" if left_out else ""
        return StageOutcome(f"{counted_words(stage, counted)}{words}")

    def sanitizer(self) -> StageOutcome:
        """Launch under the sanitizer; if it finds nothing and CTAs exchange data, also with loads of old values."""
        findings: dict[tuple[str, int | None], Finding] = {}
        notes: list[str] = []
        too_large: list[str] = []
        unchecked = False
        launches = [(case, LaunchOptions(sanitize=True)) for case in self.suite.sanitized]
        if announces(self.text.module):  # other CTAs run between two stores of a CTA
            launches.append((self.suite.largest, LaunchOptions(sanitize=True, ctas="by turns")))
        for case, options in launches:
            label = f"{case.label}, {ORDERS[options.ctas]}" if options.ctas in ORDERS else case.label
            try:
                result = self.launcher.launch(case, options)
            except KernelError as error:
                fault = self.launcher.fault("sanitizer", error, replace(case, label=label))
                hint = order_hint(fault.code, options.ctas) or fault.hint
                return StageOutcome(case.label, [replace(fault, hint=hint)])
            for raw in (*result.findings, *result.remarks):
                located = self.launcher.sanitizer_finding(raw, f"{label}: ")
                findings.setdefault((located.code, located.line), located)
            notes += (note for note in result.notes if not note.endswith(USE_SMALLER))
            too_large += (note.removesuffix(USE_SMALLER) for note in result.notes if note.endswith(USE_SMALLER))
            unchecked |= bool(result.unchecked)
        if not findings and reads_exchanged(self.text.module):
            wrong = unordered_load(self.launcher, with_ctas([*self.suite.sanitized, self.suite.largest]))
            findings |= {(wrong.code, wrong.line): wrong} if wrong else {}
        notes += (f"{note}, in {count} of {len(launches)} launches" for note, count in Counter(too_large).items())
        self.notes += [f"sanitizer: {self.text.locations.lines_of(note)}" for note in dict.fromkeys(notes)]
        partly = ", but not all checks were made" if unchecked else ""
        clean = "no finding" if unchecked else "clean"
        return StageOutcome(f"{f'{len(findings)} found' if findings else clean}{partly}", list(findings.values()))

    def repeats(self) -> StageOutcome:
        return repeats(self.launcher)

    # ---- comparison with the pair's own kernels

    @cached_property
    def build(self) -> Build:
        """The candidate, as ptxas builds it."""
        return toolchain.build(
            self.path,
            language=self.text.language,
            variant=CANDIDATE,
            entry=self.suite.entry,
            arch=self.suite.arch,
            flags=self.settings.flags,
            contained=True,
            for_counts=True,
        )

    def resources(self) -> StageOutcome:
        """Compare registers, spills, shared memory and occupancy with those of the pair's variants."""
        if locate.program("ptxas") is None:
            raise Skip("ptxas is not installed")
        pair_kernels = self.suite.pair_kernels
        own = pair_kernels.report(self.build)
        others = {variant: pair_kernels.report(build) for variant, build in pair_kernels.builds.items()}
        for name, report in {CANDIDATE: own, **others}.items():
            self.compared.setdefault(name, {}).update(figures(report))
        lacking = misfit(self.suite.pair, self.build, pair_kernels.builds.values())
        refused = [finding("resources", "cannot-launch", lacking)] if lacking else []
        return StageOutcome(resource_words(own), refused or list(heavier(own, others)))

    def counts(self) -> StageOutcome:
        """Compare what the kernel executes at the largest check size with the pair's variants."""
        case = self.suite.largest
        result = self.launcher.launch(case, LaunchOptions())
        own = figures_of(result.counters)
        self.notes += model_notes(result.models, self.suite.arch)
        if ideal := sorted(result.approximate):
            self.notes.append(
                f"{', '.join(ideal)}: exact here; a GPU's results may be off by as much as the PTX manual allows"
            )
        others = {variant: figures_of(counters) for variant, counters in self.suite.pair_kernels.counts.items()}
        for name, figure in {CANDIDATE: own, **others}.items():
            self.compared.setdefault(name, {}).update(figure)
        self.ratios = {
            variant: {name: own[name] / other[name] for name in COMPARED if other[name]}
            for variant, other in others.items()
        }
        self.count_machine_code(result, case)
        return StageOutcome(f"at {case.label}", list(slower(self.least_ratios(), case.label)))

    def count_machine_code(self, result: LaunchResult, case: CheckCase) -> None:
        """Derive the machine instructions that this launch executed, and their ratios to those of the variants."""
        builds = {CANDIDATE: self.build, **self.suite.pair_kernels.builds}
        by_variant = {CANDIDATE: derived(self.build, result, case.launch), **self.suite.pair_kernels.executed}
        self.executed = executions(by_variant, builds)
        own = code_of(CANDIDATE, builds)
        for variant, ratios in self.ratios.items():
            if variant in self.executed:
                both = self.executed[CANDIDATE], self.executed[variant]
                ratios[EXECUTED] = ratio(*both, same_code=code_of(variant, builds) == own)

    def least_ratios(self) -> dict[str, dict[str, float]]:
        """The lower ends of the ratios, without ranges that are too wide."""
        least = {}
        for variant, ratios in self.ratios.items():
            sure = settled(self.executed.get(CANDIDATE)) and settled(self.executed.get(variant))
            known = {name: ends(value) for name, value in ratios.items() if name != EXECUTED or sure}
            least[variant] = {name: value[0] for name, value in known.items() if value}
        return least

    def time(self) -> StageOutcome:
        raise Skip(UNTIMED)

    def portability(self) -> StageOutcome:
        """Find out for which of the requested targets ptxas accepts the text."""
        targets = self.settings.targets
        if not targets:
            raise Skip("no other targets were requested")
        answers = self.known_targets()
        trials = target_trials(self.source, [target for target in targets if target not in answers])
        self.tried = {
            target: answers[target] if target in answers else trials[target].status == ASSEMBLES for target in targets
        }
        lost = [target for target in self.suite.pair_kernels.assembling(targets) if not self.tried[target]]
        findings = []
        if lost:
            result = trials.get(lost[0]) or target_trials(self.source, lost[:1])[lost[0]]
            need = result.needs[0] if result.needs else None
            why = need.message if need else result.too_high or result.reason or "refused"
            line = need.line if need else None
            findings = [
                finding(
                    "portability",
                    "fewer-targets",
                    one_line(f"{', '.join(lost)}: {why}."),
                    line,
                    self.text.locations.column(line),
                    f"Use .target {lost[0]}." if result.too_high else "",
                )
            ]
        return StageOutcome(f"{sum(self.tried.values())} of {len(self.tried)} targets", findings)

    def known_targets(self) -> dict[str, bool]:
        """The targets that need no start of ptxas, because it has made code of the text for one architecture."""
        if self.text.language != "ptx" or self.build.cubin is None:
            return {}
        declared = self.text.module.target  # more than a name, such as `sm_75, debug`, is left to ptxas
        answers = {target: architecture.accepts(target, ", ".join(declared)) for target in self.settings.targets}
        return {target: answer for target, answer in answers.items() if answer is not None}


def counted_words(stage: str, counted: Sequence[CheckCase]) -> str:
    """How many cases of a stage counted, in words; for hidden sizes, with the largest one."""
    if stage == "results":
        return f"{len(counted)} launch{'' if len(counted) == 1 else 'es'} at the check sizes"
    if stage == "values":
        return f"{plural(len(counted), 'kind')} of data"
    most = max(counted, key=lambda case: sum(np.size(argument) for argument in case.arguments.values()), default=None)
    return f"{plural(len(counted), 'size')}, such as {size_words(most.size)}" if most else "no usable size"
