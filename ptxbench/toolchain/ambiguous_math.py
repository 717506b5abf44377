"""Calls of math functions that are ambiguous with the stand-ins alone.

After `using namespace std`, a call of exp() means the function of std and the one of CUDA. In the host compiler's
library they are the same function. In libcu++, which stands in for it, they are two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ptxbench.toolchain.compiler_errors import CompilerError
from ptxbench.toolchain.host_code import SourceText, TextEdit
from ptxbench.toolchain.stand_ins import MATH_FUNCTION

AMBIGUOUS = re.compile(rf"more than one instance of overloaded function \"({MATH_FUNCTION})\" matches")


def edits(text: SourceText, errors: Sequence[CompilerError]) -> list[TextEdit]:
    """`::` before each name of such a call that NVRTC reports in this text, so that it means CUDA's function."""
    ambiguous = [(error, match[1]) for error in errors if (match := AMBIGUOUS.match(error.text))]
    places = {(text.starts[error.line - 1] + error.column, name) for error, name in ambiguous}
    return [
        TextEdit(place, None, inserted="::")
        for place, name in places
        if re.compile(rf"(?<![\w:.])(?<!->){name}\b").match(text.text, place)
    ]
