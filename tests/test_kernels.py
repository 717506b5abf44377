"""The shipped pairs: every file with the real NVRTC and ptxas on every target, references and tolerances by hand."""

import dataclasses
import math
import re
import subprocess
from fractions import Fraction

import numpy as np
import pytest

from ptxbench import discovery, signature, toolchain, verify
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.errors import KernelError, TargetMismatch
from ptxbench.pair import Out, Scalar
from ptxbench.toolchain import cubin, locate, nvrtc, ptxas

KERNELS = discovery.default_kernels()
PAIRS = {name: discovery.load(KERNELS, name) for name in discovery.find_pairs(KERNELS)}
PTX = sorted(KERNELS.glob("ptx/*.ptx"))
CUDA = sorted(KERNELS.glob("cuda/*.cu"))

TARGETS = (75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121)
"""Everything that CUDA 13 can build for. CUDA 12.9 lacks 88 and 110; `archs` leaves out what a tool does not know."""

MOST_REGISTERS = {"bigint_mul256": 48}
"""Where it is not 32: with more, 2048 threads no longer fit an SM."""

MINORS = {6: 5, 7: 8, 8: 8}
VERSIONS = [f"{major}.{minor}" for major, last in MINORS.items() for minor in range(last + 1)]
"""Every .version of PTX that a file here could have, in order."""


def file_name(path):
    return path.name


@pytest.fixture(scope="module", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTXBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def assembler():
    """ptxas, without which nothing here can be told."""
    tool = locate.program("ptxas")
    assert tool, locate.INSTALL
    return tool


@pytest.fixture(scope="module")
def archs(assembler):
    """The targets that this ptxas knows, lowest first."""
    told = subprocess.run([assembler, "--help"], capture_output=True, text=True, check=True).stdout
    known = [target for target in TARGETS if f"'sm_{target}'" in told]
    assert {75, 80, 90, 100, 120} <= set(known)
    return known


def target_of(text):
    return int(re.search(r"^\.target sm_(\d+)$", text, re.M)[1])


def version_of(text):
    return re.search(r"^\.version (\d+\.\d+)$", text, re.M)[1]


def lowest_target(path):
    """The lowest target of the pair that CUDA C `path` belongs to: that of its PTX."""
    name = discovery.owner(path.name.removesuffix(".cu"), PAIRS)
    return target_of((KERNELS / "ptx" / f"{name}.ptx").read_text())


# ---- every file, every target


@pytest.mark.parametrize("path", PTX, ids=file_name)
def test_ptx_is_ascii(path):
    assert ptxas.check_ascii(path.read_bytes(), path.name)


@pytest.mark.parametrize("path", PTX, ids=file_name)
def test_ptx_assembles_for_every_target_from_its_own_up_without_a_warning_or_a_spill(path, assembler, archs):
    text = path.read_text()
    name = discovery.owner(path.name.removesuffix(".ptx"), PAIRS)
    entry = name.replace(".", "_")
    for arch in [arch for arch in archs if arch >= target_of(text)]:
        _, messages = ptxas.assemble(assembler, text, f"sm_{arch}")
        assert ptxas.notable(messages, text, path, "ptx") == "", f"sm_{arch}"
        resources = ptxas.resources(messages, entry)
        assert resources.spill_store_bytes == resources.stack_bytes == 0, f"sm_{arch}"
        assert resources.registers <= MOST_REGISTERS.get(name, 32), f"sm_{arch}"


@pytest.mark.parametrize("path", PTX, ids=file_name)
def test_ptx_has_the_lowest_version_for_its_target(path, assembler, archs):
    text = path.read_text()
    version = version_of(text)
    lower = text.replace(f".version {version}", f".version {VERSIONS[VERSIONS.index(version) - 1]}")
    with pytest.raises(ptxas.RefusedError, match=r"does not support \.target|requires PTX ISA \.version"):
        ptxas.assemble(assembler, lower, f"sm_{archs[-1]}")


@pytest.mark.parametrize("path", PTX, ids=file_name)
def test_ptx_has_the_lowest_target_that_ptxas_can_build_for(path, assembler, archs):
    """Older targets than the lowest are accepted as text, but nothing can be built for them, nor tested."""
    text = path.read_text()
    target = target_of(text)
    if target > archs[0]:
        lower = text.replace(f".target sm_{target}", f".target sm_{archs[archs.index(target) - 1]}")
        with pytest.raises(ptxas.RefusedError, match=rf"requires \.target sm_{target}"):
            ptxas.assemble(assembler, lower, f"sm_{archs[-1]}")


@pytest.mark.parametrize("flags", [(), ("--use_fast_math",)], ids=["default", "fast"])
@pytest.mark.parametrize("path", CUDA, ids=file_name)
def test_cuda_c_compiles_and_assembles_for_every_target_of_its_ptx(path, flags, assembler, archs):
    library, source = nvrtc.find(), path.read_bytes()
    entry = discovery.owner(path.name.removesuffix(".cu"), PAIRS).replace(".", "_")
    for arch in [arch for arch in archs if arch >= lowest_target(path)]:
        text, log = nvrtc.translate(library, source, path, f"sm_{arch}", flags)
        assert log == ""
        _, messages = ptxas.assemble(assembler, text, f"sm_{arch}")
        assert ptxas.notable(messages, text, path, "cuda") == "", f"sm_{arch}"
        resources = ptxas.resources(messages, entry)
        assert resources.spill_store_bytes == resources.stack_bytes == 0, f"sm_{arch}"


def test_a_target_below_that_of_the_ptx_is_a_mismatch_not_a_fault():
    with pytest.raises(TargetMismatch, match=r"reduce_sum\.s32\.ptx:\d+: needs sm_80"):
        toolchain.build(
            KERNELS / "ptx" / "reduce_sum.s32.ptx", language="ptx", variant="ptx", entry="reduce_sum_s32", arch="sm_75"
        )


# ---- what the two sides have in common


@pytest.mark.parametrize("name", PAIRS)
def test_every_variant_takes_the_arguments_of_its_pair(name):
    found = PAIRS[name]
    for source in found.sources:
        built = toolchain.build(
            source.path,
            language=source.language,
            variant=source.variant,
            entry=source.entry,
            arch="sm_90",
            flags=source.flags,
            assembler="driver",
        )
        signature.check_signature(built.ptx, source.entry, found.pair.args, source.path)


@pytest.mark.parametrize("name", PAIRS)
def test_ptx_names_its_parameters_as_the_pair_does(name):
    text = (KERNELS / "ptx" / f"{name}.ptx").read_text()
    assert re.findall(r"\.param \.\w+ (\w+)", text) == [arg.name for arg in PAIRS[name].pair.args]


@pytest.mark.parametrize("name", PAIRS)
def test_both_sides_bound_the_block_that_the_pair_launches(name):
    pair = PAIRS[name].pair
    (threads,) = {math.prod(pair.launch(**size).block_xyz) for size in (*pair.check_sizes, *pair.bench_sizes)}
    for source in PAIRS[name].sources:
        bound = rf"__launch_bounds__\({threads}\)" if source.language == "cuda" else rf"\.maxntid {threads}, 1, 1"
        assert re.search(bound, source.path.read_text()), source.path


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90"])
def test_both_sides_of_triad_are_the_same_machine_code_up_to_sm_90(arch, assembler):
    """Its control row depends on it, and its header says so. NVRTC 12.9 and 13.5 were tried."""
    ptx, cuda = (
        (KERNELS / "ptx" / "triad.ptx").read_text(),
        nvrtc.translate(
            nvrtc.find(), (KERNELS / "cuda" / "triad.cu").read_bytes(), KERNELS / "cuda" / "triad.cu", arch, ()
        )[0],
    )

    def identity(text):
        binary, messages = ptxas.assemble(assembler, text, arch)
        return cubin.identity(cubin.read(binary), "triad", ptxas.resources(messages, "triad").registers, shared_bytes=0)

    assert identity(ptx) == identity(cuda)
    assert identity(ptx) != identity(ptx.replace("%s, %c_x, %b_x", "%s, %c_x, %b_y"))


# ---- on the emulator


def executed(name, source, arch, size, *, integers=False):
    """(outputs, verdict) of one variant of a pair at one size on the emulator."""
    pair = PAIRS[name].pair
    built = toolchain.build(
        source.path,
        language=source.language,
        variant=source.variant,
        entry=source.entry,
        arch=arch,
        flags=source.flags,
        assembler="driver",
    )
    arguments = pair.make_arguments(size, seed=1, integers=integers)
    expected = verify.expect(pair, arguments, integers=integers)
    outputs = EmulatorBackend(arch).run(built, pair.launch(**size), arguments, pair.outputs).outputs
    return outputs, verify.verify(outputs, expected, f"{source.path.name}, {size}").worst


@pytest.mark.parametrize("arch", ["sm_90", "sm_100"])  # of which NVRTC has a compiler each
@pytest.mark.parametrize("name", PAIRS)
def test_every_variant_agrees_with_the_reference_at_every_check_size(name, arch):
    pair = PAIRS[name].pair
    for source in PAIRS[name].sources:
        for size in pair.check_sizes:
            for integers in {False, pair.exact_on_integers}:
                assert executed(name, source, arch, size, integers=integers)[1] is None


@pytest.mark.parametrize("name", sorted(set(PAIRS) - {"softmax"}))  # which writes exp in three ways
def test_both_sides_agree_bit_for_bit(name):
    """reduce_sum too: its order of additions is the same, as long as CTAs add to the total in the same order."""
    for size in PAIRS[name].pair.check_sizes:
        sides = [executed(name, source, "sm_90", size)[0] for source in PAIRS[name].sources]
        for output in PAIRS[name].pair.outputs:
            assert len({side[output].tobytes() for side in sides}) == 1


MUTANTS = [
    ("triad",          "setp.ge.u32 %past_vectors",       "setp.gt.u32 %past_vectors"),  # a vector past the end
    ("triad",          "setp.ge.u32 %past_rest",          "setp.gt.u32 %past_rest"),
    ("triad",          "%rest, %n, 3",                    "%rest, %n, 1"),               # two elements never written
    ("triad",          "%s, %c_w, %b_w",                  "%s, %c_w, %b_z"),
    ("reduce_sum",     "%past_vectors, %i, %vectors",     "%past_vectors, %vectors, %i"),
    ("reduce_sum",     "%more, %i, %vectors",             "%more, %i, 0"),               # a single round
    ("reduce_sum",     "%sum, 2, 31, 0xffffffff",         "%sum, 4, 31, 0xffffffff"),    # a distance twice
    ("reduce_sum",     "%past_sums, %thread, 8",          "%past_sums, %thread, 4"),     # half of the warps
    ("reduce_sum",     "bar.sync 0;",                     ""),
    ("reduce_sum.s32", "%takes_rest, %first, %rest",      "%takes_rest, %rest, %first"),
    ("reduce_sum.s32", "%x_xyzw, %x_xy, %x_zw",           "%x_xyzw, %x_xy, %x_xy"),
    ("reduce_sum.s32", "@%is_first red",                  "red"),                        # eight times the sum
    ("transpose",      "%reads_24, %x_row_24, %rows",     "%reads_24, %x_row_16, %rows"),
    ("transpose",      "%in_rows, %y_column, %rows",      "%in_rows, %y_column, %columns"),
    ("transpose",      "mul.wide.u32 %y_step",            "mul.wide.u32 %x_step"),       # a step never computed
    ("transpose",      "bar.sync 0;",                     ""),
    ("histogram256",   "%x_w, 22",                        "%x_w, 14"),                   # a byte twice, one never
    ("histogram256",   "%rest, %n, 15",                   "%rest, %n, 7"),
    ("histogram256",   "red.shared.add.u32 [%bin], 1",    "st.shared.u32 [%bin], 1"),
    ("histogram256",   "red.global.add.u32",              "st.global.u32"),              # the last CTA's counts alone
    ("softmax",        "%first, %row, %columns",          "%first, %row, %thread"),
    ("softmax",        "setp.ge.u32 %idle, %thread",      "setp.gt.u32 %idle, %thread"),
    ("softmax",        "%sums, %lane_offset",             "%sums, %warp_offset"),        # a warp's sum for the CTA's
    ("softmax",        "mov.f32 %sum, 0f00000000",        "mov.f32 %sum, 0f3727c5ac"),   # 1e-5 a thread too much
    ("bigint_mul256",  "setp.ge.u32 %past_end, %i, %n",   "setp.gt.u32 %past_end, %i, %n"),
    ("bigint_mul256",  "addc.u32 %even_12, 0, 0",         "add.u32 %even_12, 0, 0"),     # a carry lost
    ("bigint_mul256",  "%odd_3, %a_3, %b_0, %odd_3",      "%odd_3, %a_3, %b_0, %odd_2"),
    ("bigint_mul256",  "addc.cc.u32 %p_9",                "add.cc.u32 %p_9"),            # seen by 2^224 + 1 alone
    ("bigint_mul256",  "%a_2, %p_2, %p_10",               "%a_2, %p_2, %p_9"),           # wrong from the second product
    ("bigint_mul256.rows", "addc.u32 %p_11, 0, 0",        "add.u32 %p_11, 0, 0"),
    ("bigint_mul256.rows", "madc.hi.cc.u32 %p_9",         "mad.hi.cc.u32 %p_9"),
    ("bigint_mul256.rows", "[%product_at + 32]",          "[%product_at + 16]"),         # four limbs never written
    ("rmsnorm",        "setp.ge.u32 %idle, %thread",      "setp.gt.u32 %idle, %thread"),
    ("rmsnorm",        "fma.rn.ftz.f32 %mean, %squares, %share, %eps", "mul.rn.ftz.f32 %mean, %squares, %share"),
    ("rmsnorm",        "%result, %scaled, %weight",       "%result, %scaled, %scale"),
    ("rmsnorm",        "and.b32 %sum_in, %thread, 7",     "and.b32 %sum_in, %thread, 3"),  # half of the warps
    ("rmsnorm",        "bar.sync 0;",                     ""),
    ("copy_hints",     "setp.lt.u32 %whole",              "setp.le.u32 %whole"),         # a vector past the end
    ("copy_hints",     "setp.ge.u32 %past_end",           "setp.gt.u32 %past_end"),
    ("copy_hints",     "[%x_at + 8192]",                  "[%x_at + 4096]"),
    ("copy_hints",     "add.u32 %i, %i, 256",             "add.u32 %i, %i, 512"),        # the last CTA stops early
    ("copy_hints.l2_128", "[%y_at + 12288]",              "[%y_at + 8192]"),
    ("copy_hints.l2_128", "mad.wide.u32 %y_at, %i, 16",   "mad.wide.u32 %y_at, %i, 32"),
    ("copy_hints.l2_128", "setp.lt.u32 %more",            "setp.le.u32 %more"),
    ("copy_hints.evict_first", "{%v1_x, %v1_y, %v1_z, %v1_w}", "{%v1_x, %v1_y, %v1_w, %v1_z}"),
    ("copy_hints.evict_first", "add.u64 %y_at, %y_at, 4096",   "add.u64 %y_at, %y_at, 2048"),
    ("copy_hints.evict_first", "add.u32 %fourth, %i, 768",     "add.u32 %fourth, %i, 512"),
    ("copy_hints.interleaved", "@!%whole bra",                 "@%whole bra"),
    ("copy_hints.interleaved", "mad.lo.u32 %i, %block, 1024",  "mad.lo.u32 %i, %block, 512"),  # half never written
    ("copy_hints.interleaved", "[%y_at + 4096], {%v1_x",       "[%y_at + 4096], {%v0_x"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "right", "wrong"), MUTANTS, ids=lambda value: value.strip()[:40])
def test_the_check_sizes_find_a_broken_kernel(name, right, wrong, tmp_path):
    """`name` is that of a file: of a pair, or of one of its variants."""
    file, name = KERNELS / "ptx" / f"{name}.ptx", discovery.owner(name, PAIRS)
    text = re.sub(" +", " ", file.read_text())  # without the alignment
    assert right in text
    assert is_found(name, file, text.replace(right, wrong, 1), tmp_path)


def is_found(name, file, text, folder):
    """Whether some check size of the pair shows that the PTX `text`, in place of `file`'s, is broken."""
    path = folder / file.name
    path.write_text(text)
    (source,) = (each for each in PAIRS[name].sources if each.path == file)
    broken = dataclasses.replace(source, path=path)

    def found(size):
        try:
            return executed(name, broken, "sm_90", size)[1]
        except KernelError as error:
            return str(error)

    return any(found(size) for size in PAIRS[name].pair.check_sizes)


WEAKER = {"lt": "le", "ge": "gt", "eq": "ne", "ne": "eq"}
COMPARISON = re.compile(r"setp\.(lt|ge|eq|ne)")
COMPARISONS = [
    pytest.param(name, source.path, match.start(1), id=f"{source.path.name}:{text[: match.start()].count(chr(10)) + 1}")
    for name, found in PAIRS.items()
    for source in found.sources
    if source.language == "ptx"
    for text in [source.path.read_text()]
    for match in COMPARISON.finditer(text)
]


@pytest.mark.parametrize(("name", "file", "at"), COMPARISONS)
def test_the_check_sizes_find_each_comparison_that_is_off_by_one(name, file, at, tmp_path):
    text = file.read_text()
    assert is_found(name, file, text[:at] + WEAKER[text[at : at + 2]] + text[at + 2 :], tmp_path)


# ---- references


def triad(b, c, s, n):
    return {"a": [float(Fraction(b[i]) + Fraction(s) * Fraction(c[i])) for i in range(n)]}


def reduce_sum(x, total, n):
    return {"total": [total[0] + math.fsum(x)]}


def reduce_sum_s32(x, total, n):
    return {"total": [total[0] + sum(x)]}


def transpose(x, rows, columns):
    return {"y": [[x[r][c] for r in range(rows)] for c in range(columns)]}


def histogram256(x, bins, n):
    for byte in x:
        bins[byte] += 1
    return {"bins": bins}


def softmax(x, columns):
    sums = [math.fsum(math.exp(value) for value in row) for row in x]
    return {"y": [[math.exp(value) / total for value in row] for row, total in zip(x, sums, strict=True)]}


def bigint_mul256(a, b, n, reps):
    def number(limbs):
        return sum(limb << 32 * k for k, limb in enumerate(limbs))

    rows = []
    for left, right in zip(map(number, a), map(number, b), strict=True):
        for _ in range(reps):
            product = left * right
            left = product % 2**256 ^ product // 2**256
        rows.append([product >> 32 * k & 0xFFFFFFFF for k in range(16)])
    return {"product": rows}


def rmsnorm(x, w, eps, columns):
    means = [math.fsum(value * value for value in row) / columns for row in x]
    return {
        "y": [
            [value * weight / math.sqrt(mean + eps) for value, weight in zip(row, w, strict=True)]
            for row, mean in zip(x, means, strict=True)
        ]
    }


def copy_hints(x, vectors):
    return {"y": [x[i] for i in range(4 * vectors)]}


REFERENCES = [
    ("triad",          triad,          {"n": 5}),
    ("reduce_sum",     reduce_sum,     {"n": 7}),
    ("reduce_sum.s32", reduce_sum_s32, {"n": 7}),
    ("transpose",      transpose,      {"rows": 2, "columns": 3}),
    ("histogram256",   histogram256,   {"n": 40, "percent": 40}),
    ("softmax",        softmax,        {"rows": 2, "columns": 5}),
    ("copy_hints",     copy_hints,     {"n": 48}),
    ("rmsnorm",        rmsnorm,        {"rows": 2, "columns": 5}),
    ("bigint_mul256",  bigint_mul256,  {"n": 10, "reps": 3}),
]  # fmt: skip


def test_every_pair_has_a_slow_reference():
    assert sorted(name for name, _, _ in REFERENCES) == sorted(PAIRS)


@pytest.mark.parametrize(("name", "slow", "size"), REFERENCES, ids=[name for name, _, _ in REFERENCES])
def test_the_reference_agrees_with_plain_python(name, slow, size):
    pair = PAIRS[name].pair
    inputs = verify.widen(pair, pair.make_arguments(size, seed=7))
    expected = slow(**{name: value.tolist() for name, value in inputs.items()})
    for output, value in pair.reference(**inputs).items():
        assert value == pytest.approx(np.array(expected[output]), rel=1e-14)
        assert np.count_nonzero(value)


# ---- tolerances


def judged(name, size, change):
    """The verdict on the reference of `size`, as the kernel's type holds it, after `change(array, bounds)`."""
    pair = PAIRS[name].pair
    arguments = pair.make_arguments(size, seed=1)
    expected = verify.expect(pair, arguments)
    dtypes = {arg.name: arg.dtype for arg in pair.args}
    outputs = {key: np.array(value, dtypes[key], order="C") for key, value in expected.outputs.items()}
    for key, array in outputs.items():
        change(array, expected.bounds[key])
    return verify.verify(outputs, expected, name).worst


def zero(array, bounds):
    array[...] = 0


def move_one(array, bounds):
    """Moves the last element, where a ragged edge would spoil it, by ten tolerances, or by the least that there is."""
    last = np.unravel_index(array.size - 1, array.shape)
    if array.dtype.kind in "iu":
        array[last] ^= 1
    else:
        array[last] += max(10 * bounds[last], np.spacing(np.abs(array[last])))


def spoil_one(array, bounds):
    array.reshape(-1)[-1] = np.nan


def leave(array, bounds):
    pass


def writes_floats(pair):
    return all(arg.dtype.kind == "f" for arg in pair.args if arg.name in pair.outputs)


CHECKS = [(name, size) for name in PAIRS for size in PAIRS[name].pair.check_sizes]


@pytest.mark.parametrize(("name", "size"), CHECKS, ids=str)
def test_a_tolerance_accepts_the_reference_and_rejects_zeros_and_one_element_that_moved(name, size):
    assert judged(name, size, leave) is None
    assert judged(name, size, zero)
    assert judged(name, size, move_one)


@pytest.mark.parametrize("name", [name for name in PAIRS if writes_floats(PAIRS[name].pair)])
def test_a_tolerance_rejects_a_nan(name):
    assert judged(name, PAIRS[name].pair.check_sizes[-1], spoil_one)


def test_triad_rejects_a_product_that_was_rounded_by_itself():
    pair = PAIRS["triad"].pair
    arguments = pair.make_arguments({"n": 65539}, seed=1)
    product = arguments["s"] * arguments["c"]
    assert product.dtype == np.float32
    assert verify.verify({"a": arguments["b"] + product}, verify.expect(pair, arguments), "triad").worst


@pytest.mark.parametrize("size", PAIRS["softmax"].pair.check_sizes, ids=str)
def test_softmax_accepts_honest_single_precision(size):
    """As the CUDA C of softmax.cu: a subtraction, a multiplication and 2^t, each rounded to f32."""
    pair = PAIRS["softmax"].pair
    arguments = pair.make_arguments(size, seed=1)
    x = arguments["x"]
    powers = np.exp2((x - x.max(axis=1, keepdims=True)) * np.float32(1.44269504))
    y = powers * (np.float32(1) / powers.sum(axis=1, keepdims=True))
    assert y.dtype == np.float32
    assert verify.verify({"y": y}, verify.expect(pair, arguments), "softmax").worst is None


# ---- sizes


@pytest.mark.parametrize("name", PAIRS)
def test_check_sizes_reach_several_ctas_and_stay_small(name):
    pair = PAIRS[name].pair
    launches = [pair.launch(**size) for size in pair.check_sizes]
    assert max(math.prod(launch.grid_xyz) for launch in launches) > 1
    for launch in launches:
        assert math.prod(launch.grid_xyz) * math.prod(launch.block_xyz) <= 1 << 16


@pytest.mark.parametrize("name", PAIRS)
def test_bench_sizes_begin_with_the_smallest(name):
    pair = PAIRS[name].pair
    work = [pair.compulsory_bytes(size) for size in pair.bench_sizes]
    assert work[0] == min(work)


@pytest.mark.parametrize("name", [name for name in PAIRS if PAIRS[name].pair.exact_on_integers])
def test_integers_of_the_check_sizes_are_exact_in_any_order(name):
    """No partial sum of any order exceeds the sum of the absolute values, which f32 must hold exactly."""
    pair = PAIRS[name].pair
    for size in pair.check_sizes:
        arguments = pair.make_arguments(size, seed=1, integers=True)
        inputs = [arguments[arg.name] for arg in pair.args if not isinstance(arg, Out | Scalar)]
        assert sum(float(np.sum(np.abs(each), dtype=np.float64)) for each in inputs) < 1 << 24
