"""How each architecture adds up the products of matrix instructions. Data, and its look-up.

The vendor does not document this arithmetic: others inferred it from hardware. TensorModel.origin says how well each
row is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ptxbench import architecture


@dataclass(frozen=True)
class TensorModel:
    """How a dot product is accumulated: in blocks of `block` products; a block's result is the next block's addend.

    Within a block each product and the addend are truncated to multiples of 2^-frac of the greatest one's power of two,
    and added exactly. An f16 result is rounded to nearest even; an f32 result is truncated to `result_bits` fraction
    bits. `halves`: as if converted to f16 and multiplied in two steps, k mod 4 in {0, 1} first, from 0; then the addend
    is added and rounded to nearest even. `group`: this many products are summed exactly, multiplied by the significands
    of their scales, and truncated as one term, whose power of two is that of the scales alone. `lowest`: the exponent
    of the greatest one's power of two is at least this; None if the types have no smaller exponent.
    """

    block: int
    frac: int
    origin: str
    """How well it is known: what follows "a model which" in a sentence."""
    result_bits: int = 23
    halves: bool = False
    group: int = 0
    lowest: int | None = None


CHECKED = "reproduces recorded hardware results"
PUBLISHED = "follows a published model that was checked against hardware (MMA-Sim)"
INFERRED = "reproduces recorded hardware results of four products; for eight it is inferred"
SPARSE = "is assumed to be that of a dense product of the elements that A keeps"
MODELS: dict[str, tuple[tuple[int, TensorModel], ...]] = {
    "f16": (
        (70, TensorModel(4, 23, CHECKED)),
        (75, TensorModel(8, 24, "is assumed to be that of sm_80")),
        (80, TensorModel(8, 24, CHECKED)),
        (90, TensorModel(16, 25, CHECKED)),
        (101, TensorModel(16, 25, "is assumed to be that of sm_100")),
    ),
    "bf16": (
        (80, TensorModel(8, 24, CHECKED, lowest=-132)),
        (90, TensorModel(16, 25, CHECKED, lowest=-133)),
        (101, TensorModel(16, 25, "is assumed to be that of sm_100", lowest=-133)),
    ),
    "tf32": (
        (80, TensorModel(4, 24, CHECKED, lowest=-132)),
        (90, TensorModel(8, 25, INFERRED, lowest=-133)),
    ),
    "fp8": (
        (89, TensorModel(16, 13, CHECKED, result_bits=13)),
        (
            90,
            TensorModel(
                16, 25, "reproduces recorded hardware results in f16, and in f32 of sm_100", halves=True
            ),
        ),
        (101, TensorModel(16, 25, "is assumed to be that of sm_100", halves=True)),
        (120, TensorModel(32, 25, PUBLISHED)),
        (121, TensorModel(32, 25, "is assumed to be that of sm_120")),
    ),
    **dict.fromkeys(("f8f6f4", "mxf8f6f4"), (
        (120, TensorModel(32, 25, PUBLISHED)),
        (121, TensorModel(32, 25, "is assumed to be that of sm_120")),
    )),
    "six bits": ((120, TensorModel(32, 25, "is assumed to be that of e4m3 on sm_120")),),
    **dict.fromkeys(("mxf4", "mxf4nvf4"), (
        (120, TensorModel(64, 35, PUBLISHED, group=16)),
        (121, TensorModel(64, 35, "is assumed to be that of sm_120", group=16)),
    )),
}  # fmt: skip
"""By the type of A or by .kind, the lowest architecture of each model. (One without its own uses the nearest.)"""


def model(arch: str, kind: str) -> TensorModel | None:
    """How `arch` accumulates products of a type of A (f16, bf16, tf32, e4m3, e5m2), or of a .kind of mma; None for
    integers and f64, which are exact, and if it has no such instruction."""
    rows = MODELS.get("fp8" if kind in ("e4m3", "e5m2") else kind, ())
    candidates = [candidate for least, candidate in rows if least <= architecture.number(arch)]
    return candidates[-1] if candidates else None


CHECKED_WITHOUT_C = f"{CHECKED} without an addend; with one, it follows published chains of an H100"
WARPGROUP_MODELS: dict[tuple[str, str], TensorModel] = {
    **{("f16", d): TensorModel(16, 25, PUBLISHED) for d in ("f32", "f16")},
    ("bf16", "f32"): TensorModel(16, 25, PUBLISHED, lowest=-133),
    ("tf32", "f32"): TensorModel(8, 25, PUBLISHED, lowest=-133),
    **{(kind, "f32"): TensorModel(32, 13, CHECKED_WITHOUT_C, result_bits=13) for kind in ("e4m3", "e5m2")},
    **{(kind, "f16"): TensorModel(32, 13, PUBLISHED, result_bits=13) for kind in ("e4m3", "e5m2")},
}  # fmt: skip
"""The models of wgmma, by the types of A and D."""


def warpgroup_model(kind: str, d: str) -> TensorModel | None:
    """How wgmma accumulates products of `kind` in `d`; None for integers and bits, which are exact."""
    return WARPGROUP_MODELS.get((kind, d))


TYPE = re.compile(r"[sufb]\d+|bf16|tf32|e\dm\d")


def of_opcode(opcode: str, a: str, arch: str) -> TensorModel | None:
    """The model of a matrix instruction whose A has the type `a`; None if it is exact."""
    name, *modifiers = opcode.split(".")
    types = [modifier for modifier in modifiers if TYPE.fullmatch(modifier)]
    kind = next((modifier.removeprefix("kind::") for modifier in modifiers if modifier.startswith("kind::")), "")
    if kind in ("f8f6f4", "mxf8f6f4") and {"e3m2", "e2m3"}.intersection(types):
        kind = "six bits"
    tensor_model = warpgroup_model(a, types[0]) if name == "wgmma" else model(arch, kind or a)
    sparse = any(modifier.partition("::")[0] == "sp" for modifier in modifiers)
    return replace(tensor_model, origin=SPARSE) if tensor_model and sparse else tensor_model
