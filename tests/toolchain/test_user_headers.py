"""Headers of the user: which files they are, how they are compiled, and what to do about one that is not found."""

import re
import shlex
from pathlib import Path

import pytest

from ptxbench.errors import CompileError
from ptxbench.toolchain import cuda_c, neighbours
from ptxbench.toolchain.user_files import user_files
from tests.toolchain.test_host_code import KERNEL


def test_host_code_of_a_header_that_a_macro_names_becomes_device_code(compiled, without_nvcc, tmp_path):
    """NVRTC sees that header, and ptxbench does not: nothing can be left out of it."""
    (tmp_path / "sizes.hpp").write_text("#pragma once\ntemplate <int N> constexpr int size() { return 3 * N; }\n")
    include = "#define TEXT(x) #x\n#define HEADER TEXT(sizes.hpp)\n#include HEADER\n"
    output = compiled(f"{include}int main() {{ return 0; }}" + KERNEL.replace("= 1", "= size<4>()"))
    assert output.how.endswith(" without host code (line 4), with functions without a mark as device functions")
    assert "0f41400000" in output.ptx.lower() or "1094713344" in output.ptx  # 12.0
    with pytest.raises(CompileError, match="cannot compile this"):
        compiled(f"{include}constexpr int n = nothing;" + KERNEL.replace("= 1", "= size<4>()"))


def test_another_error_of_such_a_header_is_reported_before_its_host_code(compiled, without_nvcc, tmp_path):
    (tmp_path / "values.h").write_text(
        "inline int two() { return 2; }\n__device__ inline int four() { return 2 * two() + unknown_name; }\n"
    )
    include = "#define TEXT(x) #x\n#define VALUES TEXT(values.h)\n#include VALUES\n"
    source = f"{include}__global__ void k(int *y) {{ *y = four(); }}\n"
    with pytest.raises(CompileError, match=r'^values\.h:2: identifier "unknown_name" is undefined\. NVRTC'):
        compiled(source)


NAMES_OF_A_HEADER = [
    '#define HEADER "sizes.hpp"\n#include HEADER',
    "#define HEADER(name) <name.hpp> // in angles\n#include HEADER( sizes )",
    '#if 1\n# define HEADER \\\n    "sizes.hpp"\n#endif\n#include HEADER',
]


@pytest.mark.parametrize("include", NAMES_OF_A_HEADER)
def test_a_header_that_a_macro_names_is_known_if_each_definition_is_a_name(compiled, without_nvcc, tmp_path, include):
    (tmp_path / "sizes.hpp").write_text("#pragma once\nint main() { return 0; }\n__device__ int size() { return 4; }\n")
    source = include + KERNEL.replace("= 1", "= size()")
    output = compiled(source, f"-I{tmp_path}")
    assert output.how.endswith(" without host code (sizes.hpp: line 2)")
    # An option, or another definition, may name another file.
    other = source.replace("#include", "#ifdef X\n#define HEADER OTHER\n#endif\n#include", 1)
    for output in (compiled(source, f"-I{tmp_path}", "-DHEADER=other"), compiled(other, f"-I{tmp_path}")):
        assert output.how.endswith(", with functions without a mark as device functions")


def test_many_headers_without_their_host_code_are_counted(compiled, without_nvcc, tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.h").write_text(f"#pragma once\nvoid {name}_host() {{ puts(0); }}\n")
    includes = "".join(f'#include "{name}.h"\n' for name in "abc")
    output = compiled(f"{includes}int main() {{ return 0; }}{KERNEL}")
    assert output.how.endswith(" without host code (line 4; parts of 3 headers)")


@pytest.mark.parametrize("include", ['"util.cuh"', "<util.cuh>"])
def test_headers_of_one_name_in_several_folders_are_several(compiled, without_nvcc, tmp_path, include):
    """Each is the one next to the file that includes it, if that has one; else the one in a folder of -I."""
    for folder, number in (("a", 3), ("b", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "all.cuh").write_text('#pragma once\n#include "util.cuh"\n')
        (tmp_path / folder / "util.cuh").write_text(
            f"#pragma once\nvoid {folder}_host() {{ puts(0); }}\n__device__ int {folder}() {{ return {number}; }}\n"
        )
    text = (
        f'#include "a/all.cuh"\n#include "b/all.cuh"\n#include {include}\n{KERNEL.replace("= 1", "= 10 * a() + b()")}'
    )
    output = compiled(text, f"-I{tmp_path / 'b'}")
    assert output.how.endswith(" without host code (a/util.cuh: line 2; b/util.cuh: line 2)")
    assert "0f420c0000" in output.ptx.lower() or "1108082688" in output.ptx  # 35.0
    (tmp_path / "b/util.cuh").write_text(
        "#pragma once\nvoid b_host() {}\n__device__ int b() { return unknown_name; }\n"
    )
    with pytest.raises(CompileError, match=r"^b/util\.cuh:3: identifier \"unknown_name\" is undefined"):
        compiled(text, f"-I{tmp_path / 'b'}")


LIBRARY = """#pragma once
#include <tuple>
#ifdef __CUDACC_RTC__
enum { FP_NAN =
#define FP_NAN 0
       FP_NAN };
#else
#include <cmath>
#endif
template <class T> struct Tile { int size() const { return 4; } };
constexpr int two() { return 2; }
"""


def test_a_library_for_nvrtc_has_its_functions_without_a_mark_on_the_device(compiled, without_nvcc, tmp_path):
    """As CUTLASS and DeepGEMM: nothing is left out of it."""
    (tmp_path / "tile.hpp").write_text(LIBRARY)
    kernel = KERNEL.replace("= 1", "= Tile<int>{}.size() * two() + std::get<0>(std::tuple<int>(3))")
    output = compiled(f'#include "tile.hpp"{kernel}')
    assert re.fullmatch(r"NVRTC \S+, with functions without a mark as device functions", output.how)
    assert "0f41300000" in output.ptx.lower() or "1093664768" in output.ptx  # 11.0
    with pytest.raises(CompileError, match="unknown_name"):
        compiled(f'#include "tile.hpp"{kernel.replace("two()", "unknown_name")}')


def test_host_code_next_to_a_library_for_nvrtc_is_left_out(compiled, without_nvcc, tmp_path):
    """As the launches of FlashAttention, which includes CUTLASS: functions of the library are still for kernels."""
    (tmp_path / "tile.hpp").write_text(LIBRARY)
    host = "#include <vector>\nvoid f(std::vector<int> a) {\n    cudaGetDevice(a.data());\n}\n"
    output = compiled(f'#include "tile.hpp"\n{host}{KERNEL.replace("= 1", "= Tile<int>{}.size() * two()")}')
    assert output.how.endswith(", without host code (lines 3-5), with functions without a mark as device functions")


def test_a_header_with_another_error_for_nvrtc_alone_is_compiled_by_nvcc(compiled, tmp_path):
    """As CUTLASS 4.2 with the C++ library of CUDA 13.2 and later."""
    (tmp_path / "values.h").write_text(
        "constexpr int two() { return 2; }\n#ifdef __CUDACC_RTC__\ntypedef unknown_name number;\n#endif\n"
    )
    output = compiled(f'#define VALUES "values.h"\n#include VALUES{KERNEL.replace("= 1", "= two()")}')
    assert output.how.startswith("nvcc ")
    assert "unknown_name" in output.how


# an #include that no header answers, the advice
NO_HEADER = [
    ("<mdspan>",          r"in kernels, #include <cuda/std/mdspan> instead\."),
    ('"mine/config.h"',   r"name the folder of mine/config\.h with -I, or move the kernels"),
    ("<curand_kernel.h>", r"pip install nvidia-curand .*, which has curand_kernel\.h\."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "advice"), NO_HEADER)
def test_a_header_that_is_not_found_is_named_with_what_to_do(compiled, without_nvcc, name, advice):
    with pytest.raises(CompileError, match=rf"k\.cu:1: cannot open source file.*{advice}"):
        compiled(f"#include {name}{KERNEL}")


@pytest.mark.parametrize("folder", [".", "include", "common", "common/include", "with space"])
def test_a_folder_near_the_file_that_has_the_header_is_named(tmp_path, without_nvcc, folder):
    (tmp_path / folder / "own").mkdir(parents=True)
    (tmp_path / folder / "own" / "own.h").write_text("")
    path = tmp_path / "src" / "k.cu"
    text = f'#include "own/own.h"{KERNEL}'
    quoted = re.escape(shlex.quote(str(tmp_path / folder)))  # to be copied
    with pytest.raises(CompileError, match=rf"; add -I {quoted}, which has own/own\.h\."):
        cuda_c.translate(text.encode(), path, "sm_90", ())


def test_a_folder_of_many_projects_is_not_searched(tmp_path, without_nvcc):
    for number in range(40):
        (tmp_path / f"project{number}").mkdir()
    (tmp_path / "project7" / "own.h").write_text("")
    with pytest.raises(CompileError, match=r"; name the folder of own\.h with -I, "):
        cuda_c.translate(f'#include "own.h"{KERNEL}'.encode(), tmp_path / "project0" / "k.cu", "sm_90", ())


def test_a_header_in_latin_1_is_read_also_in_a_process_of_its_own(compiled, tmp_path):
    (tmp_path / "own.h").write_bytes(b"// \xa9 the authors\ninline void host() {}\n")
    kernel = "__global__ void g(int* x) { x[0] = std::get<0>(std::tuple<int>(1)); }"
    output = compiled(f'#include <tuple>\n#include "own.h"\n{kernel}\n', f"-I{tmp_path}")
    assert "own.h: line 2" in output.how


def test_the_headers_of_the_host_compiler_are_no_advice():
    assert neighbours.folder_with(Path("/absent/k.cu"), "stdlib.h") is None


@pytest.mark.parametrize("by_way_of", ["", "all.cuh"])
def test_a_file_that_another_one_includes_names_that_one(tmp_path, without_nvcc, monkeypatch, by_way_of):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "parts" / "k.cu"
    path.parent.mkdir()
    path.write_text("__global__ void k(float* x) { x[0] = value; }\n")
    (tmp_path / "other.cu").write_text('#include "k.cu"\n')  # another k.cu
    text = '#define value 1\n#include "parts/k.cu"\n'
    (tmp_path / "main.cu").write_text(f'#include "{by_way_of}"\n' if by_way_of else text)
    if by_way_of:
        (tmp_path / by_way_of).write_text(f'#include "{by_way_of}"\n{text}')
    message = r'^k\.cu:1: identifier "value" is undefined\. NVRTC .*; correct the CUDA C there'
    with pytest.raises(CompileError, match=rf"{message}, or name main\.cu, which includes this file\.$"):
        cuda_c.translate(path.read_bytes(), path, "sm_90", ())
    with pytest.raises(CompileError, match=rf"{message}\.$"):  # nothing about the files next to untrusted text
        cuda_c.translate(path.read_bytes(), path, "sm_90", (), contained=True)


def test_a_header_of_the_user_has_priority_and_its_change_is_seen(compiled, tmp_path):
    (tmp_path / "include").mkdir()
    header = tmp_path / "include" / "helper_cuda.h"
    text = '#include <helper_cuda.h>\nextern "C" __global__ void k(int* x) { x[0] = VALUE; }\nint main() {}\n'
    for value in (4711, 4712):
        header.write_text(f"#define VALUE {value}\ninline void host() {{}}\n")
        output = compiled(text, f"-I{tmp_path / 'include'}")
        assert str(value) in output.ptx
        assert "helper_cuda.h: line 2" in output.how


def test_a_file_with_two_names_is_included_once(compiled, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.h").write_text("#pragma once\n__device__ int one() { return 1; }\n")
    (tmp_path / "a" / "two.h").write_text('#include "one.h"\n#include "../a/one.h"\n')
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "three.h").write_text('#include "../a/one.h"\n#include "../a/two.h"\n')
    includes = "".join(f'#include "{name}"\n' for name in ("a/two.h", "a/one.h", "b/three.h"))
    output = compiled(f"{includes}int main() {{}}{KERNEL}")
    assert output.how.endswith("(line 4)")


def test_headers_of_two_folders_that_include_each_other_are_each_read_once(tmp_path):
    """`a/../b/../a/x.h` is `a/x.h`: with more headers their number would double with each step."""
    for folder, other in (("a", "b"), ("b", "a")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.h").write_text(f'#pragma once\n#include "../{other}/x.h"\n')
    files = user_files(b'#include "a/x.h"\n', tmp_path)
    assert [(file.name, file.path.resolve().relative_to(tmp_path).as_posix()) for file in files] == [
        ("../a/x.h", "a/x.h"),
        ("../b/x.h", "b/x.h"),
        ("a/x.h", "a/x.h"),
    ]


def test_a_name_in_angles_is_not_the_file_of_this_name_next_to_the_text(compiled, without_nvcc, tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "mma.h").write_text("#pragma once\ninline int f() { return 1; }\n")
    (tmp_path / "library" / "all.h").write_text("#pragma once\n#include <mma.h>\nusing T = nvcuda::wmma::row_major;\n")
    source = f'#include "library/all.h"\nint main() {{}}{KERNEL}'
    assert "library" not in compiled(source).how
    assert [file.name for file in user_files(source.encode(), tmp_path)] == ["library/all.h"]
    (tmp_path / "library" / "all.h").write_text(
        '#include "mma.h"\n#include <mma.h>\nusing T = nvcuda::wmma::row_major;\n'
    )
    assert "library/mma.h: line 2" in compiled(source).how
    assert [file.name for file in user_files(source.encode(), tmp_path)] == ["library/all.h", "mma.h"]


def test_host_code_of_a_library_for_nvrtc_may_launch_and_specialise(compiled, without_nvcc, tmp_path):
    (tmp_path / "library.hpp").write_text(
        "#pragma once\n#ifdef __CUDACC_RTC__\n#endif\n"
        "template <class T> __global__ void other(T* x) { x[0] = T::none; }\n"
        "template <class T> void run(T* x, cudaStream_t s);\n"
        "template <class T> void start(T* x, cudaStream_t s) { other<<<1, 1, 0, s>>>(x); }\n"
        "inline float one() { return 1; }\n"
        'inline void refuse() { fprintf(stderr, "no"); exit(1); }\n'
        "void encode(CUtensorMapDataType type) { refuse(); }\n"
    )
    source = '#include "library.hpp"\ntemplate <>\nvoid run<float>(float* x, cudaStream_t s) { start<float>(x, s); }'
    source += "\ntemplate void start<int>(int* x, cudaStream_t s);"
    output = compiled(source + KERNEL.replace("= 1", "= one()"), f"-I{tmp_path}")
    assert "(line 4; library.hpp: lines 6, 8-9), with functions without a mark as device functions" in output.how
    assert len(re.findall(r"\.entry", output.ptx)) == 1


def test_nvcc_is_asked_for_kernels_that_only_a_header_launches(compiled, tmp_path):
    (tmp_path / "launch.h").write_text(
        "#pragma once\n#ifdef __CUDACC_RTC__\n#endif\ntemplate <class T> __global__ void k(T* x) { x[0] = 1; }\n"
        "template <class T> void run(T* x) { k<<<1, 1>>>(x); }\n"
    )
    output = compiled('#include "launch.h"\ntemplate void run<float>(float*);\n', f"-I{tmp_path}")
    assert output.how.startswith("nvcc ")
    assert ".entry _Z1kIfEvPT_(" in output.ptx
