"""The limits of a device, in words."""

from __future__ import annotations

from ptxbench.result import RooflineLimits
from ptxbench.units import si


def limits_words(limits: RooflineLimits) -> str:
    """`Limits of H100 SXM: 3.350 TB/s, f32 67.00 Tflop/s, tensor 989.0 Tflop/s (published: ...).`"""
    rates = [
        si(limits.bytes_per_s, "B/s"),
        *(f"{name} {si(rate, 'flop/s')}" for name, rate in (("f32", limits.f32), ("tensor", limits.tensor)) if rate),
    ]
    return f"Limits of {limits.device}: {', '.join(rates)} ({limits.source})."
