"""Every kernel file with the real NVRTC and ptxas on every target, and the common parts of the two sides of a pair."""

import math
import re
import subprocess

import pytest

from ptxbench import signature, toolchain
from ptxbench.discovery import specialisation
from ptxbench.languages import has_own_threads
from ptxbench.toolchain import locate, ptxas
from ptxbench.toolchain.python_source import installed
from tests.kernels.harness import (
    CUDA,
    PAIRS,
    PTX,
    SPECIALISED,
    build,
    emulated_arch,
    fact,
    file_name,
    is_by_request,
    own_target,
    owner,
    ptx_of,
    source_of,
    target_of,
)

TARGETS = (75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121)
"""All targets of CUDA 13. CUDA 12.9 lacks 88 and 110; `archs` leaves out targets that a tool does not know."""

LOCKED = ("90a", "121a")
"""Two of those that bind to one architecture; plain PTX has to go there too."""

MINORS = {6: 5, 7: 8, 8: 8}
VERSIONS = [f"{major}.{minor}" for major, last in MINORS.items() for minor in range(last + 1)]
"""Every .version of PTX that a file here could have, in order."""


@pytest.fixture(scope="module")
def assembler():
    """ptxas; every test here needs it."""
    tool = locate.program("ptxas")
    assert tool, locate.INSTALL
    return tool


@pytest.fixture(scope="module")
def archs(assembler):
    """The targets that this ptxas knows, lowest first."""
    help_text = subprocess.run([assembler, "--help"], capture_output=True, text=True, check=True).stdout
    known = [target for target in TARGETS if f"'sm_{target}'" in help_text]
    assert {75, 80, 90, 100, 120} <= set(known)
    return known


def version_of(text):
    return re.search(r"^\.version (\d+\.\d+)$", text, re.M)[1]


def lowest_target(path):
    """The lowest target of the pair that CUDA C `path` belongs to: that of its PTX."""
    return target_of(ptx_of(owner(path)).path.read_text())


# ---- every file, every target


@pytest.mark.parametrize("path", [*PTX, *SPECIALISED], ids=file_name)
def test_ptx_is_ascii(path):
    assert ptxas.check_ascii(path.read_bytes(), path.name)


@pytest.mark.parametrize("path", PTX, ids=file_name)
def test_ptx_assembles_for_every_target_from_its_own_up_without_a_warning_or_a_spill(path, assembler, archs):
    text = path.read_text()
    name, entry = owner(path), source_of(path).entry
    plain = [arch for arch in archs if arch >= target_of(text) and arch in fact(name, "TARGETS", TARGETS)]
    later = [f"sm_{arch}" for arch in (*plain, *(target for target in LOCKED if int(target[:-1]) in plain))]
    for arch in [own_target(path)] if own_target(path) else later:
        _, messages = toolchain.assembled(assembler, text, arch)
        assert ptxas.notable(messages, text, path, "ptx") == "", arch
        resources = ptxas.resources(messages, entry)
        assert resources.spill_store_bytes == resources.stack_bytes == 0, arch
        assert resources.registers <= fact(name, "REGISTERS", 32), arch


def test_ptx_for_some_targets_only_assembles_there_without_a_warning(assembler):
    for path in SPECIALISED:
        text, target = path.read_text(), specialisation.split(path.stem)[1]
        _, messages = toolchain.assembled(assembler, text, target)
        assert ptxas.notable(messages, text, path, "ptx") == "", path.name


@pytest.mark.parametrize("path", PTX, ids=file_name)
def test_ptx_has_the_lowest_version_for_its_target(path, assembler, archs):
    text = path.read_text()
    version = version_of(text)
    lower = text.replace(f".version {version}", f".version {VERSIONS[VERSIONS.index(version) - 1]}")
    with pytest.raises(ptxas.RefusedError, match=r"does not support \.target|requires PTX ISA \.version"):
        ptxas.assemble(assembler, lower, own_target(path) or f"sm_{archs[-1]}")


@pytest.mark.parametrize("path", [path for path in PTX if not own_target(path)], ids=file_name)
def test_ptx_has_the_lowest_target_that_ptxas_can_build_for(path, assembler, archs):
    """Targets older than the lowest are accepted as text, but cannot be built or tested."""
    text = path.read_text()
    target = target_of(text)
    if target > archs[0]:
        lower = text.replace(f".target sm_{target}", f".target sm_{archs[archs.index(target) - 1]}")
        with pytest.raises(ptxas.RefusedError, match=rf"requires \.target sm_{target}"):
            ptxas.assemble(assembler, lower, f"sm_{archs[-1]}")


@pytest.mark.parametrize(
    "flags",
    [pytest.param((), id="default"), pytest.param(("--use_fast_math",), id="fast", marks=pytest.mark.long)],
)
@pytest.mark.parametrize("path", CUDA, ids=file_name)
def test_cuda_c_compiles_and_assembles_for_every_target_of_its_ptx(path, flags, assembler, archs):
    """With fast math, and of variants by request, for the oldest and the newest of them."""
    source = path.read_bytes()
    entry = source_of(path).entry
    targets = fact(owner(path), "TARGETS", TARGETS)
    chosen = [arch for arch in archs if arch >= lowest_target(path) and arch in targets]
    few = [f"sm_{arch}" for arch in ({chosen[0], chosen[-1]} if flags or is_by_request(path) else chosen)]
    own = own_target(ptx_of(owner(path)).path)  # elsewhere the pair is not run
    for arch in [own] if own else few:
        output = toolchain.compiled(source, path, arch, flags)
        assert output.log == ""
        _, messages = toolchain.assembled(assembler, output.ptx, arch)
        assert ptxas.notable(messages, output.ptx, path, "cuda") == "", arch
        resources = ptxas.resources(messages, entry)
        assert resources.spill_store_bytes == resources.stack_bytes == 0, arch


# ---- what the two sides have in common


@pytest.mark.parametrize("name", PAIRS)
def test_every_variant_takes_the_arguments_of_its_pair(name):
    loaded = PAIRS[name]
    for source in loaded.sources:
        if source.language == "triton" and installed("triton") is None:
            continue  # tests/kernels/test_triton.py has these where Triton is installed
        built = build(source, emulated_arch(name))
        args = [*built.arguments({arg.name: arg for arg in loaded.pair.args}).values()]
        signature.check_signature(built.declaration, source.entry, args, source.path)


@pytest.mark.parametrize("name", PAIRS)
def test_ptx_names_its_parameters_as_the_pair_does(name):
    text = ptx_of(name).path.read_text()
    assert re.findall(r"\.param (?:\.align \d+ )?\.\w+ (\w+)", text) == [arg.name for arg in PAIRS[name].pair.args]


@pytest.mark.parametrize("name", PAIRS)
def test_both_sides_bound_the_block_that_the_pair_launches(name):
    pair = PAIRS[name].pair
    sizes = (*pair.check_sizes, *pair.bench_sizes)
    for source in PAIRS[name].sources:
        if has_own_threads(source.language):
            continue
        (threads,) = {math.prod(pair.launch_of(source.variant)(**size).block_xyz) for size in sizes}
        text = build(source, emulated_arch(name)).ptx  # for CUDA C, NVRTC's form of __launch_bounds__
        assert re.search(rf"^\.maxntid {threads}( /\*= \w+ \*/)?(, 1, 1)?$", text, re.M), source.path
