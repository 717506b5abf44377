"""`ptxbench check`: is a foreign kernel right, and how does it compare with a pair?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import click

from ptxbench.cli._bugs import CheckCommand
from ptxbench.cli._dask import dask_option
from ptxbench.cli._device import backend_option, memory_option, rounds_option, timeout_option
from ptxbench.cli._files import json_option, outputs_option
from ptxbench.cli._kernels import kernels_option
from ptxbench.cli._selection import targets_option
from ptxbench.cli._terminal import say
from ptxbench.errors import UsageError


@click.command(
    "check",
    short_help="Judge .ptx and .cu files as variants of a pair.",
    cls=CheckCommand,
    epilog="`ptxbench check --audit` shows how many planted bugs it catches; see its --help.",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@click.option(
    "--language",
    type=click.Choice(["ptx", "cuda"]),
    help="The language of the text on standard input; required for FILE -, and only for it.",
)
@click.option("--pair", "pair", required=True, metavar="NAME", help="Judge each FILE as a variant of this pair.")
@click.option(
    "--arch",
    metavar="SM",
    help="Judge for this architecture.  [default: the GPU's, else sm_90 or what the pair's PTX needs]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    metavar="N",
    help="Draw data and hidden sizes from this seed, to repeat a judgement.  [default: a new one each time]",
)
@click.option(
    "--flag", "flags", multiple=True, metavar="OPTION", help="An option of NVRTC, such as --use_fast_math; repeat."
)
@targets_option("Assemble for these targets too, such as 'sm_12*' or '*'; repeat.  [default: one of each generation]")
@click.option(
    "--max-loop-iterations",
    type=click.IntRange(1),
    metavar="N",
    help="Loop iterations that a warp may run.  [default: 2^20]",
)
@timeout_option("Stop the judgement of a FILE after this time; the FILE is then rejected.", usual=120.0)
@memory_option
@backend_option("auto: if there is a GPU, time accepted kernels on it. emulator: never use a GPU.")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="SIZE",
    help="Time at this size, such as n=65536; repeat. GPU only.",
)
@rounds_option("Number of new processes to time in. GPU only.")
@click.option(
    "--jobs", type=click.IntRange(1), default=1, metavar="N",
    help="Judge this many FILEs in parallel; each may use --memory.",
)  # fmt: skip
@dask_option("FILEs")
@click.option(
    "--thorough", is_flag=True, help="Also launch at a bench size: the first that takes less than about a minute."
)
@click.option(
    "--watch", is_flag=True, help="Judge again whenever a FILE changes, with a new seed each time, until Ctrl-C."
)
@json_option("Print a JSON object, and nothing else, on stdout.")
@click.option(
    "--json-lines", "as_lines", is_flag=True, help="Print each verdict as a line of JSON as soon as it is known."
)
@outputs_option("Write the verdicts to FILE too, in the format of its suffix: .json or .sarif; repeat.")
@kernels_option("Take the pair from this folder: it holds pairs/, cuda/ and ptx/.")
def command(
    files: tuple[Path, ...],
    language: str | None,
    pair: str,
    arch: str | None,
    seed: int | None,
    flags: tuple[str, ...],
    patterns: tuple[str, ...],
    max_loop_iterations: int | None,
    timeout: float,
    memory: float,
    backend: Literal["auto", "gpu", "emulator"],
    sizes: tuple[str, ...],
    rounds: int,
    jobs: int,
    dask: str | None,
    thorough: bool,
    watch: bool,
    as_json: bool,
    as_lines: bool,
    outputs: tuple[Path, ...],
    kernels: Path,
) -> int:
    """Judge each FILE, .ptx or .cu, as a variant of a pair, without trusting it. No GPU is needed.

    FILE may be a folder (all .ptx and .cu files in it), or - for standard input. A FILE that cannot be read is
    reported as not judged; the others are judged.

    The stages: parse; compare the arguments with the pair's; lint; verify at the pair's check sizes; assemble; verify
    on hidden sizes and data, under the sanitizer, and with repeated launches; compare resources and counts with the
    pair's own kernels; time on a GPU; assemble for other targets. The first stage that rejects FILE ends its
    judgement. Several FILEs are ranked: by time on a GPU, otherwise by global sectors and executed machine
    instructions. docs/check.md explains the codes.

    ptxbench check mine.ptx --pair softmax

    Exit status: 0 accepted, 2 usage, 4 rejected, 5 could not be judged, 130 interrupted.
    """
    from ptxbench.check.findings import exit_status
    from ptxbench.check.inputs import expand_arguments, require_text
    from ptxbench.check.judge import Judge
    from ptxbench.cli._judging import JSON, JSON_LINES, TEXT, judge_and_print, keep_judging
    from ptxbench.cli._saving import OutputFiles
    from ptxbench.exporters.check import EXPORTERS

    require_agreement(files, language, watch=watch, as_json=as_json, as_lines=as_lines, writes=bool(outputs))
    saved = OutputFiles(outputs, EXPORTERS)
    form = JSON_LINES if as_lines else JSON if as_json else TEXT
    with Judge(
        pair, kernels=kernels, arch=arch, seed=seed, flags=flags, targets=patterns,
        max_loop_iterations=max_loop_iterations, timeout=timeout, memory_gib=memory, backend=backend, sizes=sizes,
        rounds=rounds, thorough=thorough, jobs=jobs, dask=dask, say=partial(say, err=True),
    ) as judge:  # fmt: skip
        inputs = list(expand_arguments(files, read_standard_input, language))
        require_text(inputs)
        if watch:
            keep_judging(files, judge, form, new_seeds=seed is None)
        return exit_status(judge_and_print(inputs, judge, form, saved))


def require_agreement(
    files: Sequence[Path], language: str | None, *, watch: bool, as_json: bool, as_lines: bool, writes: bool
) -> None:
    """Raises UsageError for options that do not go together."""
    standard_input = [str(file) for file in files].count("-")
    if standard_input > 1:
        raise UsageError("FILE - is given twice; standard input can be read only once.")
    if standard_input and language is None:
        raise UsageError("FILE - needs --language ptx or --language cuda.")
    if standard_input and watch:
        raise UsageError("--watch needs files; standard input does not change.")
    if language and not standard_input:
        raise UsageError("--language is for FILE -; the suffix of a file, .ptx or .cu, says its language.")
    if writes and watch:
        raise UsageError("--output is written at the end, and --watch has none. Leave out one of them.")
    if as_json and as_lines:
        raise UsageError("--json and --json-lines exclude each other.")


def read_standard_input() -> bytes:
    """The bytes of standard input, up to the greatest size of a file."""
    import sys

    from ptxbench.check.source import MOST_BYTES

    if sys.stdin is None:
        raise UsageError("Standard input is closed; FILE - reads it.")
    try:
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"Standard input cannot be read: {error.strerror}.") from None
