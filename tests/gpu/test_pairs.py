"""Every variant of every shipped pair on the device: at every check size, or at the first where it is simulated.

The simulated device executes the same PTX on the emulator as tests/kernels/test_pairs.py, which takes every check size.
"""

import os

import pytest

from ptxbench import discovery, toolchain, verify
from ptxbench.discovery import specialisation
from ptxbench.languages import has_own_threads
from tests import simulated
from tests.emulator.pairs import lowest_target
from tests.quick import every

KERNELS = discovery.default_kernels()


CASES = [(name, assembler) for name in discovery.find_pairs(KERNELS) for assembler in ("toolkit", "driver")]


@pytest.mark.parametrize(("name", "assembler"), every(9, CASES))  # of both assemblers some
def test_every_variant_agrees_with_the_reference_at_the_check_sizes(gpu, name, assembler):
    loaded = discovery.load(KERNELS, name)
    pair = loaded.pair
    sm = gpu.device().sm
    if lowest_target(KERNELS / f"{name}.ptx") > int(sm[3:].rstrip("af")):
        return  # this device lacks the feature of the pair
    sources = [source for source in loaded.sources if not has_own_threads(source.language)]  # these: test_tile.py
    archs = [specialisation.split(source.path.stem)[1] or sm for source in sources]
    with toolchain.builders() as pool:  # all at once, so that they share starts of nvdisasm
        builds = [*pool.map(toolchain.build_source, sources, archs, [assembler] * len(sources))]
    is_simulated = simulated.VARIABLE in os.environ
    cases = []
    for size in pair.check_sizes[:1] if is_simulated else pair.check_sizes:
        for integers in {False, pair.exact_on_integers and not is_simulated}:
            arguments = pair.make_arguments(size, seed=1, integers=integers)
            cases.append((size, arguments, verify.expect(pair, arguments, integers=integers)))
    for source, built in zip(sources, builds, strict=True):
        assert (built.cubin is None) == (assembler == "driver")
        wrong = []
        for size, arguments, expected in cases:
            outcome = gpu.run(built, pair.launch_of(source.variant)(**size), arguments, pair.outputs)
            verdict = verify.verify(outcome.outputs, expected, f"{source.path.name}, {size}")
            wrong += [verdict.worst] if verdict.worst else []
            assert outcome.counts is None
        assert bool(wrong) == (source.variant in pair.must_fail), wrong
