"""How close ptxas puts two instructions that need the same pipe."""

import functools
from itertools import pairwise

from ptxbench import pipes

pipe_of = functools.cache(pipes.pipe)


def opcode(body):
    first, *others = body.split()
    return others[0] if first.startswith("@") else first


def neighbours(kernels, arch):
    """(pipe, first opcode, second, stall of the first) of neighbours that need one pipe; IMAD goes where FMA does."""
    joint = {pipes.FMA, pipes.IMAD} if pipes.rates(arch)[pipes.FMA].cycles > 1 else set()
    for runs in kernels:
        for run in runs:
            needs = [(name := opcode(body), pipe_of(name, arch), control.stall) for body, control in run]
            for (first, a, stall), (second, b, _) in pairwise(needs):
                if a == b or {a, b} == joint:
                    yield a, first, second, stall


def require_rates(arch, kernels):
    """No instruction of a kernel is issued sooner than the table says, and the table has every opcode."""
    rates = pipes.rates(arch)
    for entry, runs in kernels.items():
        for name, first, second, stall in neighbours([runs], arch):
            if name in rates and rates[name].state == pipes.PTXAS:
                assert stall >= rates[name].cycles, f"{entry}: {first}, {second}"
    names = {opcode(body) for runs in kernels.values() for run in runs for body, _ in run}
    unknown = sorted(name for name in names if pipe_of(name, arch) is None)
    assert not unknown, f"opcodes without a pipe: {unknown}"
