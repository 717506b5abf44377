"""PTX instructions that the emulator does not support, and why; the only list of them. Data only, and a look-up.

A test checks it: no opcode here may be in the table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """Instructions that are not supported: by name and modifiers, and why."""

    what: str
    opcodes: tuple[str, ...]
    reason: str

    def covers(self, opcode: str) -> bool:
        """Whether `opcode` has the name and all modifiers of one of them, in any order."""
        name, *modifiers = opcode.split(".")
        return any(
            listed.split(".")[0] == name and set(listed.split(".")[1:]) <= set(modifiers) for listed in self.opcodes
        )  # fmt: skip


TEXTURES = "no textures and surfaces are modelled: their filtering and addressing are the hardware's own"

UNSUPPORTED = (
    Missing("textures and surfaces", ("tex", "tld4", "txq", "istypep", "suld", "sust", "sured", "suq"), TEXTURES),
    Missing("stochastic roundings to other types than bf16x2",
            tuple(f"cvt.rs.{to}" for to in ("f16x2", "e4m3x4", "e5m2x4", "e2m3x4", "e3m2x4", "e2m1x4")),
            "only a device shows which random bits count below the normal range"),
    Missing("tensor memory and its matrix operations", ("tcgen05",), "not yet: sm_100 follows sm_90"),
    Missing("tensor copies in other modes than tile",
            tuple(f"{name}.{mode}" for name in ("cp.async.bulk.tensor", "cp.async.bulk.prefetch.tensor",
                                                "cp.reduce.async.bulk.tensor")
                  for mode in ("im2col", "im2col_no_offs", "im2col::w", "im2col::w::128", "tile::gather4",
                               "tile::scatter4")),
            "no document says how im2col, gather and scatter treat every edge: only a device shows it"),
    Missing("tensor copies that signal a pair of CTAs", ("cp.async.bulk.tensor.cta_group::2",),
            "not yet: pairs of CTAs come with tensor memory"),
    Missing("cancelled launches of a whole cluster",
            ("clusterlaunchcontrol.try_cancel.async.multicast::cluster::all",), "not yet: sm_100 follows sm_90"),
    Missing("addresses of many GPUs", ("multimem", "fabric"), "one GPU is modelled"),
    Missing("asynchronous release stores and updates of global memory", ("st.async.release", "red.async.release"),
            "not yet: sm_100 follows sm_90"),
    Missing("some forms of PTX ISA 9.3 to 9.5",
            ("sin.2pi", "cos.2pi", "atom.noftz.f32", "red.noftz.f32", "cp.reduce.async.bulk.noftz.f32",
             "ld.proxy::readonly", "prefetch.valid_addr", "ldmatrix.s8.s4",
             "cp.async.bulk.wait_group.sync_restrict::proxy::async", "mbarrier.check_layout", "applypriority.async",
             "spcompress", "spdecompress",
             *(f"cvt.rz.{to}" for to in ("e4m3x2", "e5m2x2", "e2m3x2", "e3m2x2", "s2f6x2"))),
            "not yet: they need the newest ptxas"),
)  # fmt: skip


def why(opcode: str) -> Missing | None:
    """Why `opcode` is not supported; None if it is not listed here."""
    return next((missing for missing in UNSUPPORTED if missing.covers(opcode)), None)
