"""What each instruction gives, by chapter of the manual: `(opcode, sources, result)`, one case a row.

Looked up in the manual (PTX ISA, "Instruction Set"); what it leaves open and the emulator decides is marked so.
"""

from tests.emulator.rows import compare, convert, floating, integer, logic, move

ROWS = [*integer.ROWS, *logic.ROWS, *move.ROWS, *compare.ROWS, *convert.ROWS, *floating.ROWS]
