"""The CUDA C of the shipped kernels as one module of PTX, so that a target costs one run of ptxas, not eighty."""

import functools
import re

from ptxbench import toolchain
from ptxbench.discovery import default_kernels
from ptxbench.errors import CompileError
from ptxbench.toolchain import control, lines, locate
from ptxbench.toolchain import cubin as elf

HEADER = re.compile(r"^\.(version|target|address_size)\b.*$", re.M)
LINES = re.compile(r"^\s*\.(?:file|loc)\b[^\n]*$|^\s*\.section\s+\.debug_str\b.*?^\s*\}", re.M | re.S)
VARIABLE = re.compile(r"^(?:\.visible |\.weak )?\.(?:global|const|shared)\b[^;=\[\n]*?\s(\w+)\s*[\[=;]", re.M)
LEAST = ("sm_75", "sm_80", "sm_90")


def number(arch):
    return int(arch.removeprefix("sm_"))


@functools.cache
def modules(*wanted):
    """The PTX of each kernel, by the lowest target that accepts it, lowest first; `wanted`: only these files."""
    texts = {arch: [] for arch in LEAST}
    for path in sorted((default_kernels() / "cuda").glob("*.cu")):
        entry = path.stem.split(".")[0]
        if "sm_" in path.suffixes[0] or (wanted and path.stem not in wanted):
            continue
        for arch in LEAST:
            try:
                build = toolchain.build(
                    path, language="cuda", variant="cuda", entry=entry, arch=arch, assembler="driver"
                )
            except CompileError:
                continue
            if toolchain.assembled_text(build.ptx, arch) is None:  # NVRTC takes inline PTX as it is
                continue
            texts[arch].append(renamed(build.ptx, entry, path.stem.replace(".", "_")))
            break
        else:
            raise AssertionError(f"{path.name} compiles for none of {LEAST}")
    return texts


def renamed(ptx, entry, name):
    """The module with another name of its entry, and with unique names of its variables."""
    text = ptx.replace(entry, name)
    variables = {variable for variable in VARIABLE.findall(text) if variable != "extern" and name not in variable}
    return re.sub(r"\w+", lambda word: f"{name}_{word[0]}" if word[0] in variables else word[0], text)


def joined(texts):
    """One module of several for the target of the last one, which have no name in common."""
    head = "\n".join(match[0] for match in HEADER.finditer(texts[-1]))
    body = "\n".join(LINES.sub("", HEADER.sub("", text)) for text in texts)
    return f"{head}\n{body}"


def entries(ptx):
    return re.findall(r"\.entry\s+(\w+)", ptx)


KERNEL = re.compile(r"^\.text\.(?P<entry>\w+):\n(?P<rows>.*?)(?=^//-----|\Z)", re.M | re.S)
ROW = re.compile(r"^(?:(?:\.L_\w+|\$[\w$.]+):|\s+/\*(?P<address>[0-9a-f]{4,})\*/(?P<text>[^;\n]*);)", re.M)
"""A label, or an instruction."""
BRANCH = re.compile(r"(?:@\S+ )?(?:BRA|BRX|EXIT|RET|CALL|BSYNC|JMP)\b")


def straight_lines(ptx, arch):
    """(entry, runs) of each kernel of a module: runs of (text, control code) between labels and branches."""
    cubin, _ = toolchain.assembled(locate.program("ptxas"), ptx, arch)
    code = {section.name: section.content for section in elf.read(cubin).sections}
    # Without the flow of data, whose result the texts would have in comments.
    text = lines.printed(locate.program("nvdisasm"), cubin, ("-ndf",))
    for kernel in KERNEL.finditer(text):
        yield kernel["entry"], [*runs(kernel["rows"], control.codes(code[f".text.{kernel['entry']}"]))]


def runs(rows, codes):
    run = []
    for row in ROW.finditer(rows):
        if row["address"]:
            text = " ".join(row["text"].split())
            run.append((text, codes[int(row["address"], 16)]))
        if run and (not row["address"] or BRANCH.match(text)):
            yield run
            run = []
    yield run


def kernels(arch, by_target):
    """The `straight_lines` of the kernels of `modules` that `arch` takes."""
    ptx = joined([text for least, texts in by_target.items() if number(least) <= number(arch) for text in texts])
    kernels = dict(straight_lines(ptx, arch))
    assert kernels.keys() == set(entries(ptx))
    return kernels
