"""Headers that NVRTC does not have, for files that are written for nvcc: names in kernels work, host code is left out.

A header of C++ whose content kernels can use is libcu++'s, under the name std. A header that only host code can use
declares types and nothing else, so that a use in a kernel is an error of the compiler, never another value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ptxbench.toolchain import torch_headers

STD = "namespace std { using namespace cuda::std; }"

LIGHT = ("cfloat", "climits", "concepts", "cstddef", "cstdint", "initializer_list", "ratio")
HEAVY = (
    "algorithm", "array", "bit", "cmath", "complex", "functional", "iterator", "limits", "numeric", "optional", "span",
    "tuple", "type_traits", "utility", "variant",
)  # fmt: skip
"""C++'s headers that are libcu++'s under another name: <cuda/std/NAME>. NVRTC needs about a second for a heavy one."""

C_OF_CPP = {
    "float.h": "cfloat", "inttypes.h": "cstdint", "cinttypes": "cstdint", "limits.h": "climits", "stddef.h": "cstddef",
    "stdint.h": "cstdint",
}  # fmt: skip
"""C's headers, and C++'s header with the same content and more."""

NUMBERS = {
    "E": "2.7182818284590452354", "LOG2E": "1.4426950408889634074", "LOG10E": "0.43429448190325182765",
    "LN2": "0.69314718055994530942", "LN10": "2.30258509299404568402", "PI": "3.14159265358979323846",
    "PI_2": "1.57079632679489661923", "PI_4": "0.78539816339744830962", "1_PI": "0.31830988618379067154",
    "2_PI": "0.63661977236758134308", "2_SQRTPI": "1.12837916709551257390", "SQRT2": "1.41421356237309504880",
    "SQRT1_2": "0.70710678118654752440",
}  # fmt: skip
"""The constants M_NAME of <math.h>, as POSIX requires them and glibc writes them."""

SPECIAL = (
    ("INFINITY", "float", "0x7f800000"),
    ("NAN", "float", "0x7fc00000"),
    ("HUGE_VALF", "float", "0x7f800000"),
    ("HUGE_VAL", "double", "0x7ff0000000000000ll"),
)
"""Macros of <math.h> without a decimal number: name, type, bits."""

MATH = "\n".join(
    [
        *(f"#ifndef M_{name}\n#define M_{name} {value}\n#endif" for name, value in NUMBERS.items()),
        *(f"#undef {name}\n#define {name} (__builtin_bit_cast({kind}, {bits}))" for name, kind, bits in SPECIAL),
        # No macros: libcu++ and CUTLASS define those, and CUTLASS in an enumeration of these names.
        "#if !defined FP_NAN && !defined PTXBENCH_KINDS\n#define PTXBENCH_KINDS\nnamespace ptxbench_kinds {",
        "enum { FP_NAN, FP_INFINITE, FP_ZERO, FP_SUBNORMAL, FP_NORMAL };\n}\nusing namespace ptxbench_kinds;\n#endif",
    ]
)

ASSERT = "#ifdef NDEBUG\n#undef assert\n#define assert(e) ((void)0)\n#endif"

DEVICE_C = {
    "stdio": ("printf",),
    "string": ("memcpy", "memset"),
    "stdlib": ("malloc", "free"),
    "time": ("clock",),
}
"""C's headers, and the functions in them that kernels can call: NVRTC knows these without a header."""

SYSTEM_TYPES = """
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef int pid_t, key_t;
typedef unsigned int uid_t, gid_t, mode_t;
typedef long ssize_t, off_t;
typedef unsigned char u_char, u_int8_t;
typedef unsigned short ushort, u_short, u_int16_t;
typedef unsigned int uint, u_int, u_int32_t;
typedef unsigned long ulong, u_long, u_int64_t;
"""
"""Types of glibc's <sys/types.h>, which nvcc includes at the start of every file by way of <stdlib.h>."""

TYPES = """
template <class T> class allocator;
template <class T> struct char_traits;
template <class T> struct hash;
template <class T> struct default_delete;
template <class T, class A = allocator<T>> class vector;
template <class T, class A = allocator<T>> class list;
template <class T, class A = allocator<T>> class deque;
template <class T, class C = deque<T>> class queue;
template <class T, class C = deque<T>> class stack;
template <class K, class C = void, class A = allocator<K>> class set;
template <class K, class T, class C = void, class A = void> class map;
template <class K, class H = hash<K>, class E = void, class A = void> class unordered_set;
template <class K, class T, class H = hash<K>, class E = void, class A = void> class unordered_map;
template <class T, class D = default_delete<T>> class unique_ptr;
template <class T> class shared_ptr;
template <class T> class weak_ptr;
template <class C, class R = char_traits<C>, class A = allocator<C>> class basic_string;
template <class C, class R = char_traits<C>> class basic_string_view;
template <class C, class R = char_traits<C>> class basic_ostream;
template <class C, class R = char_traits<C>> class basic_istream;
using string = basic_string<char>;
using string_view = basic_string_view<char>;
using ostream = basic_ostream<char>;
using istream = basic_istream<char>;
class ifstream;
class ofstream;
class stringstream;
class exception;
class runtime_error;
class thread;
class mutex;
class random_device;
"""
"""Types of the headers HOST_CPP: enough to read the declarations of host functions."""

INTEGERS = {
    "int8_t": "signed char", "int16_t": "short", "int32_t": "int", "int64_t": "long long",
    "uint8_t": "unsigned char", "uint16_t": "unsigned short", "uint32_t": "unsigned", "uint64_t": "unsigned long long",
}  # fmt: skip
"""Types of <cstdint>, as libcu++ has them for NVRTC. Headers of the host's C++ library include it."""
TYPES_HEADER = "\n".join(
    [
        *(f"typedef {spelling} {name};" for name, spelling in INTEGERS.items()),
        f"namespace std {{ {' '.join(f'using ::{name};' for name in INTEGERS)}{TYPES}}}",
    ]
)

ALIGNED_STORAGE = """
namespace std {
template <size_t size, size_t alignment = 16> struct aligned_storage {
    struct type { alignas(alignment) unsigned char data[size]; };
};
template <size_t size, size_t alignment = 16> using aligned_storage_t = typename aligned_storage<size, alignment>::type;
}
"""
"""Of <type_traits>, which libcu++ lacks because C++23 advises against it."""

STD_NAME = re.compile(r"\bstd\s*::\s*(\w+)|\busing\s+(?:namespace\s+)?std\b")
OF_LIGHT = {
    "size_t",
    "ptrdiff_t",
    "nullptr_t",
    "byte",
    "move",
    "forward",
    "initializer_list",
    "printf",
    "memcpy",
} | INTEGERS.keys()
FEW = "\n".join(f"using cuda::std::{name};" for name in ("byte", "nullptr_t", "ptrdiff_t", "size_t", *INTEGERS))
"""These names alone, without those for which NVRTC can die of host code (`cuda_c.without_host_code`)."""
OF_HOST = {*re.findall(r"(?:class|struct|using) (\w+)", TYPES)} | {
    "abort", "atof", "atoi", "cerr", "chrono", "cin", "clog", "cout", "default_random_engine", "domain_error", "endl",
    "exit", "fclose", "filesystem", "fixed", "flush", "fopen", "fprintf", "free", "function", "getenv", "getline",
    "ifstream", "invalid_argument", "ios", "istreambuf_iterator", "istringstream", "left", "length_error", "lock_guard",
    "logic_error", "make_shared", "make_unique", "malloc", "mt19937", "mt19937_64", "normal_distribution",
    "ostringstream", "out_of_range", "puts", "rand", "right", "runtime_error", "scientific", "setfill", "setprecision",
    "setw", "snprintf", "srand", "stod", "stof", "stoi", "stol", "strcmp", "strerror", "strlen", "strtol", "strtoul",
    "this_thread", "time", "to_string", "uniform_int_distribution", "uniform_real_distribution", "unique_lock",
}  # fmt: skip
"""Names of std that light headers have, and that only host code can use. All others need the heavy headers."""

HOST_CPP = (
    "any", "atomic", "barrier", "bitset", "charconv", "chrono", "codecvt", "condition_variable", "coroutine",
    "debugging", "deque", "exception", "execution", "filesystem", "flat_map", "flat_set", "format",
    "forward_list", "fstream", "future", "generator", "iomanip", "ios", "iosfwd", "iostream", "istream", "latch",
    "list", "locale", "map", "memory", "memory_resource", "mutex", "new", "ostream", "print", "queue",
    "random", "ranges", "regex", "semaphore", "set", "shared_mutex", "source_location", "spanstream", "sstream",
    "stack", "stacktrace", "stdexcept", "stop_token", "string", "string_view", "strstream", "syncstream",
    "system_error", "thread", "typeindex", "typeinfo", "unordered_map", "unordered_set", "valarray", "vector",
)  # fmt: skip
"""C++'s headers for host code."""

HOST_C = (
    "aio.h", "alloca.h", "ammintrin.h", "arm_neon.h", "arpa/inet.h", "byteswap.h", "cctype", "cerrno", "cfenv",
    "clocale", "cpio.h", "cpuid.h", "csetjmp", "csignal", "cstdarg", "cstdbool", "ctype.h", "cwchar", "cwctype",
    "dirent.h", "dlfcn.h", "emmintrin.h", "err.h", "errno.h", "execinfo.h", "fcntl.h", "fenv.h", "fmtmsg.h",
    "fnmatch.h", "ftw.h", "getopt.h", "glob.h", "grp.h", "iconv.h", "immintrin.h", "iso646.h", "langinfo.h", "libgen.h",
    "linux/limits.h", "locale.h", "malloc.h", "mqueue.h", "ndbm.h", "net/if.h", "netdb.h", "netinet/in.h",
    "netinet/tcp.h", "nl_types.h", "nmmintrin.h", "numa.h", "pmmintrin.h", "poll.h", "pthread.h", "pwd.h", "regex.h",
    "sched.h", "search.h", "semaphore.h", "setjmp.h", "signal.h", "smmintrin.h", "spawn.h", "stdalign.h", "stdarg.h",
    "stdbool.h", "stdnoreturn.h", "strings.h", "sys/epoll.h", "sys/eventfd.h", "sys/file.h", "sys/inotify.h",
    "sys/ioctl.h", "sys/ipc.h", "sys/mman.h", "sys/msg.h", "sys/prctl.h", "sys/random.h",
    "sys/resource.h", "sys/select.h", "sys/sem.h", "sys/sendfile.h", "sys/shm.h", "sys/socket.h", "sys/stat.h",
    "sys/statfs.h", "sys/statvfs.h", "sys/syscall.h", "sys/sysinfo.h", "sys/time.h", "sys/timeb.h", "sys/timerfd.h",
    "sys/times.h", "sys/uio.h", "sys/un.h", "sys/utsname.h", "sys/vfs.h", "sys/wait.h", "syslog.h", "tar.h",
    "termios.h", "threads.h", "tmmintrin.h", "ulimit.h", "unistd.h", "utime.h", "utmpx.h", "wchar.h", "wctype.h",
    "wmmintrin.h", "wordexp.h", "x86intrin.h", "xmmintrin.h",
)  # fmt: skip

HOST_CUDA = (
    "cublas.h", "cublas_v2.h", "cublasLt.h", "cuda_gl_interop.h", "cuda_profiler_api.h", "cudaProfiler.h",
    "cudaTypedefs.h", "cudnn.h", "cudnn_frontend.h", "cufft.h", "cufftXt.h", "curand.h", "cusolverDn.h", "cusparse.h",
    "GL/freeglut.h", "GL/gl.h", "GL/glew.h", "GL/glu.h", "GL/glut.h", "GLFW/glfw3.h", "helper_cuda.h",
    "helper_functions.h", "helper_image.h", "helper_string.h", "helper_timer.h", "mpi.h", "nccl.h", "nvml.h",
    "nvrtc.h", "nvToolsExt.h", "nvToolsExtCuda.h", "nvToolsExtCudaRt.h", "nvtx3/nvToolsExt.h",
    "nvtx3/nvToolsExtCuda.h", "nvtx3/nvToolsExtCudaRt.h", "nvtx3/nvtx3.hpp", "omp.h",
)  # fmt: skip
"""Libraries that host code calls, and headers of NVIDIA's samples."""

HOST_LIBRARIES = (
    "benchmark/benchmark.h", "catch2/catch.hpp", "catch2/catch_all.hpp", "catch2/catch_test_macros.hpp", "CLI/CLI.hpp",
    "cxxopts.hpp", "doctest/doctest.h", "fmt/core.h", "fmt/format.h", "gflags/gflags.h", "glog/logging.h",
    "gmock/gmock.h", "gtest/gtest.h", "nlohmann/json.hpp", "opencv2/core.hpp", "opencv2/highgui.hpp",
    "opencv2/imgcodecs.hpp", "opencv2/imgproc.hpp", "opencv2/opencv.hpp", "spdlog/spdlog.h",
)  # fmt: skip
"""Libraries of host code for tests, options, logs and images, which include the host's C++ library."""

FLAGS = "\n".join(
    f"#define {word}_{kind}(...)"
    for word in ("DEFINE", "DECLARE")
    for kind in ("bool", "int32", "uint32", "int64", "uint64", "double", "string")
)
"""The macros of <gflags/gflags.h> that stand outside of functions."""

GTEST = "\n".join(
    f"#define {macro}(...)" for macro in ("INSTANTIATE_TEST_SUITE_P", "INSTANTIATE_TEST_CASE_P", "TYPED_TEST_SUITE")
)
"""Macros of GoogleTest that stand outside of functions."""

OF_DEVICE = ("curand.h",)
"""Of these, headers that a library for kernels includes (<curand_kernel.h>), so that the installed one is used."""

OF_LIBRARIES = {
    "cublas.h": ("cuComplex.h",),
    "cublasLt.h": ("cuComplex.h", "cuda_fp16.h", "cuda_bf16.h"),
    "cublas_v2.h": ("cuComplex.h", "cuda_fp16.h", "cuda_bf16.h"),
    "cufft.h": ("cuComplex.h",),
    "cusolverDn.h": ("cuComplex.h", "cuda_fp16.h", "cuda_bf16.h"),
    "cusparse.h": ("cuComplex.h",),
    "nccl.h": ("cuda_fp16.h", "cuda_bf16.h"),
}
"""CUDA's own headers that these libraries include, so that a file has their types without another #include."""
CUFFT_TYPES = """
typedef float cufftReal;
typedef double cufftDoubleReal;
typedef cuComplex cufftComplex;
typedef cuDoubleComplex cufftDoubleComplex;
"""
HALF = re.compile(r"half|bfloat16", re.I)
"""Some name of <cuda_fp16.h> or <cuda_bf16.h>, which NVRTC needs a quarter of a second for."""

HOST_THRUST = (
    "adjacent_difference", "allocate_unique", "async/copy", "async/for_each", "async/reduce", "async/scan",
    "async/sort", "async/transform", "binary_search", "copy", "count", "device_allocator", "device_delete",
    "device_free", "device_make_unique", "device_malloc", "device_new", "device_new_allocator", "device_ptr",
    "device_reference", "device_vector", "equal", "execution_policy", "extrema", "fill", "find", "for_each", "gather",
    "generate", "host_vector", "inner_product", "logical", "memory", "merge", "partition", "per_device_resource",
    "random", "random/linear_congruential_engine", "random/normal_distribution", "random/uniform_int_distribution",
    "random/uniform_real_distribution", "reduce", "remove", "replace", "reverse", "scan", "scatter", "sequence",
    "set_operations", "shuffle", "sort", "system/cuda/execution_policy", "system/cuda/memory", "system/cuda/vector",
    "system_error", "tabulate", "transform", "transform_reduce", "transform_scan", "uninitialized_copy",
    "uninitialized_fill", "unique", "universal_vector",
)  # fmt: skip
"""Thrust's algorithms and containers, which host code calls."""

THRUST_TYPES = """
namespace thrust {
template <class T, class A = void> class device_vector;
template <class T, class A = void> class host_vector;
template <class T, class A = void> class universal_vector;
template <class T> class device_ptr;
}
"""

CUDA_H = """
#define CUDA_VERSION (__CUDACC_VER_MAJOR__ * 1000 + __CUDACC_VER_MINOR__ * 10)
typedef unsigned int cuuint32_t;
typedef unsigned long long cuuint64_t;
typedef unsigned long long CUdeviceptr;
typedef int CUdevice;
typedef struct CUctx_st* CUcontext;
typedef struct CUmod_st* CUmodule;
typedef struct CUfunc_st* CUfunction;
typedef struct CUstream_st* CUstream;
typedef struct CUevent_st* CUevent;
typedef struct alignas(64) CUtensorMap_st { cuuint64_t opaque[16]; } CUtensorMap;
enum CUresult : int;
"""
"""The types of the driver's <cuda.h> that a kernel can have as parameters; its functions are for host code."""

CUB = (
    "block/block_adjacent_difference", "block/block_discontinuity", "block/block_exchange", "block/block_histogram",
    "block/block_load", "block/block_merge_sort", "block/block_radix_sort", "block/block_reduce", "block/block_scan",
    "block/block_shuffle", "block/block_store", "warp/warp_exchange", "warp/warp_load", "warp/warp_merge_sort",
    "warp/warp_reduce", "warp/warp_scan", "warp/warp_store",
)  # fmt: skip
"""What kernels use of <cub/cub.cuh>, which NVRTC refuses as a whole."""

HOST_CUB = (
    "adjacent_difference", "batched_topk", "copy", "find", "for", "histogram", "memcpy", "merge", "merge_sort",
    "partition", "radix_sort", "reduce", "run_length_encode", "scan", "segmented_radix_sort", "segmented_reduce",
    "segmented_scan", "segmented_sort", "select", "spmv", "topk", "transform",
)  # fmt: skip
"""CUB's algorithms that host code calls, <cub/device/device_NAME.cuh>, which NVRTC refuses."""

PRELUDE = "ptxbench_prelude.h"
"""The header with what nvcc includes at the start of every file. The name is ptxbench's own."""

GNU = "#define __extension__\n#define register\n" + "\n".join(
    f"#define {spelling} {word}"
    for word, spellings in {
        "asm": ("__asm", "__asm__"),
        "const": ("__const", "__const__"),
        "volatile": ("__volatile",),
        "signed": ("__signed", "__signed__"),
        "alignof": ("__alignof", "__alignof__"),
    }.items()
    for spelling in spellings
)
"""Words of GNU C++, and of C++ before C++17, that nvcc knows and NVRTC does not."""

BUILTINS = """
#define INTEGER_FUNCTION(name, type, function, bits, start, test, next) \\
    __device__ constexpr int __builtin_##name(type x) { \\
        if (!__builtin_is_constant_evaluated()) return function(x); \\
        int n = start; \\
        for (int bit = 0; bit < bits; ++bit) if (test) next; \\
        return n; \\
    }
INTEGER_FUNCTION(popcount, unsigned, __popc, 32, 0, x >> bit & 1, ++n)
INTEGER_FUNCTION(popcountll, unsigned long long, __popcll, 64, 0, x >> bit & 1, ++n)
INTEGER_FUNCTION(clz, unsigned, __clz, 32, 32, x >> bit & 1, n = 31 - bit)
INTEGER_FUNCTION(clzll, unsigned long long, __clzll, 64, 64, x >> bit & 1, n = 63 - bit)
INTEGER_FUNCTION(ffs, int, __ffs, 32, 0, !n && x >> bit & 1, n = bit + 1)
INTEGER_FUNCTION(ffsll, long long, __ffsll, 64, 0, !n && x >> bit & 1, n = bit + 1)
#undef INTEGER_FUNCTION
__device__ inline int __builtin_abs(int x) { return abs(x); }
__device__ inline void* __builtin_memcpy(void* to, const void* from, size_t size) { return memcpy(to, from, size); }
__device__ inline void* __builtin_memset(void* to, int byte, size_t size) { return memset(to, byte, size); }
#define __builtin_inff() HUGE_VALF
#define __builtin_huge_valf() HUGE_VALF
#define __builtin_inf() HUGE_VAL
#define __builtin_huge_val() HUGE_VAL
""" + "\n".join(
    f"__device__ inline {kind} __builtin_{name}{suffix}({', '.join(f'{kind} {x}' for x in arguments)}) "
    f"{{ return {name}{suffix}({', '.join(arguments)}); }}"
    for kind, suffix in (("float", "f"), ("double", ""))
    for arguments, names in {
        "x": ("fabs", "sqrt", "floor", "ceil", "trunc", "round", "rint", "exp", "exp2", "log", "log2", "sin", "cos"),
        "xy": ("fmin", "fmax", "fmod", "pow", "copysign"),
        "xyz": ("fma",),
    }.items()
    for name in names
)
"""Functions of GNU C++ that nvcc knows in kernels and NVRTC does not."""

MATH_FUNCTION = (
    r"(?:f?abs|sqrt|cbrt|hypot|pow|exp\w{0,2}|log\w{0,3}|a?(?:sin|cos|tan)h?|atan2|floor|ceil|trunc|l?l?r(?:ound|int)|"
    r"nearbyint|fma|f?(?:min|max)|fmod|fdim|erfc?|[tl]gamma|copysign|isnan|isinf|isfinite|signbit|ldexp|frexp|remainder)"
)
MATH_NAMES = re.compile(rf"\bstd::{MATH_FUNCTION}\s*\(")
"""Functions of <cmath> under the name std, which nvcc knows without an #include."""

OF_CMATH = ["type_traits", "limits", "utility"]
"""Headers that GNU's <cmath> includes, and therefore nvcc at the start of every file."""

ALGORITHMS = re.compile(
    r"\bstd::(?:min|max|swap|iter_swap|swap_ranges|fill|fill_n|copy|copy_backward|move_backward|equal|mismatch|"
    r"lower_bound|lexicographical_compare)\s*[(<]"
)
"""Functions of <algorithm> that GNU's <cmath> has from C++17 on."""

DEVICE_RUNTIME = re.compile(r"\bcuda(?:GridDependencySynchronize|TriggerProgrammaticLaunchCompletion)\b")
"""Functions of <cuda_device_runtime_api.h>, which nvcc includes at the start of every file, NVRTC does not."""


def once(text: str) -> str:
    return f"#pragma once\n{text}\n"


def names_of_std(texts: Iterable[str]) -> set[str]:
    """The names of std in the texts that only a heavy header has; "" if they may use any name without `std::`."""
    used = {name for text in texts for name in STD_NAME.findall(text)}
    return used - OF_HOST - OF_LIGHT


def table(sources: Sequence[str], *, heavy: bool) -> dict[str, bytes]:
    """The text of each header, by the name that an #include has, for a source and the user's files of these texts.
    `heavy`: whether the heavy headers have a content."""
    few = f"#include <cuda/std/cstddef>\n#include <cuda/std/cstdint>\nnamespace std {{\n{FEW}\n}}\n"
    texts = {name: f"#include <cuda/std/{name}>\n{STD if heavy else few}" for name in LIGHT}
    if not heavy:
        texts["initializer_list"] += "namespace std { using cuda::std::initializer_list; }"
    texts |= {name: f"#include <cuda/std/{name}>\n{STD}" if heavy else "" for name in HEAVY}
    texts["type_traits"] += ALIGNED_STORAGE if heavy else ""
    texts |= {c: f"#include <{cpp}>" for c, cpp in C_OF_CPP.items()}
    texts["sys/types.h"] = "#include <stdlib.h>"
    texts["memory.h"] = "#include <string.h>"
    texts["cmath"] = f"#undef INFINITY\n#undef NAN\n{texts['cmath']}\n{MATH}"
    texts["math.h"] = MATH
    for c, functions in DEVICE_C.items():
        texts[f"{c}.h"] = "#include <stddef.h>"
        using = " ".join(f"using ::{function};" for function in functions)
        texts[f"c{c}"] = f"#include <{c}.h>\nnamespace std {{ {using} }}"
    texts["stdlib.h"] += f"\n{SYSTEM_TYPES}"
    texts["time.h"] += "\n#define CLOCKS_PER_SEC ((clock_t)1000000)"
    texts |= dict.fromkeys(("assert.h", "cassert"), ASSERT)
    texts |= dict.fromkeys((*HOST_CPP, *HOST_LIBRARIES), "#include <ptxbench_types.h>")
    texts |= dict.fromkeys((*HOST_C, *HOST_CUDA, "thrust/detail/complex/stream.h"), "")
    half = any(HALF.search(text) for text in sources)
    for library, includes in OF_LIBRARIES.items():
        needed = [name for name in includes if half or name == "cuComplex.h"]
        texts[library] = "\n".join(f"#include <{name}>" for name in needed)
    texts["gflags/gflags.h"] += f"\n{FLAGS}"
    texts["gtest/gtest.h"] += f"\n{GTEST}"
    texts["gmock/gmock.h"] = "#include <gtest/gtest.h>"
    texts["cufft.h"] += CUFFT_TYPES
    texts["cufftXt.h"] = "#include <cufft.h>"
    texts |= {f"thrust/{name}.h": "#include <ptxbench_thrust.h>" for name in HOST_THRUST}
    texts |= {f"cub/device/device_{name}.cuh": "namespace cub {}" for name in HOST_CUB}
    texts |= torch_headers.table(sources, half=half, heavy=heavy)
    texts["cuda.h"] = CUDA_H
    texts["cub/cub.cuh"] = "\n".join(f"#include <cub/{name}.cuh>" for name in CUB)
    always = ["cuda_runtime.h", "math.h", "stdlib.h"]
    always += OF_CMATH if heavy else []
    if heavy and any(ALGORITHMS.search(text) for text in sources):
        always.append("algorithm")
    if any(MATH_NAMES.search(text) for text in sources):
        always.append("cmath")
    if any(DEVICE_RUNTIME.search(text) for text in sources):
        always.append("cuda_device_runtime_api.h")
    builtins = BUILTINS if any("__builtin_" in text for text in sources) else ""
    texts[PRELUDE] = "\n".join([*(f"#include <{name}>" for name in always), "namespace std {}", GNU, builtins])
    headers = {name: once(text) for name, text in texts.items()}
    # <assert.h> may be included again with another NDEBUG.
    headers |= {name: texts[name] for name in ("assert.h", "cassert")}
    headers |= {
        "ptxbench_types.h": once(TYPES_HEADER),
        "ptxbench_thrust.h": once(THRUST_TYPES),
    }
    return {name: text.encode() for name, text in headers.items()}


NAMES = frozenset(table((), heavy=False))


def has(name: str) -> bool:
    """Whether there is a stand-in for the header that an #include calls `name`."""
    return name in NAMES or bool(torch_headers.HEADER.fullmatch(name))
