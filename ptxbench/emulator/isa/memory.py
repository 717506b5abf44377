"""PTX ISA, Data Movement and Conversion Instructions: ld, st and cache operations."""

from typing import Any

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime import conditions, policies
from ptxbench.emulator.types import B64, F32

instruction = Chapter("Data Movement and Conversion Instructions: ld, st", counted="memory")

LD = "data-movement-and-conversion-instructions-ld"
LD_NC = "data-movement-and-conversion-instructions-ld-global-nc"
LDU = "data-movement-and-conversion-instructions-ldu"
ST = "data-movement-and-conversion-instructions-st"

SCALARS = (*(f"{kind}{bits}" for bits in (32, 8, 16, 64) for kind in "bus"), "f32", "f64", "b128")
PAIRS = tuple(name for name in SCALARS if name != "b128")
FOURS = tuple(name for name in PAIRS if not name.endswith("64"))
WIDE_FOURS = tuple(name for name in PAIRS if name.endswith("64"))
EIGHTS = ("b8", "u8", "s8")  # ptxas reads .v8 of 16 bits too, and crashes on it
SCALAR = (("", SCALARS),)
LDU_WIDTHS = (*SCALAR, (".v2", PAIRS), (".v4", FOURS))
WIDTHS = (*LDU_WIDTHS, (".v8", EIGHTS))
LONGEST = ((".v8", ("b32", "u32", "s32", "f32")), (".v4", WIDE_FOURS))
"""32 bytes per lane, in global memory only; these may say how long L2 keeps the bytes."""
GLOBAL_WIDTHS = (*WIDTHS, *LONGEST)
"""(.vec, types)."""

OTHER_SPACES = ("shared", "shared::cta", "shared::cluster", "local", "const", "param", "param::entry", "param::func")
SHARED = ("shared", "shared::cta", "shared::cluster")
STORED_SPACES = (*SHARED, "local", "param", "param::func")
L1 = tuple(f"L1::{name}" for name in ("evict_normal", "evict_unchanged", "evict_first", "evict_last", "no_allocate"))
L2 = tuple(f"L2::{name}" for name in ("evict_normal", "evict_first", "evict_last"))
PREFETCH = ("L2::64B", "L2::128B", "L2::256B")
LOAD_CACHE = ("ca", "cg", "cs", "lu", "cv")
STORE_CACHE = ("wb", "cg", "cs", "wt")
SCOPES = ("cta", "cluster", "gpu", "sys")

NO_CACHE = "no cache is modelled"
IN_ORDER = "memory is always in order here: warps run one after the other, and CTAs where one may wait for another"
IGNORED = {
    "weak": "the default",
    **dict.fromkeys(("cache", "l1", "l2", "prefetch"), NO_CACHE),
    **dict.fromkeys(("order", "scope"), IN_ORDER),
}


def lines(head, tail, operands, section, widths, *, hinted=False, **sets):
    """Decorator: the line HEAD.vec.TAIL for each width; with `hinted`, also with a cache policy as last operand."""
    ignored = {name: why for name, why in IGNORED.items() if name in sets or f"{{.{name}}}" in head}
    forms = [(head, operands)]
    if hinted:
        forms.append((f"{head}.L2::cache_hint", f"{operands}, policy:u64"))

    def register(body):
        for vec, types in widths:
            for start, values in forms:
                syntax = f"{start}{tail}{'.vec' if vec else ''}.type {values}"
                if vec:
                    syntax = syntax.replace(" d,", " {d},").replace(" b", " {b}")
                more: dict[str, Any] = {"vec": (vec[1:],)} if vec else {}
                instruction(syntax, type=types, section=section, ignored=ignored, **sets, **more)(body)
        return body

    return register


# Modifiers of a load or store for order, cache and width, by space. Generic accesses have no `space`.


@lines("ld{.weak}.space{.cache}", "", "d, [a]", LD, WIDTHS, space=OTHER_SPACES, cache=LOAD_CACHE)
@lines("ld{.weak}{.space}{.cache}", "{.prefetch}", "d, [a]", LD, GLOBAL_WIDTHS, hinted=True, space=("global",),
       cache=(*LOAD_CACHE, *L1), prefetch=PREFETCH)  # fmt: skip
@lines("ld{.weak}{.space}{.cache}.l2", "{.prefetch}", "d, [a]", LD, LONGEST, hinted=True, space=("global",),
       cache=(*LOAD_CACHE, *L1), l2=L2, prefetch=PREFETCH)  # fmt: skip
@lines("ld.global{.cache}.nc", "{.prefetch}", "d, [a]", LD_NC, GLOBAL_WIDTHS, hinted=True,
       cache=("ca", "cg", "cs", *L1), prefetch=PREFETCH)  # fmt: skip
@lines("ld.global{.cache}.nc.l2", "{.prefetch}", "d, [a]", LD_NC, LONGEST, hinted=True,
       cache=("ca", "cg", "cs", *L1), l2=L2, prefetch=PREFETCH)  # fmt: skip
@lines("ldu{.space}", "", "d, [a]", LDU, LDU_WIDTHS, space=("global",))
def ld(ops, a, type, space="global", vec=None):
    """Without a space, the address's window determines it."""
    return ops.load(space_of(space), a, type, registers(vec))


@lines("ld.volatile.space", "", "d, [a]", LD, WIDTHS, space=(*SHARED, "local"))
@lines("ld.volatile{.space}", "{.prefetch}", "d, [a]", LD, GLOBAL_WIDTHS, space=("global",), prefetch=PREFETCH)
@lines("ld.volatile{.space}.l2", "{.prefetch}", "d, [a]", LD, LONGEST, space=("global",), l2=L2, prefetch=PREFETCH)
@lines("ld.order.scope.space", "", "d, [a]", LD, WIDTHS, order=("relaxed", "acquire"), scope=SCOPES, space=SHARED)
@lines("ld.order.scope{.space}{.l1}", "{.prefetch}", "d, [a]", LD, GLOBAL_WIDTHS, hinted=True,
       order=("relaxed", "acquire"), scope=SCOPES, space=("global",), l1=L1, prefetch=PREFETCH)  # fmt: skip
@lines("ld.order.scope{.space}{.l1}.l2", "{.prefetch}", "d, [a]", LD, LONGEST, hinted=True,
       order=("relaxed", "acquire"), scope=SCOPES, space=("global",), l1=L1, l2=L2, prefetch=PREFETCH)  # fmt: skip
@lines("ld.mmio.relaxed.sys{.space}", "", "d, [a]", LD, SCALAR, space=("global",))
def ld_waiting(ops, a, type, space, vec=None):
    """Like ld; in a loop it may wait for another thread, so it shortens the warp's turn."""
    if space_of(space) != "local":
        ops.poll()
    return ops.load(space_of(space), a, type, registers(vec))


@lines("st{.weak}.space{.cache}", "", "[a], b", ST, WIDTHS, space=STORED_SPACES, cache=STORE_CACHE)
@lines("st{.weak}{.space}{.cache}", "", "[a], b", ST, GLOBAL_WIDTHS, hinted=True, space=("global",),
       cache=(*STORE_CACHE, *L1))  # fmt: skip
@lines("st{.weak}{.space}{.cache}.l2", "", "[a], b", ST, LONGEST, hinted=True, space=("global",),
       cache=(*STORE_CACHE, *L1), l2=L2)  # fmt: skip
def st(ops, a, b, space, vec=None, present=()):
    """If lanes write the same byte, the highest lane's value stays. `present`: which elements `b` has, if others are
    `_` (resolve.py)."""
    if present:
        ops.store_parts(space_of(space), a, b, present, registers(vec))
        return
    ops.store(space_of(space), a, ops.require_count(b, registers(vec)) if vec else (b,))


@lines("st.volatile.space", "", "[a], b", ST, WIDTHS, space=(*SHARED, "local"))
@lines("st.volatile{.space}", "", "[a], b", ST, GLOBAL_WIDTHS, space=("global",))
@lines("st.volatile{.space}.l2", "", "[a], b", ST, LONGEST, space=("global",), l2=L2)
@lines("st.order.scope.space", "", "[a], b", ST, WIDTHS, order=("relaxed", "release"), scope=SCOPES, space=SHARED)
@lines("st.order.scope{.space}{.l1}", "", "[a], b", ST, GLOBAL_WIDTHS, hinted=True, order=("relaxed", "release"),
       scope=SCOPES, space=("global",), l1=L1)  # fmt: skip
@lines("st.order.scope{.space}{.l1}.l2", "", "[a], b", ST, LONGEST, hinted=True, order=("relaxed", "release"),
       scope=SCOPES, space=("global",), l1=L1, l2=L2)  # fmt: skip
@lines("st.mmio.relaxed.sys{.space}", "", "[a], b", ST, SCALAR, space=("global",))
def st_awaited(ops, a, b, space, vec=None, present=()):
    """Like st; another thread may wait for it, so the warp gives way before more is stored."""
    st(ops, a, b, space, vec, present)
    if space_of(space) != "local":
        ops.give_way(ops.active)


def space_of(space):
    """The space of an access from its modifier; "generic" without one."""
    return "cluster" if space == "shared::cluster" else space.split("::")[0] if space else "generic"


def registers(vec):
    """How many registers an access has."""
    return int(vec[1:]) if vec else 1


# ---- caches: nothing is counted, and only discard has an effect


def cache_only(syntax, anchor, **sets):
    return instruction(
        syntax, section=f"data-movement-and-conversion-instructions-{anchor}", ignored=dict.fromkeys(sets, NO_CACHE),
        **sets
    )  # fmt: skip


@cache_only("prefetch{.space}.level [a]", "prefetch-prefetchu", space=("global", "local"), level=("L1", "L2"))
@cache_only(
    "prefetch{.space}.level [a]", "prefetch-prefetchu", space=("global",), level=("L2::evict_last", "L2::evict_normal")
)
def prefetch(ops, a, space):
    """A hint, also for an address outside all memory; the sanitizer reports those as a remark."""
    if space != "local":
        ops.watching.prefetch(a)


@cache_only("prefetchu.L1 [a]", "prefetch-prefetchu")
def prefetchu(ops, a):
    """The same."""
    ops.watching.prefetch(a)


@cache_only("prefetch{.space}.tensormap [a]", "prefetch-prefetchu", space=("const", "param"))
@cache_only("applypriority{.space}.L2::evict_normal [a], size:u32", "applypriority", space=("global",))
def hint():
    """A hint."""


@cache_only("discard{.space}.L2 [a], size:u32", "discard", space=("global",))
def discard(ops, a, space):
    """The 128 bytes are unspecified afterwards, so the emulator overwrites them."""
    ops.discard(space_of(space), a)


PRIMARY = ("L2::evict_last", "L2::evict_normal", "L2::evict_first", "L2::evict_unchanged")
SECONDARY = ("L2::evict_first", "L2::evict_unchanged")


@cache_only("createpolicy.fractional.primary{.secondary}.b64 d:u64", "createpolicy", primary=PRIMARY,
            secondary=SECONDARY)  # fmt: skip
@cache_only("createpolicy.cvt.L2.b64 d:u64, a:u64", "createpolicy")
def createpolicy(e):
    """PTX does not specify a policy's bits; here all are 0, unless the registers of the GPU vary."""
    return e.condition(conditions.DRIVER, B64)


@cache_only("createpolicy.fractional.primary{.secondary}.b64 d:u64, fraction:f32", "createpolicy", primary=PRIMARY,
            secondary=SECONDARY)  # fmt: skip
def createpolicy_of_fraction(e, ops, fraction):
    """The same; the fraction must be in (0, 1]."""
    above = e.compare("gt", fraction, e.constant(0.0, F32))
    upto = e.compare("le", fraction, e.constant(1.0, F32))
    require_policy(ops, e.not_(e.and_(above, upto)), policies.NO_FRACTION)
    return createpolicy(e)


@cache_only("createpolicy.range{.space}.primary{.secondary}.b64 d:u64, [a], first:u32, total:u32", "createpolicy",
            space=("global",), primary=PRIMARY, secondary=SECONDARY)  # fmt: skip
def createpolicy_of_range(e, ops, first, total):
    """The same; the primary size must be less than or equal to the total size."""
    require_policy(ops, e.compare("gt", first, total), policies.LARGER)
    return createpolicy(e)


def require_policy(ops, wrong, reason):
    """A fault of the first active lane where the predicate `wrong` is true."""
    if wrong.constant == 0:
        return
    lanes = ops.ballot(wrong)
    check = ops.function(policies.CHECK)
    ops.e.line(f"call void @{check}(ptr %env, ptr {ops.site('policy')}, i32 {lanes}, i64 {reason})")
