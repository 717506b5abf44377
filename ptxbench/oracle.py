"""Whether a pair's reference and tolerance would notice a wrong result. Knows pairs, and no kernel and no backend.

Forgeries stand for kernels that are wrong: one that writes zeros, one that errs in few elements, one that does not
read its input to the end. Each is judged as a kernel's outputs are. A kernel runs at every check size, so it is enough
that one of them rejects a forgery (a greatest element may well lie in the first nine tenths): the largest is asked
first, and the others only about what it accepts. Inputs of under ten elements have no last tenth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ptxbench.pair import Array, In, Pair, Size, is_float
from ptxbench.verify import ErrorOf, Expected, expect, verify

IN_SO_MANY = 1000
"""One element of so many is moved, and one at the least."""

TOLERANCES = 10
"""How far it is moved."""


def weaknesses(pair: Pair, seed: int, errors: Mapping[str, ErrorOf] | None = None) -> tuple[str, ...]:
    """The forgeries that every check size accepts, in words; none of a good oracle.

    `errors`: of the approximate instructions by opcode, as the kernels' own bounds are widened by. Raises what the
    functions of the pair raise on their own data.
    """
    accepted: dict[str, bool] = {}
    for size in sorted(pair.check_sizes, key=pair.compulsory_bytes, reverse=True):
        case = Case.of(pair, size, seed, errors or {})
        for name, forge in case.forgeries():
            if accepted.get(name, True) and (outputs := forge()) is not None:
                accepted[name] = case.accepts(outputs)
        if not any(accepted.values()):
            break
    return tuple(name for name, every in accepted.items() if every)


Forge = Callable[[], Mapping[str, Array] | None]
"""Makes wrong outputs; None where this size has none of the kind."""


@dataclass(frozen=True)
class Case:
    """One check size: the arguments, and what the outputs must be."""

    pair: Pair
    arguments: Mapping[str, Any]
    expected: Expected
    seed: int

    @classmethod
    def of(cls, pair: Pair, size: Size, seed: int, errors: Mapping[str, ErrorOf]) -> Case:
        arguments = pair.make_arguments(size, seed)
        return cls(pair, arguments, expect(pair, arguments).widened(errors), seed)

    def accepts(self, outputs: Mapping[str, Array]) -> bool:
        return verify(outputs, self.expected, "").worst is None

    def forgeries(self) -> Iterator[tuple[str, Forge]]:
        """What is wrong with each, in words, and what makes it."""
        right = self.outputs(self.expected)
        for name, array in right.items():
            yield f"'{name}' all zero", partial(dict, right, **{name: np.zeros_like(array)})
            yield (
                f"one element in {IN_SO_MANY} of '{name}' off by {TOLERANCES} tolerances",
                partial(self.with_few_moved, right, name),
            )
        for arg in self.pair.args:
            if isinstance(arg, In):
                yield f"the last tenth of '{arg.name}' taken as zero", partial(self.without_its_end, arg.name)

    def outputs(self, expected: Expected) -> dict[str, Array]:
        """The arrays that a kernel would leave whose every result is that of the reference, rounded."""
        left = {}
        for name, values in expected.outputs.items():
            array = np.zeros_like(self.arguments[name])
            at = expected.samples.get(name)
            array.reshape(-1)[slice(None) if at is None else at] = rounded(values.reshape(-1), array.dtype)
            left[name] = array
        return left

    def with_few_moved(self, right: Mapping[str, Array], name: str) -> Mapping[str, Array]:
        """A few elements of output `name` off by ten tolerances, or by the least step where that is more.

        The elements are drawn from the whole array: of an output that is verified by a Sample, few may lie in it.
        """
        flat = right[name].reshape(-1).copy()
        few = np.random.default_rng(self.seed).choice(flat.size, -(-flat.size // IN_SO_MANY), replace=False)
        bounds = np.zeros(flat.size)
        at = self.expected.samples.get(name)
        bounds[slice(None) if at is None else at] = self.expected.bounds[name].reshape(-1)
        flat[few] = apart(flat[few], TOLERANCES * bounds[few])
        return {**right, name: flat.reshape(right[name].shape)}

    def without_its_end(self, name: str) -> Mapping[str, Array] | None:
        """What the reference gives where the last tenth of input `name` is zero; None where it gives nothing."""
        cut = self.arguments[name].copy()
        if cut.size < 10:
            return None
        cut.reshape(-1)[cut.size - cut.size // 10 :] = 0
        try:
            with np.errstate(all="ignore"):
                changed = expect(self.pair, {**self.arguments, name: cut})
        except Exception:  # the pair's own code, on an input that it never promised to take: nothing to accept
            return None
        # other data may have other samples, and what cannot be compared is not accepted
        same = all(np.array_equal(changed.samples.get(out, ()), at) for out, at in self.expected.samples.items())
        return self.outputs(changed) if same else None


def rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        result: Array = values.astype(dtype)
    return result


def apart(values: Array, by: Array) -> Array:
    """`values` moved by `by`, or by one step of their type where that is more, away from the ends of its range."""
    if not is_float(values.dtype):
        middle = np.iinfo(values.dtype).max // 2
        steps = np.maximum(np.minimum(np.ceil(by), middle), 1).astype(values.dtype)
        other: Array = np.where(values > middle, values - steps, values + steps)
        return other
    with np.errstate(over="ignore", invalid="ignore"):
        exact = values.astype(np.float64)
        steps = np.maximum(by, np.abs(np.spacing(values)).astype(np.float64))
        moved: Array = (exact + np.where(exact > 0, -steps, steps)).astype(values.dtype)
    return moved
