"""Words that cannot be the name of a kernel. Data only."""

from __future__ import annotations

PTX = frozenset(
    """
    abs activemask add addc alloca and applypriority atom bar barrier bfe bfi bfind bmsk bra brev brkpt brx call clz
    cnot copysign cos cp createpolicy cvt cvta discard div dp2a dp4a elect ex2 exit fence fma fns getctarank
    griddepcontrol isspacep istypep ld ldmatrix ldu lg2 lop3 mad mad24 madc mapa match max mbarrier membar min mma
    mov movmatrix mul mul24 multimem nanosleep neg not or pmevent popc prefetch prefetchu prmt rcp red redux rem ret
    rsqrt sad selp set setmaxnreg setp shf shfl shl shr sin slct sqrt st stackrestore stacksave stmatrix sub subc
    suld suq sured sust szext tanh tcgen05 tensormap testp tex tld4 trap txq vabsdiff vabsdiff2 vabsdiff4 vadd vadd2
    vadd4 vavrg2 vavrg4 vmad vmax vmax2 vmax4 vmin vmin2 vmin4 vote vset vset2 vset4 vshl vshr vsub vsub2 vsub4
    wgmma wmma xor
    """.split()  # noqa: SIM905  a word a line would be 400 lines
)
"""The instruction keywords of PTX, which its manual reserves (section 4.3.2), although ptxas accepts some of them."""

CUDA = frozenset(
    """
    acos acosf acosh acoshf alignas alignof and_eq asin asinf asinh asinhf asm assert atan atan2 atan2f atanf atanh
    atanhf auto bitand bitor bool break case catch cbrt cbrtf ceil ceilf char char16_t char32_t class clock64
    clock_t compl const const_cast constexpr continue copysignf cosf cosh coshf cospi cospif cyl_bessel_i0
    cyl_bessel_i0f cyl_bessel_i1 cyl_bessel_i1f decltype default delete dim3 do double dynamic_cast else enum erf
    erfc erfcf erfcinv erfcinvf erfcx erfcxf erff erfinv erfinvf exp exp10 exp10f exp2 exp2f expf explicit expm1
    expm1f export extern fabs fabsf false fdim fdimf fdivide fdividef float floor floorf fmaf fmax fmaxf fmin fminf
    fmod fmodf for free frexp frexpf friend goto hypot hypotf if ilogb ilogbf inline int j0 j0f j1 j1f jn jnf labs
    ldexp ldexpf lgamma lgammaf llabs llmax llmin llrint llrintf llround llroundf log log10 log10f log1p log1pf log2
    log2f logb logbf logf long lrint lrintf lround lroundf main malloc modf modff mutable namespace nan nanf
    nearbyint nearbyintf new nextafter nextafterf noexcept norm norm3d norm3df norm4d norm4df normcdf normcdff
    normcdfinv normcdfinvf normf not_eq nullptr operator or_eq pow powf printf private protected ptrdiff_t public
    rcbrt rcbrtf register reinterpret_cast remainder remainderf remquo remquof return rhypot rhypotf rint rintf
    rnorm rnorm3d rnorm3df rnorm4d rnorm4df rnormf round roundf rsqrtf scalbln scalblnf scalbn scalbnf short signed
    sincos sincosf sincospi sincospif sinf sinh sinhf sinpi sinpif size_t sizeof sqrtf static static_assert
    static_cast std struct switch tan tanf tanhf template tgamma tgammaf this thread_local throw true trunc truncf
    try typedef typeid typename ullmax ullmin umax umin union unsigned using va_arg va_copy va_end va_list va_start
    virtual void volatile wchar_t while xor_eq y0 y0f y1 y1f yn ynf
    """.split()  # noqa: SIM905  a word a line would be 400 lines
)
"""Keywords of C++ and names of CUDA's own functions, which NVRTC 13 refuses for a kernel; without those of PTX."""
