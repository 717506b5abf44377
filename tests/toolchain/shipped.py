"""The CUDA C of the shipped kernels as a few modules of PTX, so that a target costs one run of ptxas, not fifty."""

import re

from ptxbench import toolchain
from ptxbench.discovery import default_kernels
from ptxbench.errors import CompileError
from ptxbench.toolchain import lines, locate

HEADER = re.compile(r"^\.(version|target|address_size)\b.*$", re.M)
LINES = re.compile(r"^\s*\.(?:file|loc)\b[^\n]*$|^\s*\.section\s+\.debug_str\b.*?^\s*\}", re.M | re.S)
VARIABLE = re.compile(r"^(?:\.visible |\.weak )?\.(?:global|const|shared)\b[^;=\[\n]*?\s(\w+)\s*[\[=;]", re.M)
LEAST = ("sm_75", "sm_80", "sm_90")


def number(arch):
    return int(arch.removeprefix("sm_"))


def modules(wanted=None):
    """PTX by the lowest target that accepts it, with all kernels of that target; `wanted`: only these files."""
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
    return {arch: joined(each) for arch, each in texts.items() if each}


def renamed(ptx, entry, name):
    """The same with another entry, and variables of the module by names of their own."""
    text = ptx.replace(entry, name)
    for variable in set(VARIABLE.findall(text)) - {"extern"}:
        if name not in variable:
            text = re.sub(rf"\b{re.escape(variable)}\b", f"{name}_{variable}", text)
    return text


def joined(texts):
    """One module of several, which have no name in common."""
    head = "\n".join(match[0] for match in HEADER.finditer(texts[0]))
    body = "\n".join(LINES.sub("", HEADER.sub("", text)) for text in texts)
    return f"{head}\n{body}"


def printed(ptx, arch):
    """The output of `nvdisasm -c -hex` for a module."""
    cubin, _ = toolchain.assembled(locate.program("ptxas"), ptx, arch)
    return lines.printed(locate.program("nvdisasm"), cubin, ("-hex",))


def entries(ptx):
    return re.findall(r"\.entry\s+(\w+)", ptx)


def kernels(arch, found):
    """(entry, rows) of all kernels of the modules `found` that `arch` takes."""
    for least, ptx in found.items():
        if number(least) <= number(arch):
            text = printed(ptx, arch)
            for entry in entries(ptx):
                yield entry, list(lines.section(text, entry))
