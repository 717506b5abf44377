"""The checksum kernel for device memory, on the emulator: every bit, position and key changes the sum."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.backends import checksum
from ptxbench.backends.checksum import Checksum

PTX = Path(checksum.__file__).with_name("checksum.ptx").read_text(encoding="ascii")
KEY = 0x0123456789ABCDEF
M = (1 << 64) - 1


def mixed(word, i, key):
    """splitmix64's finalizer, by Python's whole numbers."""
    z = word ^ (i + 1) * 0x9E3779B97F4A7C15 & M ^ key
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M
    z = (z ^ z >> 27) * 0x94D049BB133111EB & M
    return z ^ z >> 31


def summed(words, key=KEY, ctas=2):
    total = np.zeros(1, np.uint64)
    emulator.run(
        PTX, "checksum", grid=(ctas, 1, 1), block=(256, 1, 1), arch="sm_90",
        args=[words, np.uint64(words.size), np.uint64(key), total],
    )  # fmt: skip
    return int(total[0])


@pytest.fixture(scope="module")
def words():
    return np.random.default_rng(1).integers(0, M, 1000, np.uint64, endpoint=True)


def test_the_sum_is_of_each_word_once_whatever_the_grid(words):
    wanted = sum(mixed(int(word), i, KEY) for i, word in enumerate(words)) & M
    assert [summed(words, ctas=ctas) for ctas in (1, 2, 5)] == [wanted] * 3  # a stride, a ragged one, idle CTAs
    assert summed(words[:1]) == mixed(int(words[0]), 0, KEY)


def test_any_change_changes_the_sum_and_so_does_the_key(words):
    before = summed(words)
    for index, bit in ((0, 0), (511, 31), (512, 32), (999, 63)):
        changed = words.copy()
        changed[index] ^= np.uint64(1 << bit)
        assert summed(changed) != before
    exchanged = words.copy()
    exchanged[[3, 900]] = words[[900, 3]]
    moved = words.copy()
    moved[7] += np.uint64(1)
    moved[8] -= np.uint64(1)  # keeps a plain sum
    assert len({before, summed(exchanged), summed(moved), summed(words, KEY ^ 1), summed(np.zeros_like(words))}) == 5


@pytest.mark.parametrize(("size", "count", "ctas"), [(1, 1, 1), (8, 1, 1), (2049, 257, 2), (1 << 40, 1 << 37, 4096)])
def test_a_last_word_that_is_not_whole_counts_and_the_grid_stays_small(size, count, ctas):
    launched = []
    cuda = SimpleNamespace(
        alloc=lambda size: SimpleNamespace(ptr=64, memset_async=lambda *arguments: None),
        runtime=SimpleNamespace(memcpyAsync=lambda *arguments: None, memcpyDeviceToHost="down"),
    )
    stream = SimpleNamespace(ptr=0, synchronize=lambda: None)
    sums = Checksum(cuda, stream, lambda: lambda *arguments: launched.append(arguments))
    assert sums(4096, size) == 0
    [(grid, block, (address, words, key, total), shared, _)] = launched
    assert (grid, block, address, words, total, shared) == ((ctas,), (256,), 4096, count, 64, 0)
    assert key == sums.key != Checksum(cuda, stream, None).key
