"""A kernels folder with one small pair, `scale`, for tests to copy and to break."""

from pathlib import Path

PAIR = '''\
"""scale: y = a * x, one element a thread, a ragged last block."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, f32, u32

BLOCK = 128

PAIR = Pair(
    purpose="The smallest pair that can go wrong at its edge.",
    args=[
        In("x", f32, lambda n: (n,)),
        Out("y", f32, lambda n: (n,)),
        Scalar("a", f32, 2),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, BLOCK), block=BLOCK),
    reference=lambda x, a, n: {"y": a * x},
    tolerance=EXACT,
    check_sizes=[dict(n=n) for n in (1, 127, 128, 129)],
    bench_sizes=[dict(n=1 << k) for k in (10, 12)],
    flops=lambda n: n,
    exact_on_integers=True,
    flags={"fast": ["--use_fast_math"]},
)
'''

CUDA = """\
// scale: y = a * x, one element a thread.

extern "C" __global__ void scale(const float* x, float* y, float a, unsigned n)
{
    const unsigned i = 128 * blockIdx.x + threadIdx.x;
    if (i < n)
        y[i] = a * x[i];
}
"""

PTX = """\
// scale: y = a * x, one element a thread.

.version 6.3
.target sm_75
.address_size 64

.visible .entry scale(
    .param .u64 x,
    .param .u64 y,
    .param .f32 a,
    .param .u32 n
)
.maxntid 128, 1, 1
{
    .reg .u32   %thread, %block, %i, %n;
    .reg .u64   %x, %y, %at, %offset;
    .reg .f32   %a, %value;
    .reg .pred  %past;

    mov.u32     %thread, %tid.x;
    mov.u32     %block, %ctaid.x;
    mad.lo.u32  %i, %block, 128, %thread;
    ld.param.u32  %n, [n];
    setp.ge.u32   %past, %i, %n;
    @%past bra    DONE;

    ld.param.u64        %x, [x];
    ld.param.u64        %y, [y];
    ld.param.f32        %a, [a];
    cvta.to.global.u64  %x, %x;
    cvta.to.global.u64  %y, %y;
    mul.wide.u32        %offset, %i, 4;
    add.u64             %at, %x, %offset;
    ld.global.f32       %value, [%at];
    mul.rn.f32          %value, %value, %a;
    add.u64             %at, %y, %offset;
    st.global.f32       [%at], %value;
DONE:
    ret;
}
"""


def kernels_folder(at: Path, *, pair: str = PAIR, cuda: str = CUDA, ptx: str = PTX, name: str = "scale") -> Path:
    """Write one pair's three files under `at`/kernels and return that folder. An empty text leaves its file out."""
    folder = at / "kernels"
    for place, suffix, text in (("pairs", ".py", pair), ("cuda", ".cu", cuda), ("ptx", ".ptx", ptx)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        if text:
            (folder / place / f"{name}{suffix}").write_text(text, encoding="utf-8")
    return folder


def changed(text: str, old: str, new: str) -> str:
    """`text` with its one `old` replaced: a test must not pass if its change does not apply."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)
