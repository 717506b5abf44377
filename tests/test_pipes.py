"""The rates of pipes against ptxas itself: how many cycles it puts between independent instructions.

A ptxas that schedules an architecture differently, or a mistyped rate, fails here.
"""

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from ptxbench import pipes, toolchain
from ptxbench.saved_runs import read_run
from tests.toolchain import shipped
from tests.toolchain.issue import neighbours

COPIES = 8
"""Independent values, so that no instruction waits for the one before it."""

# name, the operation on `unsigned a`; f(a) is a as a float, u(x) the reverse
FLOAT = {
    "ffma": "a = u(fmaf(f(a), c, d))",
    "fadd": "a = u(__fadd_rn(f(a), c))",
    "imad": "a = a * i + j",
    "idp": "a = __dp4a((int)a, (int)i, (int)a)",
    "lop3": "a = (a & i) ^ j",
    "shf": "a = __funnelshift_l(a, a, i)",
    "iadd3": "a = a + i - j",
    "prmt": "a = __byte_perm(a, i, j)",
    "isetp": "a = (int)a > (int)i ? j : a",
    "fsetp": "a = f(a) > c ? j : a",
    "fmnmx": "a = u(fminf(f(a), c))",
    "lea": "a = (a << 3) + i",
    "iabs": "a = abs((int)a)",
    "i2fp": "a = u(__int2float_rn((int)a))",
    "vabsdiff4": "a = __vabsdiffu4(a, i)",
    "hfma2": 'asm("fma.rn.f16x2 %0, %0, %1, %2;" : "+r"(a) : "r"(i), "r"(j))',
    "mufu": 'asm("{.reg .f32 t; mov.b32 t, %0; ex2.approx.ftz.f32 t, t; mov.b32 %0, t;}" : "+r"(a))',
    "popc": "a = __popc(a) + i",
    "flo": "a = __clz(a) + i",
    "brev": "a = __brev(a) ^ i",
    "f2i": "a = __float2int_rz(f(a))",
}
BESIDE = ("lop3", "imad", "mufu")
"""Every other operation is mixed with these, so that operations on the same pipe become neighbours."""


def kernel(name, value, copies, operations):
    """CUDA C of independent chains, which apply the operations in turn."""
    names = [f"a{n}" for n in range(copies * len(operations))]
    loads = ", ".join(f"{name} = p[at + {n}]" for n, name in enumerate(names))
    work = "\n".join(
        re.sub(r"\ba\b", names[len(operations) * n + k], operation) + ";"
        for _ in range(4)
        for n in range(copies)
        for k, operation in enumerate(operations)
    )
    stores = "\n".join(f"q[at + {n}] = {name};" for n, name in enumerate(names))
    return (
        f'extern "C" __global__ void {name}(const {value}* p, {value}* q, float c, float d, unsigned i, unsigned j, '
        f"double x, double y)\n{{\nunsigned at = threadIdx.x * {len(names)};\n{value} {loads};\n{work}\n{stores}\n}}\n"
    )


def source():
    """One file with all kernels."""
    text = "#define f(a) __uint_as_float(a)\n#define u(x) __float_as_uint(x)\n"
    for name, operation in FLOAT.items():
        text += kernel(name, "unsigned", 2 * COPIES, [operation])
        for other in BESIDE:
            text += kernel(f"{name}_{other}", "unsigned", COPIES, [operation, FLOAT[other]])
    return text + kernel("dfma", "double", COPIES, ["a = fma(a, x, y)"])


@pytest.fixture(scope="module")
def micro(tmp_path_factory):
    """The instructions of each kernel of `source` on an architecture."""
    path = tmp_path_factory.mktemp("micro") / "micro.cu"
    path.write_text(source())

    def kernels(arch):
        build = toolchain.build(path, language="cuda", variant="cuda", entry="dfma", arch=arch, assembler="driver")
        return dict(shipped.straight_lines(build.ptx, arch)).values()

    return kernels


def require_cadence(arch, kernels, rates):
    """Every rate from ptxas is the distance that it keeps between neighbours of that pipe; none are closer."""
    wanted = {name: rate.cycles for name, rate in rates.items() if rate.state == pipes.PTXAS}
    seen, least, closer = Counter(), defaultdict(lambda: 99), []
    for name, first, second, stall in neighbours(kernels, arch):
        if name in wanted:
            seen[name] += 1
            least[name] = min(least[name], stall)
            if stall < wanted[name]:
                closer.append((name, first, second, stall))
    assert closer == []
    assert {name: least[name] for name in wanted} == wanted
    assert all(seen[name] >= 10 for name in wanted), seen


@pytest.mark.parametrize("arch", ["sm_86", pytest.param("sm_90", marks=pytest.mark.long)])
def test_ptxas_issues_to_each_pipe_as_the_table_says(arch, micro):
    require_cadence(arch, micro(arch), pipes.rates(arch))


@pytest.mark.long
@pytest.mark.parametrize("arch", sorted(set(pipes.RATES) - {"sm_86", "sm_90"}))
def test_ptxas_issues_to_each_pipe_of_the_other_architectures_as_the_table_says(arch, micro):
    require_cadence(arch, micro(arch), pipes.rates(arch))


def test_every_opcode_of_the_committed_baselines_has_a_pipe():
    """With those of sm_90a, for which tests/toolchain/test_control.py builds nothing."""
    for path in (Path(__file__).parents[1] / "baselines").glob("*.json"):
        for cell in read_run(path).cells:
            for variant, result in cell.variants.items():
                for name in result.build.opcodes if result.build else ():
                    used = pipes.pipe(name, cell.arch)
                    assert used, f"{cell.pair} {variant}: {name}"
                    assert used != pipes.TENSOR or pipes.multiply_adds(name), f"{cell.pair} {variant}: {name}"


def test_a_rate_that_ptxas_does_not_keep_is_found(micro):
    kernels = micro("sm_86")
    for name, cycles in ((pipes.ALU, 1), (pipes.ALU, 4), (pipes.FMA, 2), (pipes.XU, 4)):
        wrong = {**pipes.rates("sm_86"), name: pipes.Rate(cycles, pipes.PTXAS, "")}
        with pytest.raises(AssertionError):
            require_cadence("sm_86", kernels, wrong)


def test_every_rate_has_a_source_and_a_status():
    rates = [rate for table in pipes.RATES.values() for rate in table.values()]
    for rate in (*rates, pipes.ISSUE_SLOTS, pipes.SHARED_WAVEFRONTS, pipes.L1_SECTORS):
        assert rate.cycles > 0
        assert rate.source
        assert rate.state in (pipes.PTXAS, pipes.PUBLISHED, pipes.UNCHECKED)
    assert {frozenset(table) for table in pipes.RATES.values()} == {frozenset(pipes.PIPES) - {pipes.ISSUE}}


def test_no_opcode_has_two_pipes():
    names = Counter(name for pipe in pipes.PIPES.values() for name in pipe.split())
    assert [name for name, count in names.items() if count > 1] == []


# opcode, architecture, its pipe
PIPES = [
    ("LDG.E.128.CONSTANT", "sm_90",  pipes.LSU),
    ("IMAD.MOV.U32",       "sm_90a", pipes.IMAD),
    ("ISETP.GE.U32.AND",   "sm_90",  pipes.ALU),
    ("ISETP.GE.U32.AND",   "sm_120", pipes.ISSUE),   # every cycle there
    ("HADD2.F32",          "sm_86",  pipes.ISSUE),   # a conversion, besides the packed ones
    ("HADD2",              "sm_86",  pipes.FP16),
    ("F2F.F64.F32",        "sm_80",  pipes.ISSUE),
    ("F2F.F16.F32",        "sm_80",  pipes.XU),
    ("QGMMA.64x128x32.F32.E4M3.E4M3", "sm_90a", pipes.TENSOR),
    ("UTMACCTL.PF",        "sm_90a", pipes.ISSUE),
    ("FROB.E",             "sm_90",  None),          # named, never guessed
]  # fmt: skip


@pytest.mark.parametrize(("name", "arch", "expected"), PIPES)
def test_the_pipe_of_an_opcode_follows_its_name_with_exceptions(name, arch, expected):
    assert pipes.pipe(name, arch) == expected


# opcode, multiply-adds of f16 that it is worth
MATRICES = [
    ("HMMA.16816.F32",          2048),
    ("HMMA.16816.F32.BF16",     2048),
    ("HMMA.1688.F16",           1024),
    ("HMMA.1688.F32.TF32",      2048),   # half the rate
    ("HMMA.SP.16832.F32",       2048),   # half of it is zeros
    ("IMMA.16832.S8.S8",        2048),   # twice the rate
    ("IMMA.8816.S8.S8.SAT",     512),
    ("IMMA.16864.S4.S4",        2048),
    ("BMMA.168256.AND.POPC",    2048),
    ("DMMA.8x8x4",              4096),
    ("QMMA.16832.F32.E4M3.E4M3", 2048),
    ("HGMMA.64x128x16.F32",     32768),  # of a quarter of the 64 rows: each warp executes it
    ("HGMMA.64x256x8.F32.TF32", 65536),
    ("QGMMA.64x128x32.F32.E4M3.E4M3", 32768),
    ("IGMMA.64x8x32.S8.S8",     2048),
    ("HGMMA.64x128.F32",        None),
    ("HMMA.9999.F32",           None),
    ("XMMA.16816.F32",          None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "worth"), MATRICES)
def test_a_matrix_instruction_is_worth_the_multiply_adds_of_its_shape_by_its_type(name, worth):
    assert pipes.multiply_adds(name) == worth
