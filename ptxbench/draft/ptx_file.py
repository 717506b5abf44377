"""The .ptx file of a draft: the compiler's PTX of one kernel, named and laid out, for the lowest target that works."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ptxbench import architecture, kernel_names, toolchain
from ptxbench.draft import ptx as text_of_ptx
from ptxbench.draft.access import provenance
from ptxbench.draft.identity import identity, same_kernel, without_lines
from ptxbench.draft.names import Names, Naming
from ptxbench.draft.pair_file import comment
from ptxbench.emulator.parse import parse
from ptxbench.emulator.syntax import Function
from ptxbench.toolchain import lines, locate, ptxas
from ptxbench.toolchain.origins import origins

VERSIONS = ("6.3", "6.4", "6.5", *(f"7.{k}" for k in range(9)), *(f"8.{k}" for k in range(10)), "9.0", "9.1", "9.2")
"""The versions that are tried for .version, lowest first."""

TARGETS = {
    "sm_75": "6.3", "sm_80": "7.0", "sm_86": "7.1", "sm_89": "7.8", "sm_90": "7.8", "sm_100": "8.6", "sm_120": "8.7",
}  # fmt: skip
"""The targets that are tried for .target, lowest first, and the first .version that has each."""


def ptx_text(
    compiled: str,
    cuda_source: str,
    name: str,
    entry: str,
    arch: str,
    names: Sequence[str],
    arrays: Sequence[int],
    source: Path,
) -> tuple[str, bool]:
    """The .ptx file, and whether its registers could be renamed. `arrays`: the positions of parameters that are
    arrays."""
    trimmed = text_of_ptx.trimmed(compiled, entry)
    module = parse(trimmed)
    function = module.entries[entry]
    params = {param.name: name for param, name in zip(function.params, names, strict=True)}
    variables = variable_names(function, [*module.variables], [*params.values(), entry])
    rows = [*trimmed.splitlines(), *(row for row in compiled.splitlines() if row.strip().startswith(".file"))]
    cuda_lines = origins(rows, source.name)
    lines = cuda_source.splitlines()
    own_arrays = [function.params[position].name for position in arrays]
    provenance_of = provenance(function, own_arrays)

    def names_for(*, merge: bool) -> Names:
        complete = Naming(function, params, variables, own_arrays, provenance_of, cuda_lines, lines).all(merge=merge)
        return replace(
            complete, labels={old: unused_name(new, params.values()) for old, new in complete.labels.items()}
        )

    naming_candidates = (names_for(merge=True), names_for(merge=False), Names({}, {}))
    symbols = {**params, **variables}
    texts = [text_of_ptx.laid_out(trimmed, own_names, symbols, cuda_lines, lines) for own_names in naming_candidates]
    checked = locate.program("ptxas") is not None
    fitting = (candidate for candidate in texts if not checked or same_kernel(trimmed, entry, candidate, entry, arch))
    text = next(fitting, without_lines(trimmed))
    return header_of(compiled, name, arch) + "\n" + lowered(text, entry, arch), text in texts[:2]


def unused_name(name: str, taken: Collection[str]) -> str:
    """The name; with an underscore if it is taken."""
    return f"{name}_" if name in taken else name


def variable_names(function: Function, others: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """New names of variables with C++ names: the last part, unless another name is the same."""
    result: dict[str, str] = {}
    for variable in (*function.variables, *others):
        last = kernel_names.demangled(variable).rpartition("::")[2]
        usable = re.fullmatch(r"[A-Za-z_]\w*", last) and last not in (*taken, *result.values(), *others)
        result[variable] = last if usable else variable
    return result


def header_of(compiled: str, name: str, arch: str) -> str:
    release = re.search(r"release [\d.]+, V([\d.]+)", compiled)
    rows = comment(
        f"{name}: a start, not hand-written: the PTX that NVRTC {release[1] if release else ''} makes of "
        f"../cuda/{name}.cu for {arch}. Shapes and launch are in ../pairs/{name}.py.",
        "",
        mark="//",
    )
    rows += ["//"]
    rows += comment(
        "ptxbench gave the registers their names and put the lines of CUDA C above their instructions. When you "
        "change it, say here how it differs from what the compiler makes.",
        "",
        mark="//",
    )
    return "\n".join(rows) + "\n"


def lowered(ptx: str, entry: str, arch: str) -> str:
    """The text with the lowest .target and .version that ptxas accepts and that give the same machine code."""
    if locate.program("ptxas") is None or architecture.suffix(arch):
        return ptx
    targets = [target for target in TARGETS if architecture.number(target) <= architecture.number(arch)]
    target = next((target for target in targets if is_accepted(with_directive(ptx, "target", target), target)), arch)
    changed = with_directive(ptx, "target", target)
    index = first_true(
        lambda number: is_read(with_directive(changed, "version", VERSIONS[number]), target),
        VERSIONS.index(TARGETS.get(target, VERSIONS[0])),
        len(VERSIONS),
    )
    if index < len(VERSIONS):
        changed = with_directive(changed, "version", VERSIONS[index])
    return changed if identity(changed, entry, arch) == identity(ptx, entry, arch) else ptx


def with_directive(ptx: str, directive: str, value: str) -> str:
    return re.sub(rf"^\.{directive}\s+\S+", f".{directive} {value}", ptx, count=1, flags=re.M)


def is_accepted(ptx: str, target: str) -> bool:
    return toolchain.assembled_text(ptx, target) is not None


def is_read(ptx: str, target: str) -> bool:
    """Whether ptxas accepts a text that it can assemble for `target` if the .version is high enough."""
    try:
        toolchain.accepted(lines.require("ptxas"), ptx, target)
    except ptxas.RefusedError:
        return False
    return True


def first_true(test: Callable[[int], bool], begin: int, end: int) -> int:
    """The first number from `begin` on for which the test holds; it then holds for all later ones. `end` if there is
    none.

    `begin` is tried first: it is the usual answer.
    """
    if begin < end and test(begin):
        return begin
    low, high = begin + 1, end
    while low < high:
        middle = (low + high) // 2
        if test(middle):
            high = middle
        else:
            low = middle + 1
    return low
