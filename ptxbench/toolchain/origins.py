"""The line of CUDA C that each line of its PTX was made from, by the .file and .loc directives of -lineinfo."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

FILE = re.compile(r"\s*\.file\s+(?P<number>\d+)\s+\"(?P<name>[^\"]*)\"")
LOC = re.compile(
    r"\s*\.loc\s+(?P<at>\d+\s+\d+\s+\d+)(?:\s*,\s*function_name[^,]*,\s*inlined_at\s+(?P<caller>\d+\s+\d+\s+\d+))?"
)


def origins(ptx: Sequence[str], name: str) -> dict[int, int]:
    """The line of the file `name` for each line of the PTX that was made from it, or inlined in it."""
    return {number: line for number, (file, line) in places(ptx, name).items() if file == name}


def places(ptx: Sequence[str], name: str) -> dict[int, tuple[str, int]]:
    """The file and the line for each line of the PTX, by its .loc directives.

    For a line of a header, the line of the file `name` at which it was inlined; else that of the file with the kernel.
    NVRTC writes line 0 for code without a line.
    """
    files = {match["number"]: re.split(r"[/\\]", match["name"])[-1] for row in ptx if (match := FILE.match(row))}
    file_number = next((number for number, file in files.items() if file == name), None)
    callers: dict[tuple[str, ...], tuple[str, ...]] = {}
    result: dict[int, tuple[str, int]] = {}
    current: tuple[str, int] | None = None
    depth = 0
    for number, row in enumerate(ptx, 1):
        if match := LOC.match(row):
            location = tuple(match["at"].split())
            if match["caller"]:
                callers[location] = tuple(match["caller"].split())
            seen = set()
            while location[0] != file_number and location in callers and location not in seen:
                seen.add(location)
                location = callers[location]
            current = (files[location[0]], int(location[1])) if location[0] in files and int(location[1]) else None
        elif current is not None:
            result[number] = current
        depth += nesting_change(row)
        if depth == 0:  # not at the first brace: inline assembly has its own blocks
            current = None
    return result


def nesting_change(row: str) -> int:
    """How many blocks a line of PTX opens, minus those that it closes."""
    code = row.split("//")[0]
    return code.count("{") - code.count("}")


def in_file(message: str, file: str, made_from: Mapping[int, tuple[str, int]] | None) -> str:
    """`message` with "FILE:9: " for "line 9: " of the PTX.

    `made_from`: the `places`, if the PTX was made from CUDA C. Each line then becomes `saxpy.cu:7 (PTX line 31)`, or
    `saxpy.cu (PTX line 31)` if it has no line of the CUDA C.
    """
    if made_from is None:
        return re.sub(r"\bline (\d+): ", rf"{file}:\1: ", message)

    def both(match: re.Match[str]) -> str:
        source_line = made_from.get(int(match[1]))
        return f"{f'{source_line[0]}:{source_line[1]}' if source_line else file} (PTX line {match[1]})"

    return re.sub(r"\bline (\d+)\b", both, message)
