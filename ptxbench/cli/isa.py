"""`ptxbench isa`: the emulator's instruction table."""

from __future__ import annotations

import click

from ptxbench.cli._files import json_option
from ptxbench.cli._terminal import say
from ptxbench.errors import UsageError
from ptxbench.exit_status import ExitStatus


@click.command("isa", short_help="List the instructions that the emulator knows.")
@click.argument("chapter", required=False, metavar="[CHAPTER]")
@click.option("--opcode", metavar="OPCODE", help="Report whether this opcode, such as ld.global.v4.f32, is known.")
@json_option("Print a JSON object, and nothing else, on stdout.")
def command(chapter: str | None, opcode: str | None, as_json: bool) -> int:
    """List the instructions that the emulator knows, by chapter of the PTX manual, and those that it does not support.

    Each line has the form of the manual's syntax box; what is in {} is optional. Modifiers may be in any order that
    ptxas accepts. After each line: the number of its spellings, and the class in which ptx_warp_instructions_CLASS
    counts it. CHAPTER is part of a chapter's title, such as integer; then the values of each modifier are
    listed too.

    Exit status: 0 good, 2 usage, 5 the opcode is not known.
    """
    from ptxbench.exporters.instructions import answer_to_json, to_json
    from ptxbench.terminal.instructions import Answer, Chapters, NotSupported
    from ptxbench.wording.instructions import by_chapter, look_up

    if chapter is not None and opcode is not None:
        raise UsageError("Name a CHAPTER or an --opcode, not both.")
    if opcode is not None:
        answer = look_up(opcode.strip().lstrip("."))
        if as_json:
            say(answer_to_json(answer), nl=False)
        else:
            show(Answer(answer))
        return ExitStatus.GOOD if answer.known else ExitStatus.NO_VERDICT
    chapters = by_chapter(chapter)
    if as_json:
        say(to_json(chapters), nl=False)
        return 0
    show(Chapters(chapters, detailed=chapter is not None))
    if chapter is None:
        show(NotSupported())
    return 0


def show(renderable: object) -> None:
    from ptxbench.cli._blocks import open_console

    open_console().print(renderable)
