"""A pair `affine` whose kernels take structs: an inner struct, a vector type, pointers and a bool among the members."""

from pathlib import Path

PAIR = '''\
"""affine: y = a x + b, with the arguments in structs."""

from ptxbench.pair import In, Launch, Out, Pair, Scalar, Struct, ceil_div, close, f32, s32, u8, u32

PAIR = Pair(
    purpose="Structs as parameters.",
    args=[
        Struct("p", [
            Scalar("first", u8, 0, values=(0, 1)),
            Struct("scale", [Scalar(name, f32, value) for name, value in zip("abcd", (2, 1, 0, 0))], align=16),
            Struct("source", [
                In("x", f32, lambda n: (n,)),
                Scalar("n", s32, lambda n: n),
            ]),
            Out("y", f32, lambda n: (n,)),
            Scalar("negate", u8, 1, values=(0, 1)),
        ]),
        Struct("seed", [Scalar("s", u32, 5, values=(0, 15)), Scalar("t", u32, 3, values=(0, 15))], align=8),
        Scalar("shift", f32, 0.5),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, 128), block=128),
    reference=lambda first, a, b, c, d, x, n, negate, s, t, shift: {
        "y": (a * x + b) * (-1 if negate else 1) + (int(s) ^ int(t)) + shift
    },
    tolerance=close(rtol=1e-5, atol=1e-5),
    check_sizes=[dict(n=n) for n in (1, 257)],
    bench_sizes=[dict(n=1 << 12)],
    flops=lambda n: 2 * n,
)
'''

CUDA = """\
struct Source { const float* data; int n; };
struct Params { bool first; float4 scale; Source in; float* out; bool negate; };

extern "C" __global__ void affine(const Params p, uint2 seed, float shift)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= p.in.n)
        return;
    const float y = p.scale.x * p.in.data[i] + p.scale.y;
    p.out[i] = (p.negate ? -y : y) + float(seed.x ^ seed.y) + shift;
}
"""

PTX = """\
.version 6.3
.target sm_75
.address_size 64

.visible .entry affine(
    .param .align 16 .b8 p[64],
    .param .align 8 .b8 seed[8],
    .param .f32 shift
)
{
    .reg .u32   %thread, %threads, %block, %i, %n, %flag, %s, %t;
    .reg .f32   %a, %b, %x, %y, %whole, %shift;
    .reg .u64   %source, %target, %offset;
    .reg .pred  %past, %negate;

    mov.u32 %thread, %tid.x;
    mov.u32 %threads, %ntid.x;
    mov.u32 %block, %ctaid.x;
    mad.lo.u32 %i, %block, %threads, %thread;
    ld.param.u32 %n, [p + 40];
    setp.ge.s32 %past, %i, %n;
    @%past ret;

    ld.param.v2.f32 {%a, %b}, [p + 16];
    ld.param.u64 %source, [p + 32];
    ld.param.u64 %target, [p + 48];
    cvta.to.global.u64 %source, %source;
    cvta.to.global.u64 %target, %target;
    mul.wide.u32 %offset, %i, 4;
    add.u64 %source, %source, %offset;
    add.u64 %target, %target, %offset;
    ld.global.f32 %x, [%source];
    fma.rn.f32 %y, %a, %x, %b;
    ld.param.u8 %flag, [p + 56];
    setp.ne.u32 %negate, %flag, 0;
    @%negate neg.f32 %y, %y;
    ld.param.v2.u32 {%s, %t}, [seed];
    xor.b32 %s, %s, %t;
    cvt.rn.f32.u32 %whole, %s;
    add.f32 %y, %y, %whole;
    ld.param.f32 %shift, [shift];
    add.f32 %y, %y, %shift;
    st.global.f32 [%target], %y;
    ret;
}
"""


def write(kernels: Path) -> Path:
    """The three files of the pair below a folder; returns the folder."""
    for language, suffix, text in (("pairs", "py", PAIR), ("cuda", "cu", CUDA), ("ptx", "ptx", PTX)):
        (kernels / language).mkdir(parents=True, exist_ok=True)
        (kernels / language / f"affine.{suffix}").write_text(text)
    return kernels
