"""Functions: called with parameters in .param variables or registers, nested, guarded; printf and assert."""

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.errors import KernelTrap, LaunchError, UnsupportedInstruction

HEAD = ".version 7.0\n.target sm_80\n.address_size 64\n"
STORE = """
.visible .entry k(.param .u64 out)
{
    .reg .u32  %i, %v, %w;
    .reg .u64  %out, %at;
    .reg .pred %p;
    mov.u32        %i, %tid.x;
    ld.param.u64   %out, [out];
    mul.wide.u32   %at, %i, 4;
    add.u64        %at, %at, %out;
    BODY
    st.global.u32  [%at], %v;
    ret;
}
"""
EITHER = """
.func (.param .b32 r) either(.param .b32 a, .param .b32 b)
{
    .reg .u32 %x, %y;
    .reg .pred %p;
    ld.param.u32 %x, [a];
    ld.param.u32 %y, [b];
    setp.gt.u32  %p, %x, 5;
    @%p bra BIG;
    mul.lo.u32   %x, %x, %y;
    st.param.b32 [r], %x;
    ret;
BIG:
    st.param.b32 [r+0], %y;
    ret;
}
"""
CALL_EITHER = """
    {
        .param .b32 p0; .param .b32 p1; .param .b32 r0;
        st.param.b32 [p0], %i;
        st.param.b32 [p1], 7;
        call.uni (r0), either, (p0, p1);
        ld.param.b32 %v, [r0];
    }
"""
NEXT = ".func (.reg .u32 r) next(.reg .u32 a) { add.u32 r, a, 1; ret; }\n"


def run(functions, body, threads=40):
    out = np.zeros(threads, np.uint32)
    execution = emulator.run(HEAD + functions + STORE.replace("BODY", body), grid=1, block=threads, args=[out])
    return out, execution


def test_a_call_with_stack_parameters_returns_on_each_path():
    out, _ = run(EITHER, CALL_EITHER)
    assert out.tolist() == [i * 7 if i <= 5 else 7 for i in range(40)]


def test_a_guarded_call_leaves_the_other_lanes_alone():
    out, _ = run(NEXT, "mov.u32 %v, %i; setp.lt.u32 %p, %i, 8; @%p call (%v), next, (%v);")
    assert out.tolist() == [i + (i < 8) for i in range(40)]


SWAP = """
.func (.reg .v2 .u32 r) swap(.reg .v2 .u32 a, .reg .u32 b)
{
    add.u32 r.x, a.y, b;
    mov.u32 r.y, a.x;
    ret;
}
"""
REVERSE = """
.func (.reg .v2 .u32 r) reverse(.reg .v2 .u32 a)
{
    .reg .v2 .u32 t;
    .reg .pred %last;
    setp.eq.u32 %last, a.x, 0;
    mov.v2.u32  r, a;
    @%last ret;
    sub.u32     t.x, a.x, 1;
    add.u32     t.y, a.y, 2;
    call (r), reverse, (t);
    ret;
}
"""
SWAP_CALLS = [
    # the functions, the call; %v must be 40 * i + 3
    (SWAP, "call (t), swap, (t, 3); mad.lo.u32 %v, t.y, 40, t.x;"),
    (SWAP, """
        .reg .u64 f;
        mov.u64 f, swap;
        PROTO: .callprototype (.reg .v2 .u32 _) _ (.reg .v2 .u32 _, .reg .u32 _);
        call (t), f, (t, 3), PROTO;
        mad.lo.u32 %v, t.y, 40, t.x;"""),
    (REVERSE, "mov.u32 t.x, %i; call (t), reverse, (t); mad.lo.u32 %v, t.y, 20, 3;"),
]  # fmt: skip


@pytest.mark.parametrize(("functions", "call"), SWAP_CALLS, ids=["by name", "by address", "recursive"])
def test_a_vector_register_is_a_parameter_and_a_result(functions, call):
    body = f"{{ .reg .v2 .u32 t; mov.v2.u32 t, {{%i, 0}}; {call} }}"
    out, _ = run(functions, body)
    assert out.tolist() == [40 * i + 3 for i in range(40)]


def test_two_calls_of_one_function_do_not_share_registers():
    out, _ = run(NEXT, "call (%v), next, (%i); call (%w), next, (%v); mul.lo.u32 %v, %v, %w;")
    assert out.tolist() == [(i + 1) * (i + 2) for i in range(40)]


def test_an_indexed_branch_sends_each_lane_to_its_label():
    body = """
    and.b32 %w, %i, 3;
    T: .branchtargets A, B, C;
    brx.idx %w, T;
    A: mov.u32 %v, 10; bra E;
    B: mov.u32 %v, 20; bra E;
    C: mov.u32 %v, 30;
    E:"""
    out, execution = run("", body)
    assert out.tolist() == [(10, 20, 30, 30)[i & 3] for i in range(40)]
    assert (execution.counters["ptx_branches"], execution.counters["ptx_divergent_branches"]) == (2, 2)


def test_a_list_of_labels_may_be_a_range():
    body = """
    and.b32 %w, %i, 3;
    T: .branchtargets N<3>, LAST;
    brx.idx %w, T;
    N0: mov.u32 %v, 10; bra E;
    N1: mov.u32 %v, 20; bra E;
    N2: mov.u32 %v, 30; bra E;
    LAST: mov.u32 %v, 40;
    E:"""
    out, _ = run("", body)
    assert out.tolist() == [(10, 20, 30, 40)[i & 3] for i in range(40)]


def test_a_list_of_functions_may_be_a_range():
    functions = "".join(f".func (.reg .u32 r) f{k}(.reg .u32 a) {{ add.u32 r, a, {k + 5}; ret; }}\n" for k in range(2))
    body = """
    {
        .reg .u64 %f, %g;
        .reg .pred %odd;
        mov.u64 %f, f0;
        mov.u64 %g, f1;
        and.b32 %w, %i, 1;
        setp.ne.u32 %odd, %w, 0;
        selp.b64 %f, %g, %f, %odd;
        T: .calltargets f<2>;
        call (%v), %f, (%i), T;
    }"""
    out, _ = run(functions, body)
    assert out.tolist() == [i + 5 + i % 2 for i in range(40)]


DISCARDED = [
    ("call (_), pair, (%i);",                 "a param",     ".func (.param .u32 r) pair(.reg .u32 a) {"),
    ("call (_), pair, (%i);",                 "a register",  ".func (.reg .u32 r) pair(.reg .u32 a) {"),
    ("call (_, %v), pair, (%i);",             "one of two",  ".func (.reg .u32 q, .reg .u32 r) pair(.reg .u32 a) {"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "head"), DISCARDED, ids=[kind for _, kind, _ in DISCARDED])
def test_a_call_may_discard_its_results(call, kind, head):
    result = "st.param.u32 [r], 9;" if ".param" in head else "mov.u32 r, 9;"
    functions = f".global .u32 calls;\n{head} red.global.add.u32 [calls], 1; {result} ret; }}\n"
    out, _ = run(functions, f"mov.u32 %v, 3; {call} mad.lo.u32 %v, %v, 100, 40; ld.global.u32 %w, [calls];", threads=1)
    assert out.tolist() == [940 if "%v" in call else 340]


def test_a_call_of_printf_may_discard_its_result():
    functions = ".extern .func (.param .b32 r) vprintf(.param .b64 text, .param .b64 values);\n"
    functions += ".global .b8 text[4] = {104, 105, 10, 0};\n"
    body = """
    {
        .param .b64 t; .param .b64 v;
        .reg .u64 %t;
        cvta.global.u64 %t, text;
        st.param.b64 [t], %t;
        st.param.b64 [v], 0;
        call (_), vprintf, (t, v);
        mov.u32 %v, 1;
    }"""
    _, execution = run(functions, body, threads=2)
    assert execution.printed == "hi\nhi\n"


def test_an_entry_that_is_only_declared_is_no_kernel():
    out, _ = run(".extern .entry other();\n", "mov.u32 %v, 5;")
    assert set(out.tolist()) == {5}
    text = HEAD + ".extern .entry other();\n" + STORE.replace("BODY", "mov.u32 %v, 5;")
    with pytest.raises(LaunchError, match=r"no entry 'other'; it has: k\."):
        emulator.run(text, "other", grid=1, block=1, args=[])


def test_a_function_without_a_body_is_refused_by_name():
    with pytest.raises(
        UnsupportedInstruction, match=r"'missing' has no body in this file, and the emulator links no other files\."
    ):
        run(".extern .func missing(.reg .u32 a);\n", "call missing, (%i);")


@pytest.fixture
def compiled(tmp_path):
    """The PTX by NVRTC of CUDA C with an entry `k`."""

    def compile_(source):
        return toolchain.compiled(source.encode(), tmp_path / "k.cu", "sm_90", ())[0]

    return compile_


def test_printf_prints_lane_by_lane_with_every_kind_of_argument(compiled):
    ptx = compiled(r"""
    extern "C" __global__ void k(const int* x) {
        if (threadIdx.x % 16 == 3)
            printf("i=%d %5.2f %s %lld %c %x%%\n", x[threadIdx.x], threadIdx.x / 4.0, "hey", 1ll << 40, 'c', 255u);
    }""")
    execution = emulator.run(ptx, grid=1, block=32, args=[np.arange(32, dtype=np.int32)])
    assert execution.printed == "i=3  0.75 hey 1099511627776 c ff%\ni=19  4.75 hey 1099511627776 c ff%\n"
    assert execution.order == "ascending"


def test_printf_writes_numbers_as_c_does(compiled):
    ptx = compiled(r"""
    extern "C" __global__ void k(int none) {
        printf("%hhd|%hd|%#o|%05.3d|%.0d|%.*d|%-*d|%lu|%+i\n", 300, 70000, 8, 7, 0, -1, 5, -4, 7, 1ul << 40, none);
        printf("%.f|%a|%A|%.2a|%+a|%08.1f|%p|%8p|%5c|%.3s|%s\n", 2.5, 0.1, 1.5, 3.0, 1.0, 1.0 / none, (void*)0,
               (void*)16, 'x', "word", (char*)0);
    }""")
    execution = emulator.run(ptx, grid=1, block=1, args=[np.int32(0)])
    assert execution.printed.splitlines() == [  # as glibc prints it
        "44|4464|010|  007||5|7   |1099511627776|+0",
        "2|0x1.999999999999ap-4|0X1.8P+0|0x1.80p+1|+0x1p+0|     inf|(nil)|    0x10|    x|wor|(null)",
    ]


@pytest.mark.parametrize("placement", [None, 4, 5])
def test_printf_prints_a_string_in_shared_memory_wherever_it_starts(compiled, placement):
    ptx = compiled(r"""
    extern "C" __global__ void k() {
        __shared__ char text[4];
        text[threadIdx.x] = "abc"[threadIdx.x];
        __syncthreads();
        if (threadIdx.x == 0) printf("%s\n", text);
    }""")
    assert emulator.run(ptx, grid=2, block=4, args=[], placement=placement).printed == "abc\nabc\n"


def test_a_failed_assert_stops_the_launch_with_its_text(compiled):
    ptx = compiled(r"""
    extern "C" __global__ void k(const int* x) {
        if (x[threadIdx.x] == 20) __assertfail("x != 20", "k.cu", 4, "k", 1);
    }""")
    with pytest.raises(KernelTrap, match=r"thread 20 of CTA 0: k\.cu:4: k: the assertion `x != 20` failed\."):
        emulator.run(ptx, grid=1, block=32, args=[np.arange(32, dtype=np.int32)])


def test_nvrtc_kernels_with_constants_local_arrays_and_noinline_templates_run(compiled):
    ptx = compiled(r"""
    __constant__ float weights[4] = {1, 2, 3, 4};
    template <int N> __device__ __noinline__ float dot(float x, const float* w) {
        float sum = 0;
        for (int i = 0; i < N; ++i) sum += w[i] * x;
        return sum;
    }
    extern "C" __global__ void k(float* out) {
        float local[8];
        for (int j = 0; j < 8; ++j) local[j] = threadIdx.x + j;
        out[threadIdx.x] = dot<4>(local[out[threadIdx.x] != 0 ? 1 : (3 * threadIdx.x) & 7], weights);
    }""")
    out = np.zeros(32, np.float32)
    emulator.run(ptx, grid=1, block=32, args=[out])
    assert out.tolist() == [10 * (i + (3 * i & 7)) for i in range(32)]


def test_memory_for_each_cta_may_be_asked_for():
    """Only its registers, which the emulator lacks, give its address. (PTX ISA 9.4, ".minperctamemory".)"""
    out = np.zeros(1, np.uint32)
    text = HEAD + STORE.replace(".u64 out)\n", ".u64 out)\n.minperctamemory 1024\n").replace("BODY", "mov.u32 %v, 7;")
    emulator.run(text, grid=1, block=1, args=[out])
    assert out.tolist() == [7]


def test_directives_may_follow_each_other_without_a_space():
    """cuda_fp16.hpp has `{.reg.b16 hl; ...}`."""
    out, _ = run("", "{.reg.b32 twice; add.u32 twice, %i, %i; mov.b32 %v, twice; }")
    assert out.tolist() == [2 * i for i in range(40)]
