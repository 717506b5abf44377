"""The rows in Triton, where it is installed: they are right, what their pages claim, and what a file may not have.

    pip install 'ptxbench[triton]'

Triton takes 1 GB, so it is not in the development group. tests/toolchain/test_triton.py needs no Triton.
"""

import dataclasses
import re

import pytest

from ptxbench import emulator
from ptxbench.errors import CompileError, KernelError
from ptxbench.metrics import BY_NAME
from ptxbench.toolchain import triton
from ptxbench.toolchain.python_source import installed
from tests.kernels.harness import KERNELS, PAIRS, build, count, executed, source_of
from tests.toolchain.test_triton import SCALE, SIGNATURE
from tools.counted_pages import Block, counted

pytestmark = pytest.mark.skipif(installed("triton") is None, reason=f"Triton is not installed: {triton.INSTALL}")

ROWS = {path.name.removesuffix(".triton.py"): source_of(path) for path in sorted(KERNELS.glob("triton/*.triton.py"))}


def test_seven_pairs_have_a_row_that_runs_by_request():
    assert [*ROWS] == ["hgemm_wgmma", "histogram256", "reduce_sum", "rmsnorm", "softmax", "transpose", "triad"]
    assert all("triton" in PAIRS[name].pair.by_request for name in ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_right_at_every_check_size(name):
    pair = PAIRS[name].pair
    for size in pair.check_sizes:
        for integers in {False, pair.exact_on_integers}:
            assert not executed(name, ROWS[name], "sm_90", size, integers=integers)[1]


# hgemm_wgmma takes a minute to compile for the sanitizer.
SANITIZED = [("triad", -1), ("reduce_sum", -2), ("transpose", 5), ("histogram256", 3), ("softmax", 4), ("rmsnorm", 4)]


@pytest.mark.parametrize(("name", "number"), SANITIZED)
def test_the_sanitizer_finds_nothing_in_it(name, number):
    built, pair = build(ROWS[name], "sm_90"), PAIRS[name].pair
    size = pair.check_sizes[number]
    launch = built.launched(pair.launch_of("triton")(**size))
    extent = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
    arguments = built.arguments(pair.make_arguments(size, seed=1))
    options = {"args": [*arguments.values()], "names": [*arguments], "arch": built.arch}
    assert emulator.run(built.ptx, built.entry, sanitize=True, **options, **extent).findings == ()


BROKEN = [
    ("triad", "first + TILE <= n", "first < n"),
    ("reduce_sum", "tl.program_id(0) == 0", "tl.program_id(0) == 1"),
    ("transpose", "column < columns", "column <= columns"),
    ("histogram256", "BINS, mask=inside)", "BINS)"),
    ("softmax", "(columns == whole) & (columns <= 1024)", "columns <= 1024"),
    ("rmsnorm", "/ columns + eps", "/ columns - eps"),
    ("hgemm_wgmma", "(slab + depth < k)[:, None] & (column < n)[None, :]", "(column < n + 8)[None, :]"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), BROKEN, ids=[row[0] for row in BROKEN])
def test_the_check_sizes_find_a_broken_kernel(name, right, wrong, tmp_path):
    row, pair = ROWS[name], PAIRS[name].pair
    text = row.path.read_text()
    assert right in text
    path = tmp_path / row.path.name
    path.write_text(text.replace(right, wrong))
    broken = dataclasses.replace(row, path=path)

    def is_wrong(size):
        try:
            return executed(name, broken, "sm_90", size)[1]
        except KernelError as error:
            return str(error)

    assert any(is_wrong(size) for size in pair.check_sizes)


# ---- what the pages claim

SAME = {"ptx_global_sectors": (1, 1), "ptx_global_load_requests": (1, 1)}
CLAIMS = [
    # name, size, and for each metric the bounds of what the row has in multiples of `cuda`
    ("triad", "n=65536", {**SAME, "sass_executed": (0.55, 0.65)}),
    ("reduce_sum", "n=4194304,ctas=256", {**SAME, "sass_executed": (1.3, 1.45)}),
    ("reduce_sum", "n=4194304,ctas=16", {**SAME, "sass_executed": (1.1, 1.25)}),
    ("transpose", "rows=256,columns=256", {**SAME, "sass_executed": (1.1, 1.25)}),
    ("histogram256", "n=1048576,percent=0,ctas=64",
     {**SAME, "sass_executed": (1.6, 1.8), "ptx_atomic_shared_requests": (1, 1), "ptx_barriers": (6, 6)}),
    ("softmax", "rows=8,columns=8192", {**SAME, "sass_executed": (1.1, 1.3), "ptx_barriers": (1.5, 1.5)}),
    ("rmsnorm", "rows=16,columns=8192", {**SAME, "sass_executed": (1.3, 1.5), "ptx_barriers": (1, 1)}),
    ("hgemm_wgmma", "m=256,n=256,k=512", {"ptx_global_sectors": (1, 1), "ptx_mma_operations": (0, 0)}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "size", "claims"), CLAIMS)
def test_a_row_executes_what_its_page_says(name, size, claims):
    cell = counted(Block(name, ("cuda", "triton"), "sm_90", tuple(claims), size))
    for metric, (low, high) in claims.items():
        before, after = (BY_NAME[metric].of(cell, variant) for variant in ("cuda", "triton"))
        assert low * before <= after <= high * before, metric


OPCODES = [
    ("triad",        "sm_90",  {"LDG.128": 4, "LDG": 20, "STG.128": 2, "STG": 10}),
    ("transpose",    "sm_90",  {"LDG.128": 2, "LDG": 10, "STG.128": 2, "STG": 10}),
    ("hgemm_wgmma",  "sm_90",  {"HGMMA": 4, "HMMA": 0, "LDGSTS": 24, "UTMALDG": 0}),
    ("hgemm_wgmma",  "sm_80",  {"HMMA": 64, "HGMMA": 0}),
    ("hgemm_wgmma",  "sm_100", {"UTCHMMA": 8, "HMMA": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arch", "opcodes"), OPCODES)
def test_the_machine_code_has_what_its_page_says(name, arch, opcodes):
    """With Triton and ptxas of the versions that the pages are of."""
    built = build(ROWS[name], arch, "toolkit")
    if built.report.compiler == "Triton 3.9.0":
        assert dict(zip(opcodes, count(built.report, *opcodes), strict=True)) == opcodes


def test_one_mask_for_all_tiles_has_no_access_of_16_bytes(tmp_path):
    row = ROWS["triad"]
    path = tmp_path / row.path.name
    path.write_text(row.path.read_text().replace("if first + TILE <= n:", "if False:"))
    built = build(dataclasses.replace(row, path=path), "sm_90", "toolkit")
    assert count(built.report, "LDG.128", "LDG") == [0, 16]


# ---- what is refused

AT = r"scale\.triton\.py"
REFUSED = [
    # first: all others then need another process
    ("death",       ("import triton\n", "import triton, os; os._exit(7)\n"),
     rf"{AT}: Triton's process ended with exit status 7 while it compiled this file\."),
    ("syntax",      ("    i =", "   i ="), rf"{AT}:9: IndentationError: unexpected indent\."),
    ("at import",   ("import triton\n", "import triton; 1 / 0\n"), rf"{AT}:1: ZeroDivisionError: division by zero\."),
    ("other name",  ("def scale", "def scales"),
     rf"{AT} has no function 'scale'; it has scales\. Name it after its pair\."),
    ("no kernel",   (SCALE[SCALE.index("@") : SCALE.index("def")], ""),
     rf"{AT}: 'scale' is function; expected @triton\.jit, alone or under @triton\.autotune\."),
    ("parameters",  ("(x, y, n, TILE", "(x, n, TILE"),
     rf"{AT}:7: 'scale' has 2 parameters, its pair has 3: x, y, n\. They must agree, in order\."),
    ("no value",    ('{"TILE": 512}', "{}"),
     rf"{AT}:7: the constant TILE of 'scale' has no value\. Give it one in @triton\.autotune\(configs=\["
     r"triton\.Config\(\{'TILE': \.\.\.\}\)\], key=\[\]\)\."),
    ("no constant", ('"TILE": 512', '"TILE": 512, "SIZE": 1'),
     rf"{AT}:7: 'scale' has no parameter SIZE, to which its triton\.Config gives a value\."),
    ("tuning",      ("num_warps=4)]", "num_warps=4), triton.Config({})]"),
     rf"{AT}: @triton\.autotune of 'scale' has 2 configurations; expected 1, because none is timed here\."),
    ("cluster",     ("num_warps=4", "num_ctas=2"),
     rf"{AT}: num_ctas of 'scale' is 2; expected 1: clusters are not supported\."),
    ("hook",        ("num_warps=4", "pre_hook=print"),
     rf"{AT}: the configuration of 'scale' has a pre_hook, which no launch here calls\. Leave it out\."),
    ("no name",     ("tl.max(tl.abs", "tl.max(abz"), rf"{AT}:10: .*abz is not defined.*\."),
    ("in a callee", ("@triton.autotune", "@triton.jit\ndef f(v):\n    return v + w\n\n\n@triton.autotune"),
     None),
    ("type",        ("i < n, other", "i < x, other"), rf"{AT}:9: .*\."),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_fault_is_one_sentence_with_its_line(edit, message):
    assert edit[0] in SCALE
    text = SCALE.replace(*edit)
    if message is None:
        text, message = text.replace("value / tl.max", "f(value) / tl.max"), rf"{AT}:7: .*\bw is not defined.*\."
    with pytest.raises(CompileError, match=f"^{message}$") as refused:
        triton.compiled(text.encode(), "scale.triton.py", "scale", "sm_90", SIGNATURE)
    assert "\n" not in str(refused.value)


def test_the_recorded_answer_is_what_triton_answers_today(monkeypatch, tmp_path):
    """Without variables of the environment, which would change it. Another version may answer something else."""
    triton.PROCESS.stop()
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("TRITON_F32_DEFAULT", "ieee")
    monkeypatch.setenv("TRITON_DISABLE_LINE_INFO", "1")
    output = triton.compiled(SCALE.encode(), "scale.triton.py", "scale", "sm_90", SIGNATURE)
    if output.how == "Triton 3.9.0":
        recorded = (KERNELS.parent / "tests" / "toolchain" / "triton" / "scale.ptx").read_text()
        monkeypatch.setattr("ptxbench.cache.remember_once", lambda key, make: make())
        answer = {"ptx": recorded, "shared_bytes": 16, "workspace_bytes": 0}
        monkeypatch.setattr(triton.PROCESS.__class__, "ask", lambda process, request, file: answer)
        again = triton.compiled(SCALE.encode(), "scale.triton.py", "scale", "sm_90", SIGNATURE)
        heading = recorded[: recorded.index("//\n")]
        assert again == dataclasses.replace(output, ptx=heading + output.ptx)


TENSOR_DESCRIPTOR = """\
import triton
import triton.language as tl


@triton.jit
def copy(x, y):
    tile = tl.make_tensor_descriptor(x, shape=[64, 64], strides=[64, 1], block_shape=[32, 32]).load([0, 0])
    lane = tl.arange(0, 32)
    tl.store(y + 32 * lane[:, None] + lane[None, :], tile)
"""


def test_a_tensor_descriptor_that_a_kernel_makes_is_refused():
    types = (("x", "float32*"), ("y", "float32*"))
    with pytest.raises(CompileError, match=r"^copy\.triton\.py: .* needs a workspace of 128 bytes of global memory"):
        triton.compiled(TENSOR_DESCRIPTOR.encode(), "copy.triton.py", "copy", "sm_90", types)


def test_a_row_assembles_for_the_first_and_the_last_targets():
    for arch in ("sm_75", "sm_120f"):
        assert re.match(r"sm_(75|120a)$", build(ROWS["reduce_sum"], arch, "toolkit").arch)
