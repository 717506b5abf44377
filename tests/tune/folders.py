"""The small pair of the tests with a knob: BLOCK, in both kernels and in the launch."""

from tests.folders import CUDA, PAIR, PTX, changed, kernels_folder

KNOB_PAIR = changed(
    changed(
        changed(PAIR, "launch=lambda n: Launch", "launch=lambda n, BLOCK=BLOCK: Launch"),
        "from ptxbench.pair",
        "from ptxbench.knobs import Knob\nfrom ptxbench.pair",
    ),
    '    flags={"fast": ["--use_fast_math"]},\n',
    '    knobs=[Knob("BLOCK", BLOCK, (32, 64, 128, 256, 2048), "threads of a CTA")],\n',
)

KNOB_CUDA = changed(
    changed(CUDA, 'extern "C"', '#ifndef BLOCK\n#define BLOCK 128\n#endif\n\nextern "C"'),
    "128 * blockIdx.x",
    "BLOCK * blockIdx.x",
).replace("__global__ void", "__global__ void __launch_bounds__(BLOCK)")

KNOB_PTX = changed(
    changed(PTX, ".maxntid 128,", ".maxntid 128 /*= BLOCK */,"),
    "%block, 128, %thread",
    "%block, 128 /*= BLOCK */, %thread",
)


def knobs_folder(at, **texts):
    """The pair's folder of kernels under `at`; `texts` in place of its files."""
    return kernels_folder(at, **{"pair": KNOB_PAIR, "cuda": KNOB_CUDA, "ptx": KNOB_PTX} | texts)
