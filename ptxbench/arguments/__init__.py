"""Arguments of a kernel as a command line writes them, and their values. `notation` reads, `binding` fits them."""

from ptxbench.arguments.binding import Bound, bind
from ptxbench.arguments.notation import NOTATION, Argument, ElementType, parse

__all__ = ["NOTATION", "Argument", "Bound", "ElementType", "bind", "parse"]
