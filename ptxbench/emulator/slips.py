"""What to say about frequent slips in the operands of PTX, such as C's spellings and an index in an address."""

from __future__ import annotations

from ptxbench.emulator.tokens import Cursor, is_name, is_number, quoted, syntax_error
from ptxbench.errors import PtxSyntaxError

OF_CUDA = {"threadIdx": "%tid", "blockIdx": "%ctaid", "blockDim": "%ntid", "gridDim": "%nctaid"}
"""The predefined registers by their names in CUDA C."""
LANES = ("warpSize", "%warpsize", "%warpSize", "%warp_size", "%WARP_SZ")
NEW_REGISTERS = ("%locality_domain_id", "%locality_domain_supplemental_sm", "%perctamemoryoffset", "%perctamemorysize")
"""The predefined registers of PTX ISA 9.4 and 9.5 that the emulator lacks."""
FLOATS = "a float is written 1.0, 0f with 8 hexadecimal digits, or 0d with 16"


def no_semicolon(cursor: Cursor) -> PtxSyntaxError:
    """The error where an instruction should end."""
    last, word = cursor.words[cursor.at - 1], cursor.next
    if is_number(last) and is_name(word) and cursor.starts[cursor.at] == cursor.starts[cursor.at - 1] + len(last):
        return syntax_error(cursor.line, f"{quoted(last + word)} is not a number; {FLOATS}.")
    return cursor.error("';'")


def no_operand(cursor: Cursor) -> PtxSyntaxError:
    """The error where an operand should start."""
    return cursor.error("';'" if ends_early(cursor, cursor.at) else "an operand")


def ends_early(cursor: Cursor, at: int) -> bool:
    """Whether a word starts a line and the one before it is neither a comma nor the like."""
    return cursor.starts_line(at) and is_name(cursor.words[at - 1])


def no_offset(cursor: Cursor) -> PtxSyntaxError | None:
    """The error for what follows the base of an address, after a `+` or instead of it; None if it may be right."""
    word = cursor.next
    if word == "-" and is_number(cursor.following):
        return syntax_error(cursor.line, f"a negative offset of an address needs a '+': + -{cursor.following}.")
    if word in ("+", "*", "[") or (cursor.words[cursor.at - 1] == "+" and is_name(word) and word != "WARP_SZ"):
        index = quoted(word) if is_name(word) else "an index"
        return syntax_error(
            cursor.line, f"an address is a register or a variable, plus a number; add {index} in an instruction before."
        )
    return None


def unknown(cursor: Cursor, name: str) -> PtxSyntaxError:
    """The error for an operand, the last word, that means nothing."""
    first, _, selector = name.partition(".")
    if ends_early(cursor, cursor.at - 1):
        cursor.at -= 1
        return cursor.error("';'")
    if first in OF_CUDA:
        return syntax_error(cursor.last_line, f"'{name}' is CUDA C; in PTX it is '{OF_CUDA[first]}.{selector or 'x'}'.")
    if name in NEW_REGISTERS:
        return syntax_error(cursor.last_line, f"'{name}' of PTX ISA 9.4 and 9.5 is not supported.")
    if name in LANES:
        return syntax_error(cursor.last_line, f"'{name}' is not declared; the number of lanes is WARP_SZ.")
    if name.startswith("%") or selector:
        return syntax_error(cursor.last_line, f"'{name}' is not declared; add it to a .reg line.")
    return syntax_error(cursor.last_line, f"'{name}' is not defined.")
