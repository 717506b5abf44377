"""The blocks of a page that a tool fills: the lines between two comments. It does not know what they contain."""

from ptxbench.errors import UsageError


def between(text, opening, closing, read):
    """(first line, last line, parsed request) of each block of `text`: the lines of its two comments, from 0.

    `opening`: the pattern of the first comment; `read` parses its groups. `closing`: the whole second comment.
    Raises UsageError that begins with the line number, from 1, if a block is not valid.
    """
    blocks, opened = [], None
    for number, line in enumerate(text.splitlines()):
        if match := opening.match(line.strip()):
            if opened is not None:
                raise UsageError(f"{number + 1}: this block begins inside the block of line {opened[0] + 1}.")
            try:
                opened = number, read(*match.groups())
            except UsageError as error:
                raise UsageError(f"{number + 1}: {error}") from None
        elif line.strip() == closing:
            if opened is None:
                raise UsageError(f"{number + 1}: there is no block that {closing} ends.")
            blocks.append((opened[0], number, opened[1]))
            opened = None
    if opened is not None:
        raise UsageError(f"{opened[0] + 1}: this block has no end. Write {closing} below it.")
    return blocks
