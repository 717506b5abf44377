"""Arguments of a kernel as a command line writes them, and their values.

`notation` parses, `binding` matches them to the parameters, `values` makes the data of a launch, `templates` proposes
arguments.
"""

from ptxbench.arguments.binding import BoundArguments, bind, signature
from ptxbench.arguments.elements import ElementType
from ptxbench.arguments.notation import NOTATION, Parsed, parse
from ptxbench.arguments.templates import ELEMENTS, option, templates
from ptxbench.arguments.values import NamedArray, Values, find, make, names

__all__ = [
    "ELEMENTS",
    "NOTATION",
    "BoundArguments",
    "ElementType",
    "NamedArray",
    "Parsed",
    "Values",
    "bind",
    "find",
    "make",
    "names",
    "option",
    "parse",
    "signature",
    "templates",
]
