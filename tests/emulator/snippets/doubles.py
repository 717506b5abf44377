"""Reference results of the kernels in doubles.cu, in float64; this machine may differ by an ulp or two."""

import math

import numpy as np

from tests.emulator.snippets import case, outputs


@case(relative=1e-15, absolute=1e-15)
def double_functions(rng):
    a, b = rng.uniform(-9, 9, 32), rng.uniform(0.1, 9, 32)
    away = np.trunc(a) + (abs(a - np.trunc(a)) >= 0.5) * np.sign(a)
    rows = [
        np.sin(a), np.cos(a), np.tan(a), np.exp(a), np.log(b), b**a, [math.erf(v) for v in a], np.tanh(a),
        np.fmod(a, b), np.cbrt(a), np.arctan2(a, b), 1 / np.sqrt(b), np.log1p(b), np.expm1(a), np.sinh(a),
        np.hypot(a, b), away,
        np.exp2(a), np.log2(b), np.arccos(a / 20),
    ]  # fmt: skip
    return [a, b, outputs(20, 32, dtype=np.float64)], {2: rows}
