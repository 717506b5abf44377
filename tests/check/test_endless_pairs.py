"""A pair whose own kernels never end at some sizes, such as with more keys than a hash table has slots."""

from ptxbench import discovery
from ptxbench.check import candidate_launcher, suite
from ptxbench.check.launching import FUEL, launch
from ptxbench.check.pair_kernels import USUAL, PairKernels
from ptxbench.check.stages import Checker
from ptxbench.check.suite import CheckSuite
from ptxbench.errors import FuelExhausted
from tests.check.judging import outcome
from tests.folders import kernels_folder

PAIR = """
from ptxbench.pair import EXACT, Launch, Out, Pair, Scalar, u32

PAIR = Pair(
    purpose="A loop that does not end with more keys than slots.",
    args=[
        Out("y", u32, lambda keys, slots: (keys,)),
        Scalar("keys", u32, lambda keys, slots: keys),
        Scalar("slots", u32, lambda keys, slots: slots),
    ],
    launch=lambda keys, slots: Launch(grid=1, block=32),
    reference=lambda keys, slots: {"y": [slots] * int(keys)},
    tolerance=EXACT,
    check_sizes=[{"keys": 1, "slots": 2}, {"keys": 3, "slots": 4}, {"keys": 50, "slots": 100}],
    bench_sizes=[{"keys": 1000, "slots": 2000}],
    flops=lambda keys, slots: 0,
)
"""
CUDA = """
extern "C" __global__ void scale(volatile unsigned* y, unsigned keys, unsigned slots)
{
    for (unsigned i = threadIdx.x; i < keys; i += 32)
        y[i] = slots;
    while (keys > slots && y[0] != 0x12345678)
        ;
}
"""


def test_launches_in_which_the_pairs_own_kernels_do_not_end_do_not_count_and_are_few(tmp_path, monkeypatch):
    reference = '{"y": np.full(int(keys), slots)}'
    pair = PAIR.replace('{"y": [slots] * int(keys)}', reference).replace("from ptx", "import numpy as np\nfrom ptx", 1)
    folder = kernels_folder(tmp_path, pair=pair, cuda=CUDA)
    ptx = PairKernels(discovery.load(folder, "scale"), "sm_90", None, None).executable["cuda"].ptx
    loaded = discovery.load(kernels_folder(tmp_path, pair=pair, cuda=CUDA, ptx=ptx), "scale")
    endless = []

    def counted(kernel, pair, case, options=USUAL, kept=None):
        try:
            return launch(kernel, pair, case, options, kept)
        except FuelExhausted:
            endless.append(options.fuel)
            raise

    monkeypatch.setattr(suite, "launch", counted)
    monkeypatch.setattr(candidate_launcher, "launch", counted)
    (candidate := tmp_path / "scale.cu").write_text(CUDA.replace("y[i] = slots;", "y[i] = slots + 0;"))
    own = CheckSuite(loaded, "sm_90", 1)
    assert outcome(Checker(own, candidate).judge()) == "accepted"
    assert endless.count(FUEL) == 2  # the candidate, and the pair's kernel that excuses it
    assert len(endless) > 2
    endless.clear()
    own.forget_candidate()
    assert outcome(Checker(own, candidate).judge()) == "accepted"
    assert FUEL not in endless
