"""Judges the candidates of `ptxbench check` and prints the judgements: progress, Ctrl-C, and every form of output."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ptxbench.cli._terminal import say
from ptxbench.documents import json_text
from ptxbench.errors import PtxbenchError

if TYPE_CHECKING:
    from ptxbench.check.contained import CheckTask
    from ptxbench.check.findings import Judgement
    from ptxbench.check.inputs import Candidate
    from ptxbench.check.judge import Judge
    from ptxbench.cli._progress import Bar
    from ptxbench.cli._saving import OutputFiles

TEXT, JSON, JSON_LINES = "text", "json", "json-lines"
"""Forms of output."""


def judge_and_print(inputs: Sequence[Path | Candidate], judge: Judge, form: str, files: OutputFiles) -> list[Judgement]:
    """Judge all inputs, print the judgements and write them to `files`. After Ctrl-C only the complete ones are
    printed.

    Returns the judgements, the best first.
    """
    done: dict[int, Judgement] = {}
    try:
        with closing(judgements(inputs, judge)) as judged:
            for number, judgement in judged:
                done[number] = judgement
                if form == JSON_LINES:
                    print_line(judgement)
    except KeyboardInterrupt:
        if form != JSON_LINES:
            show(in_order(done), judge.task, form, complete=False)
        files.write(in_order(done), judge.task, False)
        say(f"Interrupted: {len(done)} of {len(inputs)} judged.", err=True)
        raise
    best_first = in_order(done)
    if form != JSON_LINES:
        show(best_first, judge.task, form)
    files.write(best_first, judge.task, True)
    return best_first


def in_order(done: dict[int, Judgement]) -> list[Judgement]:
    """The best first; equals in the order of the command line, not in the order of completion."""
    from ptxbench.check.ranking import ranked

    return ranked([done[number] for number in sorted(done)])


def judgements(inputs: Sequence[Path | Candidate], judge: Judge) -> Generator[tuple[int, Judgement], None, None]:
    """Each judgement, with the number of its input, as soon as it is complete."""
    from ptxbench.cli._progress import Bar

    with Bar() as bar, closing(judge.judge_all(inputs, progress(bar, inputs, judge.task))) as results:
        for number, _, judgement in judge.timed(results, bar.show):
            with bar.paused():
                yield number, judgement


def progress(bar: Bar, inputs: Sequence[Path | Candidate], task: CheckTask) -> Callable[[int, str], None]:
    """A function that shows how many stages of all candidates are done; it gets an input's number and its next
    stage."""
    from ptxbench.check.findings import PAIR_NEEDED, STAGES
    from ptxbench.runner import Step

    names = list(STAGES)
    stage_numbers = dict.fromkeys(range(len(inputs)), 0)

    def begin(number: int, stage: str) -> None:
        candidate = inputs[number]
        name = candidate.name if isinstance(candidate, Path) else candidate.file
        stage_numbers[number] = names.index(stage)
        phase = f"prepare the pair, then {stage}" if stage == PAIR_NEEDED else stage
        bar.show(Step(sum(stage_numbers.values()), len(inputs) * len(names), task.pair, name, phase))

    return begin


# ---- printing


def print_line(judgement: Judgement) -> None:
    """Print one verdict of `--json-lines` immediately."""
    from ptxbench.exporters.check import verdict

    say(json_text(verdict(judgement), indent=None), nl=False)


def show(judged: Sequence[Judgement], task: CheckTask, form: str, *, complete: bool = True) -> None:
    """Print each judgement, and the ranking if there are several; or the JSON document."""
    if form == JSON:
        from ptxbench.documents import json_text
        from ptxbench.exporters.check import document

        result = document(judged, pair=task.pair, arch=task.arch, seed=task.seed, complete=complete)
        say(json_text(result, indent=None), nl=False)
        return
    from ptxbench.cli._blocks import open_console
    from ptxbench.terminal.check import JudgementReport, Ranking

    console = open_console()
    for judgement in judged:
        console.print(JudgementReport(judgement))
        if len(judged) > 1:
            console.print()
    if len(judged) > 1:
        console.print(Ranking(judged))


# ---- watching


def keep_judging(files: Sequence[Path], judge: Judge, form: str, *, new_seeds: bool) -> None:
    """Judge changed files, forever; Ctrl-C ends it. `new_seeds`: each time with a new seed.

    With one seed for all judgements, a kernel could be fitted to the data of that seed.
    """
    from ptxbench.check.inputs import files_of
    from ptxbench.check.ranking import ranked
    from ptxbench.check.watch import changed_files

    if not new_seeds:
        say(f"Every judgement uses seed {judge.seed}, as --seed says.", err=True)
    for file in files:
        if not file.exists():
            say(f"Waiting for {file}, which does not exist yet.", err=True)
    latest: dict[Path, Judgement] = {}
    for changed in changed_files(lambda: [path for file in files for path in files_of(file)]):
        if new_seeds:
            judge.renew_seed()
        try:
            with closing(judgements(changed, judge)) as judged:
                for number, judgement in judged:
                    latest[changed[number]] = judgement
                    if form == JSON_LINES:
                        print_line(judgement)
        except PtxbenchError as error:
            say(f"Error: {error}", err=True)
            continue
        if form != JSON_LINES:
            show(ranked(list(latest.values())), judge.task, form)
        say("Waiting for a change; Ctrl-C ends.", err=True)
