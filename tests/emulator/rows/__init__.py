"""The result of each instruction, by chapter of the manual: `(opcode, sources, result)`, one case a row.

Taken from the manual (PTX ISA, "Instruction Set"); results that it leaves open and the emulator decides are marked.
"""

from tests.emulator.rows import compare, convert, floating, integer, logic, move

ROWS = [*integer.ROWS, *logic.ROWS, *move.ROWS, *compare.ROWS, *convert.ROWS, *floating.ROWS]
