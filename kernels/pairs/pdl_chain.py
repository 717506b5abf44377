"""pdl_chain: y[k] = v + w[k] (v / sqrt(mean(v^2) + eps)), v = y[k - 1] or x: a chain of launches, one for each layer.

A layer is an rmsnorm, a product of a matrix and a vector, and a residual. n is a multiple of 256.
"""

import numpy as np

from ptxbench.pair import Chain, In, Launch, Out, Pair, Scalar, f32, relative, u32

BLOCK = 256
ROWS = 8  # of a CTA: one for each warp
ROUNDING = 2.0**-24


def layers(x, w, eps):
    """For each layer its input v, the reciprocal of its root mean square, w v, and its output."""
    v = x
    for weights in w:
        scale = 1 / np.sqrt(np.mean(v * v) + eps)
        product = weights @ v
        y = v + scale * product
        yield v, scale, product, y
        v = y


def outputs(x, w, eps):
    return np.stack([y for *_, y in layers(x, w, eps)])


def errors(x, w, eps):
    """The greatest error of each output to the first order, in units of 2^-24.

    A layer adds its own roundings to the errors of its input. A lane adds n / 32 terms, and five additions join the
    lanes: of w v, and of the squares, whose root halves the error. The multiplication by 1 / n, the addition of
    eps and rsqrt.approx (2 ulp, 4 units) add 5; the last fma adds 1, of y.
    """
    error, layer_errors = np.zeros_like(x), []
    additions = x.size / 32 + 5
    for weights, (v, scale, product, y) in zip(np.abs(w), layers(x, w, eps), strict=True):
        of_product = weights @ (error + additions * np.abs(v))
        of_scale = scale**2 * np.mean(np.abs(v) * error) + additions / 2 + 5
        error = error + scale * (of_product + of_scale * np.abs(product)) + np.abs(y)
        layer_errors.append(error)
    return np.stack(layer_errors)


def weights(rng, shape, n, layers):
    """So small that a layer increases an error of its input by less than half."""
    return rng.uniform(-0.5, 0.5, shape) / n


def some_eps(rng, n, layers):
    """From far below the mean square of x up to about its size."""
    return 10 ** rng.uniform(-8, -1)


def chain(n, layers, dependent=True):
    return Launch(grid=n // ROWS, block=BLOCK, chain=Chain(layers, "layer", dependent=dependent))


def plain(n, layers):
    """Launches that start when the previous one has ended."""
    return chain(n, layers, dependent=False)


PAIR = Pair(
    purpose="How much of the gap between short kernels a programmatic dependent launch hides.",
    expectation=(
        "A tie of ptx and cuda, which are the same instructions. Both are ahead of ptx.none and cuda.none: by a tenth "
        "or more for n = 512, where the gaps between launches are most of the time, and by a few percent for n = 4096. "
        "ptx.first, which waits before it loads weights, and ptx.late, which lets the next layer start only at its "
        "end, are between ptx and ptx.none."
    ),
    args=[
        In("x", f32, lambda n, layers: (n,)),
        In("w", f32, lambda n, layers: (layers, n, n), values=weights),
        Out("y", f32, lambda n, layers: (layers, n)),
        Scalar("share", f32, lambda n, layers: 1 / n),
        Scalar("eps", f32, 1e-6, values=some_eps),
        Scalar("n", u32, lambda n, layers: n),
        Scalar("layer", u32, 0, values=(0, 0)),
    ],
    prediction="ties",
    by_request=("cuda.restrict", "ptx.first", "ptx.late"),
    launch=chain,
    launches={"cuda.none": plain, "ptx.none": plain},
    reference=lambda x, w, share, eps, n, layer: {"y": outputs(x, w, eps)},
    tolerance=relative(
        ROUNDING,
        of=lambda x, w, share, eps, n, layer: errors(x, w, eps),
        describe="2^-24 of the terms, and the layers before",
    ),
    check_sizes=[{"n": n, "layers": layers} for n, layers in ((256, 2), (256, 3), (512, 2))],
    bench_sizes=[{"n": n, "layers": 8} for n in (512, 1024, 2048, 4096)],
    # For each element of w a multiply-add; for each of v a square, an addition, a scaling and the residual.
    flops=lambda n, layers: layers * (2 * n * n + 4 * n),
    # y is read by the next layer as well.
    bytes=lambda n, layers: 4 * (layers * n * n + 2 * layers * n),
)
