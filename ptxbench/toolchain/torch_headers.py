"""Stand-ins for the headers of PyTorch and pybind11: what kernels of extensions use, and types for host code.

The number types compute as PyTorch's do: in f32, rounded to the type after each operation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HEADER = re.compile(r"(?:ATen|THC|c10|pybind11|torch)/(?:[\w-]+/)*[\w-]+\.(?:h|cuh)")
INCLUDED = re.compile(rf"^[ \t]*#[ \t]*include[ \t]*[<\"]({HEADER.pattern})[>\"]", re.M)

MAIN = "ptxbench_torch.h"
"""The header with the stand-in. The name is ptxbench's own."""

TEXT = """
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <time.h>
#include <tuple>
#include <type_traits>
#include <utility>
#include <ptxbench_types.h>
#define C10_HOST __host__
#define C10_DEVICE __device__
#define C10_HOST_DEVICE __host__ __device__
#define C10_LAUNCH_BOUNDS_0 __launch_bounds__(256, 4)
#define C10_LAUNCH_BOUNDS_1(threads) __launch_bounds__(threads)
#define C10_LAUNCH_BOUNDS_2(threads, ctas) __launch_bounds__(threads, ctas)
#define C10_WARP_SIZE 32
#define CUDA_KERNEL_ASSERT(condition) assert(condition)
#define PYBIND11_MODULE(name, module) void ptxbench_module(int module)
#define TORCH_LIBRARY(name, module) void ptxbench_library(int module)
#define TORCH_LIBRARY_FRAGMENT(name, module) void ptxbench_fragment(int module)
#define TORCH_LIBRARY_IMPL(name, key, module) void ptxbench_implementation(int module)
namespace c10 { class Scalar; template <class T> class optional; template <class T> class ArrayRef; class Device; }
namespace at {
class Tensor;
class TensorOptions;
using c10::Scalar; using c10::optional; using c10::ArrayRef; using c10::Device;
using IntArrayRef = ArrayRef<long>;
using TensorList = ArrayRef<Tensor>;

template <class T> struct DefaultPtrTraits { using PtrType = T*; };
template <class T> struct RestrictPtrTraits { using PtrType = T* __restrict__; };

// A view of a tensor: rows[i] is a view with one dimension less, and of one dimension an element.
template <class T, size_t N, template <class U> class PtrTraits = DefaultPtrTraits, class index_t = int64_t>
struct TensorAccessor {
    typename PtrTraits<T>::PtrType data_;
    const index_t* sizes_;
    const index_t* strides_;
    __host__ __device__ index_t size(index_t i) const { return sizes_[i]; }
    __host__ __device__ index_t stride(index_t i) const { return strides_[i]; }
    __host__ __device__ typename PtrTraits<T>::PtrType data() const { return data_; }
    __host__ __device__ decltype(auto) operator[](index_t i) const {
        if constexpr (N == 1)
            return (data_[strides_[0] * i]);
        else
            return TensorAccessor<T, N - 1, PtrTraits, index_t>{data_ + strides_[0] * i, sizes_ + 1, strides_ + 1};
    }
};

// The parameter of a kernel: pointer, sizes and strides by value.
template <class T, size_t N, template <class U> class PtrTraits = DefaultPtrTraits, class index_t = int64_t>
struct GenericPackedTensorAccessor {
    typename PtrTraits<T>::PtrType data_;
    index_t sizes_[N];
    index_t strides_[N];
    __host__ __device__ index_t size(index_t i) const { return sizes_[i]; }
    __host__ __device__ index_t stride(index_t i) const { return strides_[i]; }
    __host__ __device__ typename PtrTraits<T>::PtrType data() const { return data_; }
    __host__ __device__ decltype(auto) operator[](index_t i) const {
        return TensorAccessor<T, N, PtrTraits, index_t>{data_, sizes_, strides_}[i];
    }
};
template <class T, size_t N, template <class U> class PtrTraits = DefaultPtrTraits, class index_t = int64_t>
using PackedTensorAccessor = GenericPackedTensorAccessor<T, N, PtrTraits, index_t>;
template <class T, size_t N, template <class U> class PtrTraits = DefaultPtrTraits>
using PackedTensorAccessor32 = GenericPackedTensorAccessor<T, N, PtrTraits, int32_t>;
template <class T, size_t N, template <class U> class PtrTraits = DefaultPtrTraits>
using PackedTensorAccessor64 = GenericPackedTensorAccessor<T, N, PtrTraits, int64_t>;

// The type that sums are kept in.
template <class T> struct OpMathType { using type = T; };
template <class T, bool on_gpu> struct AccumulateType { using type = int64_t; };
template <bool on_gpu> struct AccumulateType<float, on_gpu> { using type = float; };
template <bool on_gpu> struct AccumulateType<double, on_gpu> { using type = double; };
template <bool on_gpu> struct AccumulateType<bool, on_gpu> { using type = bool; };
template <class T> using opmath_type = typename OpMathType<T>::type;
template <class T, bool on_gpu> using acc_type = typename AccumulateType<T, on_gpu>::type;

namespace cuda {
template <class T> constexpr __host__ __device__ T ATenCeilDiv(T a, T b) { return (a + b - 1) / b; }
}
}
namespace torch { using namespace at; }
namespace pybind11 { class array; class module_; class object; }
namespace py = pybind11;
"""
"""What kernels and host code need of the headers. Marks of kernels are as in PyTorch's c10/macros/Macros.h, which also
limits launch bounds to what the architecture has."""

LOOP = """
#ifndef CUDA_KERNEL_LOOP
#define CUDA_KERNEL_LOOP_TYPE(i, n, type) \\
    for (type i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)
#define CUDA_KERNEL_LOOP(i, n) CUDA_KERNEL_LOOP_TYPE(i, n, int)
#endif
"""
SHUFFLES = """
template <class T> __device__ T WARP_SHFL(T value, int lane, int width = 32, unsigned mask = 0xffffffff)
{ return __shfl_sync(mask, value, lane, width); }
template <class T> __device__ T WARP_SHFL_UP(T value, unsigned by, int width = 32, unsigned mask = 0xffffffff)
{ return __shfl_up_sync(mask, value, by, width); }
template <class T> __device__ T WARP_SHFL_DOWN(T value, unsigned by, int width = 32, unsigned mask = 0xffffffff)
{ return __shfl_down_sync(mask, value, by, width); }
template <class T> __device__ T WARP_SHFL_XOR(T value, int by, int width = 32, unsigned mask = 0xffffffff)
{ return __shfl_xor_sync(mask, value, by, width); }
__device__ inline unsigned WARP_BALLOT(int predicate, unsigned mask = 0xffffffff)
{ return __ballot_sync(mask, predicate); }
"""
ATOMICS = """
template <class T> __device__ T gpuAtomicAdd(T* address, T value) { return atomicAdd(address, value); }
__device__ inline long long gpuAtomicAdd(long long* address, long long value)
{ return atomicAdd(reinterpret_cast<unsigned long long*>(address), (unsigned long long)value); }
template <class T> __device__ void gpuAtomicAddNoReturn(T* address, T value) { gpuAtomicAdd(address, value); }
"""
SPECIAL = {
    "ATen/cuda/Atomic.cuh": ATOMICS, "ATen/cuda/DeviceUtils.cuh": SHUFFLES, "ATen/cuda/detail/KernelUtils.h": LOOP,
    "ATen/native/cuda/KernelUtils.cuh": ATOMICS, "THC/THCAtomics.cuh": ATOMICS,
}  # fmt: skip
"""Headers with more than the others."""

NUMBER_TEXT = """
namespace c10 {
struct alignas(2) NAME {
    unsigned short x;
    struct from_bits_t {};
    static constexpr __host__ __device__ from_bits_t from_bits() { return {}; }
    NAME() = default;
    constexpr __host__ __device__ NAME(unsigned short bits, from_bits_t) : x(bits) {}
    __host__ __device__ NAME(float value) : x(TO_BITS(FROM_FLOAT(value))) {}
    __host__ __device__ NAME(const CUDA_TYPE& value) : x(TO_BITS(value)) {}
    __host__ __device__ operator float() const { return TO_FLOAT(FROM_BITS(x)); }
    EXPLICIT __host__ __device__ operator CUDA_TYPE() const { return FROM_BITS(x); }
};
OPERATORS
__host__ __device__ inline NAME operator-(NAME a) { return NAME((unsigned short)(a.x ^ 0x8000), NAME::from_bits()); }
}
__device__ inline c10::NAME __ldg(const c10::NAME* address)
{ return __ldg(reinterpret_cast<const CUDA_TYPE*>(address)); }
__device__ inline c10::NAME atomicAdd(c10::NAME* address, c10::NAME value)
{ return atomicAdd(reinterpret_cast<CUDA_TYPE*>(address), FROM_BITS(value.x)); }
namespace at {
using c10::NAME;
template <> struct OpMathType<NAME> { using type = float; };
template <> struct OpMathType<CUDA_TYPE> { using type = float; };
template <bool on_gpu> struct AccumulateType<NAME, on_gpu> { using type = float; };
template <bool on_gpu> struct AccumulateType<CUDA_TYPE, on_gpu> { using type = float; };
}
"""
OPERATOR_TEXT = """
__host__ __device__ inline NAME operator@(NAME a, NAME b) { return float(a) @ float(b); }
__host__ __device__ inline NAME& operator@=(NAME& a, NAME b) { return a = a @ b; }
__host__ __device__ inline float operator@(NAME a, float b) { return float(a) @ b; }
__host__ __device__ inline float operator@(float a, NAME b) { return a @ float(b); }
__host__ __device__ inline float& operator@=(float& a, NAME b) { return a @= float(b); }
__host__ __device__ inline double operator@(NAME a, double b) { return double(a) @ b; }
__host__ __device__ inline double operator@(double a, NAME b) { return a @ double(b); }
__host__ __device__ inline NAME operator@(NAME a, int b) { return a @ NAME(float(b)); }
__host__ __device__ inline NAME operator@(int a, NAME b) { return NAME(float(a)) @ b; }
__host__ __device__ inline NAME operator@(NAME a, int64_t b) { return a @ NAME(float(b)); }
__host__ __device__ inline NAME operator@(int64_t a, NAME b) { return NAME(float(a)) @ b; }
"""
COMPARISON_TEXT = """
template <class T, class = typename T::from_bits_t>
__host__ __device__ bool operator@(T a, T b) { return float(a) @ float(b); }
"""
"""For two numbers of one type. PyTorch has none, because its build tools leave out the operators of __half, to which
these numbers convert as well as to float."""

LIMIT_TEXT = """
template <> class cuda::std::numeric_limits<c10::NAME> {
public:
    static constexpr bool is_specialized = true, is_signed = true, is_integer = false, is_exact = false;
    static constexpr bool has_infinity = INFINITE, has_quiet_NaN = true;
    static constexpr int digits = DIGITS, radix = 2;
VALUES};
"""
VALUE_TEXT = """\
    static constexpr __host__ __device__ c10::NAME {function}() {{ return {{{bits}, c10::NAME::from_bits()}}; }}
"""

COMPLEX = re.compile(r"\b(?:c10|at)::complex\b")
COMPLEX_TEXT = """
namespace c10 {
template <class T> struct alignas(2 * sizeof(T)) complex {
    using value_type = T;
    T real_ = 0, imag_ = 0;
    constexpr complex() = default;
    constexpr __host__ __device__ complex(const T& real, const T& imag = T()) : real_(real), imag_(imag) {}
    template <class U> explicit constexpr __host__ __device__ complex(const complex<U>& z)
        : real_(T(z.real_)), imag_(T(z.imag_)) {}
    constexpr __host__ __device__ T real() const { return real_; }
    constexpr __host__ __device__ T imag() const { return imag_; }
ASSIGNMENTS
};
OPERATORS
template <class T> constexpr __host__ __device__ complex<T> operator+(complex<T> a, complex<T> b)
{ return {a.real_ + b.real_, a.imag_ + b.imag_}; }
template <class T> constexpr __host__ __device__ complex<T> operator-(complex<T> a, complex<T> b)
{ return {a.real_ - b.real_, a.imag_ - b.imag_}; }
template <class T> constexpr __host__ __device__ complex<T> operator*(complex<T> a, complex<T> b)
{ return {a.real_ * b.real_ - a.imag_ * b.imag_, a.real_ * b.imag_ + a.imag_ * b.real_}; }
// Smith's division, which does not square the parts of b.
template <class T> constexpr __host__ __device__ complex<T> operator/(complex<T> a, complex<T> b) {
    T real = b.real_ < 0 ? -b.real_ : b.real_, imag = b.imag_ < 0 ? -b.imag_ : b.imag_;
    if (real >= imag) {
        if (real == 0) return {a.real_ / real, a.imag_ / imag};
        T ratio = b.imag_ / b.real_, scale = 1 / (b.real_ + b.imag_ * ratio);
        return {(a.real_ + a.imag_ * ratio) * scale, (a.imag_ - a.real_ * ratio) * scale};
    }
    T ratio = b.real_ / b.imag_, scale = 1 / (b.real_ * ratio + b.imag_);
    return {(a.real_ * ratio + a.imag_) * scale, (a.imag_ * ratio - a.real_) * scale};
}
template <class T> constexpr __host__ __device__ complex<T> operator+(complex<T> a) { return a; }
template <class T> constexpr __host__ __device__ complex<T> operator-(complex<T> a) { return {-a.real_, -a.imag_}; }
template <class T> constexpr __host__ __device__ bool operator==(complex<T> a, complex<T> b)
{ return a.real_ == b.real_ && a.imag_ == b.imag_; }
template <class T> constexpr __host__ __device__ bool operator!=(complex<T> a, complex<T> b) { return !(a == b); }
}
namespace at { using c10::complex; }
namespace std {
template <class T> constexpr __host__ __device__ c10::complex<T> conj(c10::complex<T> z) { return {z.real_, -z.imag_}; }
template <class T> constexpr __host__ __device__ T real(c10::complex<T> z) { return z.real_; }
template <class T> constexpr __host__ __device__ T imag(c10::complex<T> z) { return z.imag_; }
template <class T> constexpr __host__ __device__ T norm(c10::complex<T> z)
{ return z.real_ * z.real_ + z.imag_ * z.imag_; }
template <class T> __host__ __device__ T abs(c10::complex<T> z) { return hypot(z.real_, z.imag_); }
}
template <class T> __device__ c10::complex<T> atomicAdd(c10::complex<T>* address, c10::complex<T> value)
{ return {atomicAdd(&address->real_, value.real_), atomicAdd(&address->imag_, value.imag_)}; }
"""
COMPLEX_ASSIGNMENT = """\
    constexpr __host__ __device__ complex& operator@=(const complex& z) { return *this = *this @ z; }
"""
COMPLEX_OPERATOR = """\
template <class T> constexpr __host__ __device__ complex<T> operator@(complex<T> a, T b) { return a @ complex<T>(b); }
template <class T> constexpr __host__ __device__ complex<T> operator@(T a, complex<T> b) { return complex<T>(a) @ b; }
"""

FLOAT8 = re.compile(r"\bFloat8_e\w+")
FLOAT8_TEXT = """
namespace c10 {
struct alignas(1) NAME {
    unsigned char x;
    struct from_bits_t {};
    static constexpr __host__ __device__ from_bits_t from_bits() { return {}; }
    NAME() = default;
    constexpr __host__ __device__ NAME(unsigned char bits, from_bits_t) : x(bits) {}
    // What is too great is not the greatest number, but NaN or infinity, as in PyTorch on the host.
    __host__ __device__ NAME(float value)
        : x(value == value ? __nv_cvt_float_to_fp8(value, __NV_NOSAT, KIND) : value < 0 ? 0xff : 0x7f) {}
    __host__ __device__ operator float() const { return __half2float(__half(__nv_cvt_fp8_to_halfraw(x, KIND))); }
    __host__ __device__ bool isnan() const { return (x & 0x7f) > GREATEST; }
};
OPERATORS
__host__ __device__ inline NAME operator-(NAME a) { return NAME((unsigned char)(a.x ^ 0x80), NAME::from_bits()); }
}
namespace at {
using c10::NAME;
template <> struct OpMathType<NAME> { using type = float; };
template <bool on_gpu> struct AccumulateType<NAME, on_gpu> { using type = float; };
}
"""

PHILOX = re.compile(r"\b(?:PhiloxCudaState|philox)\b")
PHILOX_TEXT = """
namespace at {
// The seed of a generator, and the place in its sequence; by address, if it is captured in a graph.
struct PhiloxCudaState {
    union Payload { uint64_t val; int64_t* ptr; };
    Payload seed_{}, offset_{};
    uint64_t offset_intragraph_ = 0;
    bool captured_ = false;
};
namespace cuda { namespace philox {
__host__ __device__ inline std::tuple<uint64_t, uint64_t> unpack(PhiloxCudaState state) {
    if (state.captured_)
        return {uint64_t(*state.seed_.ptr), uint64_t(*state.offset_.ptr) + state.offset_intragraph_};
    return {state.seed_.val, state.offset_.val};
}
} }
}
"""

SPELLINGS = {
    "Half": {
        "CUDA_TYPE": "__half", "TO_BITS": "__half_as_ushort", "FROM_BITS": "__ushort_as_half",
        "FROM_FLOAT": "__float2half", "TO_FLOAT": "__half2float", "EXPLICIT ": "", "DIGITS": "11",
    },
    "BFloat16": {
        "CUDA_TYPE": "__nv_bfloat16", "TO_BITS": "__bfloat16_as_ushort", "FROM_BITS": "__ushort_as_bfloat16",
        "FROM_FLOAT": "__float2bfloat16", "TO_FLOAT": "__bfloat162float", "EXPLICIT ": "explicit ", "DIGITS": "8",
    },
    "Float8_e4m3fn": {"KIND": "__NV_E4M3", "GREATEST": "0x7e", "DIGITS": "4"},
    "Float8_e5m2": {"KIND": "__NV_E5M2", "GREATEST": "0x7c", "DIGITS": "3"},
}  # fmt: skip
HALVES, FLOAT8S = ("Half", "BFloat16"), ("Float8_e4m3fn", "Float8_e5m2")
LIMIT_BITS = {
    "min": ("0x0400", "0x0080", "0x08", "0x04"), "lowest": ("0xfbff", "0xff7f", "0xfe", "0xfb"),
    "max": ("0x7bff", "0x7f7f", "0x7e", "0x7b"), "epsilon": ("0x1400", "0x3c00", "0x20", "0x34"),
    "infinity": ("0x7c00", "0x7f80", "", "0x7c"), "quiet_NaN": ("0x7e00", "0x7fc0", "0x7f", "0x7f"),
    "denorm_min": ("0x0001", "0x0001", "0x01", "0x01"),
}  # fmt: skip
"""The bits of each function of std::numeric_limits, for each number type; no bits: it has no such number."""


def table(sources: Sequence[str], *, half: bool, heavy: bool) -> dict[str, str]:
    """The text of each header that the sources include. `half`: whether they use types of 16 bits; `heavy`: whether
    they use libcu++'s heavy headers."""
    names = {name for text in sources for name in INCLUDED.findall(text)}
    texts = {name: f"#include <{MAIN}>\n{SPECIAL.get(name, '')}" for name in names}
    eight = any(FLOAT8.search(text) for text in sources)
    types = [*(HALVES if half or eight else ()), *(FLOAT8S if eight else ())]
    headers = ["cuda_fp16.h", "cuda_bf16.h"] * (half or eight) + ["cuda_fp8.h"] * eight
    comparisons = "".join(COMPARISON_TEXT.replace("@", operator) for operator in ("<", ">", "<=", ">=", "==", "!="))
    parts = [
        TEXT,
        *(f"#include <{header}>\n" for header in headers),
        f"namespace c10 {{{comparisons}}}\n" if types else "",
        *(numbers_text(name, limits=heavy) for name in types),
        complex_text() if any(COMPLEX.search(text) for text in sources) else "",
        PHILOX_TEXT if heavy and any(PHILOX.search(text) for text in sources) else "",
    ]
    return texts | {MAIN: "".join(parts)}


def complex_text() -> str:
    """The complex number."""
    assignments, operators = (
        "".join(text.replace("@", operator) for operator in "+-*/") for text in (COMPLEX_ASSIGNMENT, COMPLEX_OPERATOR)
    )
    return COMPLEX_TEXT.replace("ASSIGNMENTS", assignments).replace("OPERATORS", operators)


def numbers_text(name: str, *, limits: bool) -> str:
    """The number type `name`, with its limits if `limits`."""
    operators = "".join(OPERATOR_TEXT.replace("@", operator) for operator in "+-*/")
    text = (NUMBER_TEXT if name in HALVES else FLOAT8_TEXT).replace("OPERATORS", operators)
    if limits:
        bits = {function: of_types[list(SPELLINGS).index(name)] for function, of_types in LIMIT_BITS.items()}
        values = (VALUE_TEXT.format(function=function, bits=value) for function, value in bits.items() if value)
        text += LIMIT_TEXT.replace("VALUES", "".join(values)).replace("INFINITE", str(bool(bits["infinity"])).lower())
    for word, spelling in {**SPELLINGS[name], "NAME": name}.items():
        text = re.sub(rf"\b{word}" if word[-1] == " " else rf"\b{word}\b", spelling, text)
    return text
