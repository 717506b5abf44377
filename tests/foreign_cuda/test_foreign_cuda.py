"""CUDA C files as other people write them, with host code and host headers: `exec` runs their kernels without an edit.

The files are ours, in the style of public repositories. Each case gives a kernel's arguments and, by NumPy, what its
arrays must hold afterwards.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import erfc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from ptxbench import toolchain
from ptxbench.toolchain import cubin, cuda_c, locate
from ptxbench.toolchain.options import SourceOptions

FOLDER = Path(__file__).parent
INCLUDE = ("-I", FOLDER / "include")
RANDOM = np.random.default_rng(5)


@dataclass(frozen=True)
class Case:
    """A launch of one kernel. `arguments`: arrays, or text for scalars and structs. `expected`: arrays by the index of
    their argument."""

    file: str
    arguments: list
    expected: dict[str, np.ndarray]
    grid: str = "1"
    block: str = "32"
    shared: int = 0
    options: tuple = ()
    rtol: float = 0
    compiler: str = r"NVRTC \d+\.\d+\.\d+, without host code \("
    printed: str = ""
    files: dict[str, np.ndarray] = field(default_factory=dict)


CASES: dict[str, Callable[[], Case]] = {}


def case(function):
    CASES[function.__name__] = function
    return function


def floats(*shape):
    return RANDOM.random(shape, dtype=np.float32)


@case
def saxpy():
    x, y = floats(1000), floats(1000)
    return Case("saxpy_main.cu", ["n:u32=1000", "a:f32=3", x, y], {"y": 3 * x + y}, "4", "256", rtol=1e-6)


@case
def a_template_by_an_expression():
    x = floats(1000)
    expected = np.array([x.reshape(-1)[[i for i in range(1000) if i // 128 % 2 == b]].max() for b in (0, 1)])
    options = ("--entry", "reduction::reduce<float, 128, reduction::Max>")
    return Case("reduce_template.cu", [x, np.zeros(2, "f4"), "s32=1000"], {"1": expected}, "2", "128", 512, options)


@case
def a_template_without_its_namespace():
    x = np.arange(100, dtype=np.int32)
    options = ("--entry", "reduce<int, 64>")
    return Case(
        "reduce_template.cu", [x, np.zeros(1, "i4"), "s32=100"], {"1": np.array([4950])}, "1", "64", 256, options
    )


@case
def constant_memory():
    x = floats(200)
    padded = np.pad(x, 2, mode="edge")
    expected = sum(w * padded[k : k + 200] for k, w in enumerate((0.1, 0.2, 0.4, 0.2, 0.1)))
    return Case("conv_constant.cu", [x, np.zeros(200, "f4"), "s32=200"], {"1": expected}, "4", "64", rtol=1e-5)


@case
def tiles_of_cooperative_groups():
    matrix = floats(5, 70)
    arguments = [matrix, np.zeros(5, "f4"), "s32=5", "s32=70"]
    options = ("--entry", "row_sums")
    return Case("warp_shuffle.cu", arguments, {"1": matrix.sum(1)}, "3", "64", options=options, rtol=1e-5)


@case
def shuffles():
    matrix = floats(5, 70)
    arguments = [matrix, np.zeros(5, "f4"), "s32=5", "s32=70"]
    options = ("--entry", "row_sums_raw(float const*, float*, int, int)")
    return Case("warp_shuffle.cu", arguments, {"1": matrix.sum(1)}, "3", "64", options=options, rtol=1e-5)


@case
def half_precision():
    x, y = (floats(64).astype(np.float16) for _ in range(2))
    expected = (x.astype("f8") * 0.5 + y).astype(np.float16)
    return Case("half_scale.cu", ["{f16=0.5}", x, y, "s32=32"], {"2": expected}, options=("--entry", "haxpy"))


@case
def bfloat16():
    x = floats(50)
    expected = x.astype(ml_dtypes.bfloat16).view(np.uint16)
    options = ("--entry", "to_bf16")
    return Case("half_scale.cu", [x, np.zeros(50, "u2"), "s32=50"], {"1": expected}, options=options)


@case
def tensor_cores():
    a, b = (RANDOM.integers(-3, 4, (32, 32)).astype(np.float16) for _ in range(2))
    arguments = [a, b, np.zeros((32, 32), "f4"), "s32=32", "s32=32"]
    return Case("wmma_gemm.cu", arguments, {"2": a.astype("f4") @ b.astype("f4")}, "2,2")


@case
def a_struct_by_value():
    particles = floats(40, 2, 3)
    velocity = particles[:, 1] + np.float32(0.5) * np.array([0, -2, 0], "f4")
    expected = np.stack([particles[:, 0] + np.float32(0.5) * velocity, velocity], 1)
    arguments = [particles, "{f32=0.5, f32=0, f32=-2, f32=0, s32=40}"]
    return Case("struct_by_value.cu", arguments, {"0": expected}, "2", rtol=1e-6)


@case
def cub_sums():
    x = RANDOM.integers(-9, 9, 300).astype(np.int32)
    expected = np.pad(x, (0, 84)).reshape(3, 128).sum(1)
    options = ("--entry", "block_sums")
    return Case("cub_block.cu", [x, np.zeros(3, "i4"), "s32=300"], {"1": expected}, "3", "128", options=options)


@case
def cub_scan():
    x = RANDOM.integers(-9, 9, (2, 512)).astype(np.int32)
    return Case("cub_block.cu", [x], {"0": x.cumsum(1)}, "2", "128", options=("--entry", "block_scan"))


@case
def a_header_next_to_the_file():
    a, b = floats(70, 4), floats(70, 4)
    arguments = [a, b, np.zeros((70, 4), "f4"), np.zeros(70, "f4"), "f32=0.25", "s32=70"]
    expected = {"2": np.float32(0.75) * a + np.float32(0.25) * b, "3": (a * b).sum(1)}
    return Case("header_next_to_it.cu", arguments, expected, "3", rtol=1e-5)


@case
def dynamic_shared_memory():
    x = RANDOM.random((20, 30))
    arguments = [x, np.zeros((30, 20)), "u64=30", "u64=20"]
    return Case("transpose_dynamic.cu", arguments, {"1": x.T}, "2,2", "16,16", 16 * 17 * 8)


@case
def a_macro_by_an_option():
    x = RANDOM.random((20, 30))
    arguments = [x, np.zeros((30, 20)), "u64=30", "u64=20"]
    return Case("transpose_dynamic.cu", arguments, {"1": x.T}, "4,3", "8,8", 8 * 9 * 8, ("-D", "TILE=8"))


@case
def printf():
    x = np.array([2, 4, 7, 8], "i4")
    return Case("printf_kernel.cu", [x, "s32=4"], {"0": x // 2}, printed="thread 2: 7 is odd\n")


@case
def a_function_object():
    x = floats(40)
    options = ("--entry", "apply<Axpb, float>")
    return Case("functor_apply.cu", ["{f32=2}", x, "s32=40", "f32=1"], {"1": 2 * x + 1}, options=options, rtol=1e-6)


@case
def a_lambda_in_a_kernel():
    x = floats(40)
    arguments = [x, "f32=3", "s32=40"]
    return Case("functor_apply.cu", arguments, {"0": 3 * x * x}, "2", options=("--entry", "with_lambda"), rtol=1e-6)


@case
def atomics():
    data = RANDOM.integers(0, 256, 500).astype(np.uint8)
    expected = np.bincount(data % 64, minlength=64)
    return Case("histogram_atomics.cu", [data, "u64=500", np.zeros(64, "u8")], {"2": expected}, "3", "64")


@case
def a_function_for_host_and_device():
    x = np.array([-2, 0, 0.5, np.nan], "f4")
    arguments = [x, np.zeros(4, "f4"), "s32=4"]
    return Case("host_device_function.cu", arguments, {"1": 1 / (1 + np.exp(-x))}, rtol=1e-5)


@case
def coalesced_groups():
    x = RANDOM.integers(-5, 5, 64).astype(np.int32)
    positive = x[x > 0]
    arguments = [x, np.zeros(64, "i4"), np.zeros(1, "i4"), "s32=64"]
    expected = {"1": np.pad(positive, (0, 64 - positive.size)), "2": np.array([positive.size])}
    return Case("compact_coalesced.cu", arguments, expected, "1", "64", options=("--threads", "1"))


@case
def a_struct_of_pointers_in_c():
    x = RANDOM.integers(0, 9, 200).astype(np.uint32)
    expected = np.concatenate([np.cumsum(part) - part for part in (x[:128], x[128:])])
    arguments = ["{data:x.npy, sums:u32[2]=zeros, u64=200}"]
    options = ("--entry", "scan_block")
    return Case("scan_two_kernels.cu", arguments, {"data": expected}, "2", "64", 0, options, files={"x": x})


@case
def offsets():
    x = np.arange(200, dtype=np.uint32)
    arguments = [x, np.array([0, 50], "u4"), "u64=200"]
    expected = np.where(np.arange(200) < 128, x, x + 50)
    return Case("scan_two_kernels.cu", arguments, {"0": expected}, "2", "128", options=("--entry", "add_offsets"))


@case
def complex_numbers_of_thrust():
    re, im = np.meshgrid(-2 + 0.125 * np.arange(24, dtype="f4"), -1 + 0.125 * np.arange(16, dtype="f4"))
    zr, zi, steps = np.zeros_like(re), np.zeros_like(re), np.zeros(re.shape, np.uint16)
    for _ in range(50):
        on = zr * zr + zi * zi <= 4
        zr, zi = np.where(on, zr * zr - zi * zi + re, zr), np.where(on, 2 * zr * zi + im, zi)
        steps += on
    arguments = [np.zeros((16, 24), np.uint16), "s32=24", "s32=16"]
    return Case("mandelbrot_complex.cu", arguments, {"0": steps}, "3,2", "8,8")


@case
def softmax():
    x = floats(3, 150)
    powers = np.exp(x - x.max(1, keepdims=True))
    options = ("--entry", "softmax_kernel<float>", *INCLUDE)
    arguments = [x, np.zeros_like(x), "s32=150"]
    return Case(
        "softmax_rows.cu", arguments, {"1": powers / powers.sum(1, keepdims=True)}, "3", "128", 0, options, 1e-5
    )


@case
def two_dimensions():
    u = RANDOM.random((12, 20))
    expected = np.zeros((12, 20))
    expected[1:-1, 1:-1] = (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]) / 4
    arguments = [u, np.zeros((12, 20)), "s32=20", "s32=12"]
    return Case("jacobi_sweeps.cu", arguments, {"1": expected}, "3,2", "8,8", 0, ("--entry", "sweep"), 1e-14)


@case
def std_max_in_a_kernel():
    a, b = RANDOM.random(50), RANDOM.random(50)
    expected = np.abs(a - b).max(keepdims=True).view(np.uint64)
    options = ("--entry", "largest_change")
    return Case("jacobi_sweeps.cu", [a, b, np.zeros(1, "u8"), "s32=50"], {"2": expected}, "2", options=options)


@case
def an_explicit_instantiation():
    x = RANDOM.integers(-100, 100, 128)
    options = ("--entry", "sorting::bitonic<long long, 128>")
    return Case("bitonic_sort.cu", [x, "b8=1"], {"0": np.sort(x)}, "1", "64", options=options)


@case
def a_view_with_pointers():
    starts, columns, values = np.array([0, 1, 3, 4], "i4"), np.array([2, 0, 1, 2], "i4"), floats(4)
    x = floats(3)
    expected = np.array([values[0] * x[2], values[1] * x[0] + values[2] * x[1], values[3] * x[2]])
    arguments = ["{s32=3, starts.npy, columns.npy, values.npy}", x, np.zeros(3, "f4")]
    files = {"starts": starts, "columns": columns, "values": values}
    return Case("spmv_csr.cu", arguments, {"2": expected}, rtol=1e-6, files=files)


@case
def function_pointers():
    which = np.array([0, 1, 2, 3], "i4")
    a, b = np.array([3, 40, 48, 0], "i4"), np.array([4, 50, 36, 0], "i4")
    arguments = [which, a, b, np.zeros(4, "i4"), "s32=4"]
    return Case("device_functions.cu", arguments, {"3": np.array([7, 2000 % 1009, 12, 7])})


@case
def vector_types():
    image = RANDOM.integers(0, 256, (9, 13, 4)).astype(np.uint8)
    red, green, blue, _ = np.moveaxis(image.astype(int), 2, 0)
    expected = (77 * red + 150 * green + 29 * blue + 128) >> 8
    arguments = [image, np.zeros((9, 13), np.uint8), "s32=13", "s32=9"]
    return Case("rgb_to_gray.cu", arguments, {"1": expected}, "2,2", "8,8")


@case
def functions_of_cmath():
    price, strike, years = (np.array(values) for values in ([10.0, 30.0], [20.0, 25.0], [1.0, 3.0]))
    d1 = (np.log(price / strike) + (0.02 + 0.5 * 0.3**2) * years) / (0.3 * np.sqrt(years))
    normal = np.vectorize(lambda d: 0.5 * erfc(-d * 0.5**0.5))
    call = price * normal(d1) - strike * np.exp(-0.02 * years) * normal(d1 - 0.3 * np.sqrt(years))
    arguments = [np.zeros(2), np.zeros(2), price, strike, years, "s32=2"]
    return Case("black_scholes.cu", arguments, {"0": call}, options=("-D", "DOUBLE_PRECISION"), rtol=1e-12)


@case
def an_asynchronous_copy():
    x = floats(2, 256)
    return Case("async_copy.cu", [x, np.zeros_like(x)], {"1": x + np.roll(x, -1, 1)}, "2", "256", rtol=1e-6)


@case
def another_standard():
    def inside(seed, points):
        state, count = (lambda s: (s << 7 | s >> 25) & 0xFFFFFFFF)(seed) * 2654435769 & 0xFFFFFFFF, 0
        for _ in range(points):
            xy = []
            for _ in range(2):
                state ^= state << 13 & 0xFFFFFFFF
                state ^= state >> 17
                state ^= state << 5 & 0xFFFFFFFF
                xy.append(np.float32(state >> 8) * np.float32(2**-24))
            count += xy[0] * xy[0] + xy[1] * xy[1] <= 1
        return count

    expected = np.array([sum(inside(i + 1, 10) for i in range(32))])
    return Case("monte_carlo_pi.cu", [np.zeros(1, "u4"), "s32=10"], {"0": expected}, options=("--std", "c++20"))


@case
def an_extension_of_pytorch():
    x = floats(1000) - np.float32(0.5)
    arguments = [x, np.zeros_like(x), "f32=0.25", "s64=1000"]
    expected = {"y": np.where(x > 0, x, x * np.float32(0.25))}
    return Case("torch_extension.cu", arguments, expected, "3", "128", options=("--entry", "leaky_relu<float>"))


@case
def views_of_tensors_of_pytorch():
    x = RANDOM.integers(-8, 8, (3, 40)).astype(np.float16)
    columns = np.ascontiguousarray(x.T)  # a view of its transpose
    arguments = ["x:{data_:columns.npy, {s32=3, s32=40}, {s32=1, s32=3}}", "sums:{data_:f32[3]=1, {s64=3}, {s64=1}}"]
    options = ("--entry", "sum_rows<at::Half>")
    expected = {"sums.data_": 1 + 2 * x.sum(1, dtype="f4")}
    return Case("torch_types.cu", arguments, expected, "3", options=options, files={"columns": columns})


@case
def numbers_of_pytorch():
    x = (floats(40) * 4 - 2).astype(np.float16)
    square = x * x
    expected = {
        "sum": (x + np.float32(1.5)).astype(ml_dtypes.bfloat16).view("u2"),
        "bits": square + np.where(x > square, np.float16(1), -x),
        "cuda": x,
    }
    arguments = [x, "sum:bf16[40]=zeros", "bits:f16[40]=zeros", "cuda:f16[40]=zeros", "s32=40"]
    return Case("torch_types.cu", arguments, expected, block="64", options=("--entry", "numbers"))


@case
def numbers_of_8_bits_of_pytorch():
    ties = [448, 464, 464.1, 480, -480, 57344, 61440, 65536, 2.0**-10, 2.0**-17, 2.0**-9 * 1.5, -0.0, np.inf, -np.inf]
    x = np.concatenate([ties, (floats(18) - 0.5) * 2.0 ** np.arange(-12, 6)]).astype(np.float32)
    y, z = x.astype(ml_dtypes.float8_e4m3fn), x.astype(ml_dtypes.float8_e5m2)
    expected = {"y": y.view("u1"), "z": z.view("u1"), "limited": np.clip(x, -448, 448) + y.astype(np.float32)}
    arguments = [x, "y:u8[32]=zeros", "z:u8[32]=zeros", "limited:f32[32]=zeros", "s32=32"]
    return Case("torch_types.cu", arguments, expected, options=("--entry", "numbers_of_8_bits"))


@case
def the_state_of_a_generator_of_pytorch():
    expected = {"seed_and_offset": np.array([7, 14], "u8")}
    arguments = ["state:{u64=7, u64=14, u64=9, u8=0}", "seed_and_offset:u64[2]=zeros"]
    return Case("torch_types.cu", arguments, expected, options=("--entry", "place_in_a_sequence"))


@case
def complex_numbers_of_pytorch():
    random = np.random.default_rng(8)
    a, b = (random.integers(-20, 20, 64).astype(np.float32).view(np.complex64) for _ in range(2))  # exact
    expected = {"turned": -(2 * (np.conj(a) * b - 3 + a / 2j)) / 4, "sum": b.sum(keepdims=True)}
    arguments = [a.view(np.float32), b.view(np.float32), "turned:f32[64]=zeros", "sum:f32[2]=zeros"]
    return Case("torch_complex.cu", arguments, {name: z.view(np.float32) for name, z in expected.items()})


@case
def host_code_that_only_nvcc_can_read():
    x = np.arange(40, dtype=np.int32)
    compiler = r"nvcc \d+\.\d+\.\d+ with .* \d+.*; NVRTC refuses unbalanced_host\.cu:11: host code"
    return Case("unbalanced_host.cu", [x, "s32=40"], {"0": x + 1}, "2", compiler=compiler)


LONG = {
    "an_asynchronous_copy", "functions_of_cmath", "coalesced_groups", "cub_scan", "a_function_for_host_and_device",
    "two_dimensions", "complex_numbers_of_thrust", "another_standard", "a_template_without_its_namespace", "softmax",
    "shuffles", "views_of_tensors_of_pytorch",
}  # fmt: skip
"""NVRTC needs more than a second for their headers of libcu++ or CUB; the other cases use these headers too."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in CASES])
def test_a_kernel_runs_without_an_edit_and_gives_the_right_arrays(name, ptxbench, tmp_path, monkeypatch):
    case = CASES[name]()
    monkeypatch.chdir(tmp_path)
    for file, array in case.files.items():
        np.save(f"{file}.npy", array)
    arguments = []
    for index, argument in enumerate(case.arguments):
        if isinstance(argument, np.ndarray):
            np.save(f"{index}.npy", np.ascontiguousarray(argument))
        arguments += ["--arg", argument if isinstance(argument, str) else f"{index}.npy"]
    saves = [word for array in case.expected for word in ("--save", f"{array}=out_{array}.npy")]
    launch = ("--grid", case.grid, "--block", case.block, "--shared", case.shared)
    ran = ptxbench("exec", FOLDER / case.file, *launch, *case.options, *arguments, *saves, "--json")
    assert (ran.status, ran.err) == (0, "")
    [kernel] = json.loads(ran.out)["kernels"]
    assert re.match(case.compiler, kernel["compiler"])
    assert kernel["printed"] == case.printed
    for array, expected in case.expected.items():
        np.testing.assert_allclose(np.load(f"out_{array}.npy"), expected, rtol=case.rtol, atol=0, strict=False)


WITHOUT_TWIN = {
    "transpose_dynamic.cu": "nvcc lacks helper_cuda.h",
    "spmv_csr.cu": "nvcc lacks cusparse.h",
    "torch_extension.cu": "nvcc lacks PyTorch's headers",
    "torch_types.cu": "nvcc lacks PyTorch's headers",
    "torch_complex.cu": "nvcc lacks PyTorch's headers",
    "bitonic_sort.cu": "std::int64_t is another type for nvcc, so its kernel has another name",
    "unbalanced_host.cu": "made by nvcc itself",
}


@pytest.mark.long
@pytest.mark.parametrize("file", sorted({path.name for path in FOLDER.glob("*.cu")} - set(WITHOUT_TWIN)))
def test_a_file_without_its_host_code_has_the_machine_code_that_nvcc_makes_of_all_of_it(file):
    case = next(candidate for candidate in (CASES[name]() for name in CASES) if candidate.file == file)
    options_of = dict(zip(case.options[::2], case.options[1::2], strict=True))
    folders = (Path(options_of["-I"]),) if "-I" in options_of else ()  # as above: what NVRTC answered is in the cache
    options = SourceOptions(options_of.get("--entry"), include=folders, standard=options_of.get("--std"))
    path = FOLDER / file
    source = path.read_bytes()
    flags = options.flags_for(source, FOLDER)
    ours = cuda_c.translate(source, path, "sm_90", flags)
    theirs = cuda_c.by_nvcc(cuda_c.Job(source, path, "sm_90", flags, False), "compared")
    tool = locate.program("ptxas")
    first, second = (cubin.read(toolchain.assembled(tool, compiled.ptx, "sm_90")[0]) for compiled in (ours, theirs))
    assert ours.how.startswith("NVRTC ")
    assert first.entries
    for entry in first.entries:
        assert cubin.code(first, entry) == cubin.code(second, entry) is not None


def test_the_kernels_of_a_folder_have_their_cpp_names_and_a_file_without_one_is_named(ptxbench, tmp_path):
    (tmp_path / "plain.cu").write_text("namespace a { __global__ void one(int* x) { x[0] = 1; } }\nint main() {}\n")
    (tmp_path / "template.cu").write_text("template <class T> __global__ void two(T* x) { x[0] = 2; }\nint main() {}\n")
    ran = ptxbench("exec", tmp_path, "--block", "1", "--arg", "s32[1]=zeros")
    assert ran.status == 0
    assert re.search(r"plain\.cu +a::one +", ran.out)
    assert "it has the template two. Name an instantiation, such as --entry 'two<float>'" in " ".join(ran.out.split())


def test_a_pair_may_have_host_code_and_the_run_says_how_it_was_compiled(ptxbench, tmp_path):
    assert ptxbench("new", "scale", "--kernels", tmp_path).status == 0
    path = tmp_path / "cuda" / "scale.cu"
    path.write_text(f"#include <cstdint>\n#include <vector>\n{path.read_text()}\nint main() {{ return 0; }}\n")
    ran = ptxbench("run", "scale", "--kernels", tmp_path, "--backend", "emulator", "--results", tmp_path / "results")
    assert ran.status == 0
    assert re.search(r"cuda: compiled by NVRTC [\d.]+, without host code \(lines? \d+\)", " ".join(ran.out.split()))


def test_every_file_has_a_case():
    assert {CASES[name]().file for name in CASES} == {path.name for path in FOLDER.glob("*.cu")}
