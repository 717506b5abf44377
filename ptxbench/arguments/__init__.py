"""Arguments of a kernel as a command line writes them, and their values.

`notation` parses, `binding` matches them to the parameters, `values` makes the data of a launch.
"""

from ptxbench.arguments.binding import BoundArguments, bind
from ptxbench.arguments.elements import ElementType
from ptxbench.arguments.notation import NOTATION, Parsed, parse
from ptxbench.arguments.values import Named, Values, find, make, names

__all__ = [
    "NOTATION",
    "BoundArguments",
    "ElementType",
    "Named",
    "Parsed",
    "Values",
    "bind",
    "find",
    "make",
    "names",
    "parse",
]
