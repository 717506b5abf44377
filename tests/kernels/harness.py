"""The shipped pairs, and the facts known about each: constants in its own module here, test_NAME.py.

REFERENCE   a function of the pair's arguments as plain Python lists, and the size to hold it against
MUTANTS     (file, right, wrong): each breaks one instruction of a PTX file, and some check size must show it; `right`
            has one blank where the file aligns columns; a variant in `must_fail` has no mutants
REGISTERS   the most that any PTX file of the pair may take, 32 by default
TARGETS     the architectures that the pair is made for: elsewhere it is right, but may spill; by default all
SAME_BITS   False where the two sides compute in different ways, so that bits may differ
"""

import dataclasses
import functools
import importlib
import re
from unittest import mock

from ptxbench import discovery, toolchain, verify
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.discovery import specialisation
from ptxbench.errors import KernelError
from ptxbench.languages import REQUIRED
from ptxbench.metrics import has
from ptxbench.toolchain import lines
from tests.emulator.pairs import KERNELS, NAMES, load

BROKEN_FUEL = 1 << 16
"""Loop iterations of a warp of a broken kernel, which may wait forever; no check size asks for a tenth of it."""

PAIRS = {name: load(name) for name in NAMES}
PTX = sorted(source.path for pair in PAIRS.values() for source in pair.sources if source.language == "ptx")
SPECIALISED = sorted({*KERNELS.glob("ptx/*.ptx")} - {*PTX})
"""PTX for some targets that replaces a plain file there: NAME.sm_90a.ptx next to NAME.ptx."""
CUDA = sorted(KERNELS.glob("cuda/*.cu"))


def facts(name):
    """The module with the facts of a pair."""
    return importlib.import_module(f"tests.kernels.test_{name.replace('.', '_')}")


def fact(name, constant, default):
    return getattr(facts(name), constant, default)


def file_name(path):
    return path.name


def owner(path):
    """The pair that a kernel file belongs to."""
    return discovery.owner(path.stem, PAIRS)


def source_of(path):
    """The source that discovery makes from a kernel file; for CUDA C, the row without flags."""
    return next(source for source in PAIRS[owner(path)].sources if source.path == path and not source.flags)


def is_by_request(path):
    """Whether a run includes the variant of a kernel file only on request."""
    return source_of(path).variant in PAIRS[owner(path)].pair.by_request


def must_fail(path):
    """Whether the variant of a kernel file must be wrong."""
    return source_of(path).variant in PAIRS[owner(path)].pair.must_fail


def own_target(path):
    """The one target that a PTX file is for, such as sm_90a; None for a plain file."""
    return specialisation.split(path.stem)[1] or None


def target_of(text):
    return int(re.search(r"^\.target sm_(\d+)a?$", text, re.M)[1])


def build(source, arch, assembler="driver"):
    return toolchain.build_source(source, arch, assembler)


def reports(name, arch, *variants):
    """The figures of the tools for these variants of a pair, or for all in CUDA C and PTX: {variant: BuildReport}."""
    every = [source.variant for source in PAIRS[name].sources if source.language in REQUIRED]
    sources = [source for source in PAIRS[name].sources if source.variant in (variants or every)]
    with toolchain.builders() as pool:  # all at once, so that they share starts of nvdisasm
        builds = list(pool.map(lambda source: build(source, arch, "toolkit"), sources))
    return {source.variant: built.report for source, built in zip(sources, builds, strict=True)}


def code(build):
    """The machine instructions of a build, with all modifiers and operands, without predicates."""
    return [re.sub(r"^@!?\w+ ", "", instruction.text) for instruction in lines.with_lines(build).instructions]


def count(report, *opcodes):
    """How many SASS instructions of a build have each of these opcodes, as `--columns sass.OPCODE` counts them."""
    return [sum(number for name, number in report.opcodes.items() if has(name, opcode)) for opcode in opcodes]


@functools.lru_cache(maxsize=32)
def data(name, size, integers):
    """The arguments of a pair at one size, given as its items, and the expected result. A launch changes neither."""
    pair = PAIRS[name].pair
    arguments = pair.make_arguments(dict(size), seed=1, integers=integers)
    return arguments, verify.expect(pair, arguments, integers=integers)


def executed(name, source, arch, size, *, integers=False):
    """(outputs, verdict) of one variant of a pair at one size on the emulator."""
    pair = PAIRS[name].pair
    arguments, expected = data(name, tuple(size.items()), integers)
    built = build(source, arch)
    launch = built.launched(pair.launch_of(source.variant)(**size))
    outputs = EmulatorBackend(arch).run(built, launch, arguments, pair.outputs).outputs
    return outputs, verify.verify(outputs, expected, f"{source.path.name}, {size}").worst


def emulated_arch(name, lowest=90):
    """The architecture to run a pair on: sm_90, or the target of its PTX if that is higher, or the only one."""
    path = ptx_of(name).path
    return own_target(path) or f"sm_{max(lowest, target_of(path.read_text()))}"


def ptx_of(name):
    """The hand-written PTX of a pair itself."""
    return next(source for source in PAIRS[name].sources if source.variant == "ptx")


def is_found(name, file, text, folder):
    """Whether some check size of the pair shows that the PTX `text`, in place of `file`'s, is broken."""
    path = folder / file.name
    path.write_text(text)
    broken = dataclasses.replace(source_of(file), path=path, specialisations=())

    def is_broken(size, integers):
        try:
            return executed(name, broken, emulated_arch(name), size, integers=integers)[1]
        except KernelError as error:
            return str(error)

    pair = PAIRS[name].pair
    with mock.patch("ptxbench.emulator.launch.FUEL", BROKEN_FUEL):
        return any(
            is_broken(size, integers) for size in pair.check_sizes for integers in {False, pair.exact_on_integers}
        )


def judged(name, size, change):
    """The verdict on the reference of `size`, as the kernel's type holds it, after `change(array, bounds)`."""
    pair = PAIRS[name].pair
    _, expected = data(name, tuple(size.items()), integers=False)
    dtypes = {arg.name: arg.dtype for arg in pair.args if arg.name in expected.outputs}
    outputs = {key: value.astype(dtypes[key], order="C") for key, value in expected.outputs.items()}
    for key, array in outputs.items():
        change(array, expected.bounds[key])
    return verify.verify(outputs, expected, name).worst
