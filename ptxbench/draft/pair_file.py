"""The text of a pair file from what is known of a kernel: its arguments, perhaps its launch, and open questions.

An open question is `...` under a TODO. What is concluded but not certain is called a proposal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from ptxbench.draft.arguments import OPEN, DraftArgument
from ptxbench.draft.host_launch import HostLaunch

COLUMNS = 110
IMPORTED = ("EXACT", "In", "InOut", "Launch", "Out", "Pair", "Scalar", "Scratch", "Struct", "TensorMap", "ceil_div",
            "close", "relative", "ulps")  # fmt: skip
"""Imports: what the file uses, and what the answers may need."""


def pair_text(
    name: str,
    origin: str,
    arguments: Sequence[DraftArgument],
    launch: HostLaunch | None,
    threads: int | None,
    *,
    dynamic: bool,
    cooperative: bool,
) -> str:
    """The pair file. `origin`: the kernel and its file in words; `threads`: the most of a CTA, if the kernel says so.

    `dynamic`: whether the kernel has shared memory whose size the launch decides. `cooperative`: whether it waits for
    the whole grid.
    """
    every = [member for argument in arguments for member in argument.flat]
    dtypes = sorted({argument.dtype for argument in every if argument.dtype} | {"f32", "u32"})
    names = ", ".join([*IMPORTED, *dtypes])
    imports = textwrap.wrap(names, COLUMNS - 4)
    text = [
        f'"""{name}: replace this by one sentence on what the kernel computes."""',
        "",
        "import numpy as np",
        "",
        "from ptxbench.pair import (",
        *(f"    {line}" for line in imports),
        ")",
        "",
        *comment(
            f"`ptxbench new` wrote this file from {origin}. Each `{OPEN}` is an open question: put the answer in its "
            f"place, and delete its TODO. Until then `ptxbench run {name}` refuses the pair; `ptxbench show {name}` "
            f"and `ptxbench arch {name}` work. A proposal is what the kernel suggests: check it.",
            "",
        ),
        "",
        "PAIR = Pair(",
        '    purpose="Replace this: what can be learned from the two sides?",',
        "    args=[  # in the order of both signatures",
    ]
    for argument in arguments:
        text += argument_lines(argument, "        ")
    text.append("    ],")
    dimensions = [argument.name for argument in every if argument.dimension]
    text += launch_lines(dimensions or ["n"], launch, threads, dynamic=dynamic, cooperative=cooperative)
    text += reference_lines(every)
    text += size_lines(dimensions, block_of(launch, threads))
    text += comment(
        f"TODO: the floating-point operations of a launch, such as lambda {', '.join(dimensions or ['n'])}: 2 * "
        f"{(dimensions or ['n'])[0]}; 0 if it has none.",
        "    ",
    )
    text += [f"    flops={OPEN},", ")", ""]
    return "\n".join(text)


def argument_lines(argument: DraftArgument, indent: str) -> Iterator[str]:
    """An argument with its question above it; a struct with its members, each on its own line."""
    if argument.question:
        yield from comment(f"TODO: {argument.question}{'' if argument.question.endswith('?') else '.'}", indent)
    note = f"  # {argument.note}" if argument.note else ""
    if not argument.members:
        yield f"{indent}{argument.call},{note}"
        return
    yield f"{indent}{argument.call}{note}"
    for member in argument.members:
        yield from argument_lines(member, f"{indent}    ")
    yield f"{indent}{argument.end},"


def comment(text: str, indent: str, mark: str = "#") -> list[str]:
    """The lines of a comment."""
    start = f"{indent}{mark} "
    return textwrap.wrap(text, COLUMNS, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)


def launch_lines(
    dimensions: Sequence[str], launch: HostLaunch | None, threads: int | None, *, dynamic: bool, cooperative: bool
) -> Iterator[str]:
    """The launch as a proposal if host code shows all of it; otherwise as a question."""
    parameters = ", ".join(dimensions)
    shared = launch.shared_bytes if launch else None
    known = (shared == "0" and not dynamic) or shared not in (None, "0")
    if launch and launch.grid and launch.block and known and not cooperative:
        fields = f"grid={launch.grid}, block={launch.block}" + (f", shared_bytes={shared}" if shared != "0" else "")
        yield from comment(f"A proposal, from line {launch.line} of the host code: {launch.text}", "    ")
        yield f"    launch=lambda {parameters}: Launch({fields}),"
        return
    block = (launch and launch.block) or str(threads or 256)
    whole = ", cooperative=True" if cooperative else ""
    example = f"Launch(grid=ceil_div({dimensions[0]}, {block if block.isdigit() else 256}), block={block}{whole})"
    words = f"TODO: the grid and the block, such as lambda {parameters}: {example}."
    if launch:
        words += f" Line {launch.line} of the host code has {launch.text}."
    if threads:
        words += f" The kernel allows {threads} threads in a block."
    if dynamic:
        words += " It has dynamic shared memory: give shared_bytes, too."
    if cooperative:
        words += " It waits for the whole grid, which must fit the GPU at once."
    yield from comment(words, "    ")
    yield f"    launch={OPEN},"


def reference_lines(arguments: Sequence[DraftArgument]) -> Iterator[str]:
    inputs = [argument.name for argument in arguments if argument.kind in ("In", "InOut", "Scalar")]
    outputs = [argument.name for argument in arguments if argument.kind in ("Out", "InOut")]
    result = ", ".join(f'"{name}": {OPEN}' for name in outputs) or f'"name": {OPEN}'
    yield from comment(
        "TODO: the expected outputs from the inputs, in NumPy, such as lambda "
        f"{', '.join(inputs)}: {{{result}}}. Floats arrive as float64, integers as int64, and an output has the shape "
        "of its argument.",
        "    ",
    )
    yield f"    reference={OPEN},"
    yield from comment(
        "TODO: the allowed error: EXACT for copies and integers, close(rtol=1e-5, atol=1e-6) as numpy.allclose has it, "
        "or ulps(...) or relative(...), which say why.",
        "    ",
    )
    yield f"    tolerance={OPEN},"


def block_of(launch: HostLaunch | None, threads: int | None) -> int:
    """The threads of a block, to choose sizes around it."""
    return int(launch.block) if launch and launch.block and launch.block.isdigit() else threads or 256


def size_lines(dimensions: Sequence[str], block: int) -> Iterator[str]:
    """The lines of the sizes: questions without dimensions, else proposals around the threads of a `block`."""
    if not dimensions:
        yield from comment(
            'TODO: the sizes at which both kernels are verified, such as [{"n": 1000}]. Functions of the size take '
            "these names.",
            "    ",
        )
        yield f"    check_sizes={OPEN},"
        yield from comment('TODO: the sizes that are counted or timed, such as [{"n": 1 << 20}].', "    ")
        yield f"    bench_sizes={OPEN},"
    elif len(dimensions) == 1:
        (name,) = dimensions
        numbers = ", ".join(map(str, sorted({1, block - 1, block, block + 1, 1000} - {0})))
        yield from comment("A proposal: around the size of a block, where an index that is off by one shows.", "    ")
        yield f'    check_sizes=[{{"{name}": {name}}} for {name} in ({numbers})],'
        yield from comment("A proposal. The emulator runs the first one.", "    ")
        yield f'    bench_sizes=[{{"{name}": 1 << k}} for k in (16, 22, 25)],'
    else:
        yield from comment("A proposal: one of everything, powers of two, and sizes that no block divides.", "    ")
        yield f"    check_sizes=[{', '.join(each_size(dimensions, sizes) for sizes in ((1,), (64,), (33, 65, 17)))}],"
        yield from comment("A proposal. The emulator runs the first one.", "    ")
        yield f"    bench_sizes=[{', '.join(each_size(dimensions, sizes) for sizes in ((128,), (1024,), (4096,)))}],"


def each_size(dimensions: Sequence[str], sizes: Sequence[int]) -> str:
    return "{" + ", ".join(f'"{name}": {sizes[i % len(sizes)]}' for i, name in enumerate(dimensions)) + "}"
