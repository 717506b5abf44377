"""Whether a PAIR is valid: every rule that can be checked without a kernel. A problem is a sentence with file and
line."""

from __future__ import annotations

import inspect
import keyword
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ptxbench import architecture, tensor_map
from ptxbench.arrays import is_float
from ptxbench.discovery.execute import describe, line_of
from ptxbench.discovery.sweep_rules import Problem, is_size, is_whole, sweep_problems
from ptxbench.discovery.text import PairText, Step
from ptxbench.documents import GREATEST
from ptxbench.errors import PairError
from ptxbench.knobs import Knob
from ptxbench.libraries import Gemm
from ptxbench.pair import (
    PREDICTIONS,
    Argument,
    ArrayArgument,
    Chain,
    In,
    InOut,
    Launch,
    Out,
    Pair,
    Scalar,
    Scratch,
    Tolerance,
)
from ptxbench.structs import steps_to_arguments
from ptxbench.tensor_map import TensorMap

MOST_THREADS = 1024
"""The most threads of a block, on every architecture."""

MOST_CLUSTER = 16
"""The most CTAs of a cluster, if a device has clusters and the kernel requests more than the portable 8."""


def check(pair: Pair, text: PairText) -> None:
    """Raise PairError for the first thing that is wrong with `pair`."""
    for part, sentence in problems(pair):
        raise PairError(f"{text.at_part(part)}: {sentence}")
    for field in ("check_sizes", "bench_sizes"):
        for number, size in enumerate(getattr(pair, field)):
            check_size(pair, size, text, (field, number))


def check_for_builds(pair: Pair, text: PairText) -> None:
    """Raise PairError for the first thing that is wrong with the fields that decide what is built."""
    for part, sentence in (*flag_problems(pair.flags), *variant_problems(pair)):
        raise PairError(f"{text.at_part(part)}: {sentence}")


def check_size(pair: Pair, size: Mapping[str, int], text: PairText, part: Sequence[Step]) -> None:
    """Raise PairError if the pair's functions fail for `size`, which is at `part` of the pair, or return an impossible
    value."""
    for problem in size_problems(pair, size):
        if problem.line_of_size:
            where = text.at_part(part)
        elif problem.error and (line := line_of(problem.error, text.path)):
            where = text.at(line)
        else:
            where = text.at_function(problem.function, problem.part)
        raise PairError(f"{where}: {problem.sentence}")


def problems(pair: Pair) -> Iterator[Problem]:
    """What is wrong with the fields themselves."""
    if not isinstance(pair.purpose, str):
        yield ("purpose",), f"purpose is {pair.purpose!r}. It must be a sentence."
    if not isinstance(pair.expectation, str):
        yield ("expectation",), f"expectation is {pair.expectation!r}. It must be a sentence, or be left out."
    yield from prediction_problems(pair.prediction)
    yield from argument_problems(pair)
    for field in ("launch", "reference", "flops"):
        if not callable(getattr(pair, field)):
            yield (field,), f"{field} is {getattr(pair, field)!r}. It must be a function."
    if pair.bytes is not None and not callable(pair.bytes):
        yield ("bytes",), f"bytes is {pair.bytes!r}. It must be a function of the size, or be left out."
    if not isinstance(pair.tolerance, Tolerance):
        yield (
            ("tolerance",),
            f"tolerance is {pair.tolerance!r}. It must be EXACT, close(...), ulps(...) or relative(...).",
        )
    elif not isinstance(pair.tolerance.describe, str) or not callable(pair.tolerance.bound):
        yield ("tolerance",), f"tolerance is {pair.tolerance!r}. It must be Tolerance(words, function)."
    for field in ("check_sizes", "bench_sizes"):
        yield from sizes_problems(field, getattr(pair, field))
    yield from flag_problems(pair.flags)
    yield from variant_problems(pair)
    yield from knob_problems(pair)
    yield from reference_problems(pair)
    yield from data_problems(pair)


def prediction_problems(prediction: object) -> Iterator[Problem]:
    """A prediction that is neither a word of PREDICTIONS nor one for each architecture."""
    wanted = "Use one of " + ", ".join(f"'{word}'" for word in PREDICTIONS)
    if not isinstance(prediction, Mapping):
        if prediction != "" and prediction not in PREDICTIONS:
            yield ("prediction",), f"prediction is {prediction!r}. {wanted}, or a dict with one for each architecture."
        return
    for arch, word in prediction.items():
        if not isinstance(arch, str) or architecture.parse(arch) is None:
            yield ("prediction",), f"prediction has the key {arch!r}. Use an architecture such as 'sm_90'."
        elif word not in PREDICTIONS:
            yield ("prediction",), f"prediction is {word!r} for {arch}. {wanted}."


def argument_problems(pair: Pair) -> Iterator[Problem]:
    """Invalid kinds, names, dtypes and functions of the arguments."""
    args = pair.args
    if not isinstance(args, Sequence) or not args:
        yield ("args",), f"args is {args!r}. It must list the kernel's parameters in signature order."
        return
    parts = steps_to_arguments(pair.args, pair.structs)
    for part, arg in zip(parts, args, strict=True):
        if not isinstance(arg, Argument):
            yield part, f"args holds {arg!r}. It may hold In, Out, InOut, Scratch, Scalar, TensorMap and Struct."
            return
        if not isinstance(arg.name, str) or not arg.name.isidentifier() or keyword.iskeyword(arg.name):
            yield (
                (*part, "name"),
                f"{kind(arg)} is named {arg.name!r}, which is not a valid Python name. The reference takes it by name.",
            )
        if isinstance(arg, TensorMap):
            yield from (((*part, field), sentence) for field, sentence in map_problems(arg, args))
            continue
        if not isinstance(arg.dtype, np.dtype) or not (is_float(arg.dtype) or arg.dtype.kind in "iu"):
            yield (
                (*part, "dtype"),
                f"{kind(arg)} '{arg.name}' has dtype {arg.dtype!r}. Use f32, u32, ... of ptxbench.pair.",
            )
        if isinstance(arg, ArrayArgument) and not callable(arg.shape):
            yield (
                (*part, "shape"),
                f"{kind(arg)} '{arg.name}' has shape {arg.shape!r}. It must be a function of the size.",
            )
        elif isinstance(arg, Scalar) and not callable(arg.value) and (problem := number_problem(arg.value, arg.dtype)):
            sentence = f"{problem.removesuffix('.')}, or a function of the size."
            yield (*part, "value"), f"Scalar '{arg.name}' is {arg.value!r}. {sentence}"
        elif isinstance(arg, InOut | Scratch) and (problem := number_problem(arg.start, arg.dtype)):
            yield (*part, "start"), f"{kind(arg)} '{arg.name}' has start {arg.start!r}. {problem}"
        if isinstance(arg, In | InOut) and arg.values is not None and not callable(arg.values):
            yield (
                (*part, "values"),
                f"{kind(arg)} '{arg.name}' has values {arg.values!r}. It must be a function (rng, shape, **size).",
            )
        if isinstance(arg, Scalar) and (problem := scalar_problem(arg)):
            wanted = "It must be (low, high) or a function (rng, **size)"
            yield (*part, "values"), f"Scalar '{arg.name}' has values {arg.values!r}, {problem}. {wanted}."
        if isinstance(arg, In | InOut) and (problem := legal_problem(arg)):
            wanted = "It must be a range (low, high) of whole numbers"
            yield (*part, "legal"), f"{kind(arg)} '{arg.name}' has legal {arg.legal!r}, {problem}. {wanted}."
        if isinstance(arg, In):
            yield from (((*part, field), f"In '{arg.name}' has {sentence}") for field, sentence in input_problems(arg))
    for struct in pair.structs:
        if not isinstance(struct.name, str) or not struct.name.isidentifier():
            yield ("args",), f"a Struct is named {struct.name!r}. Give it the name of the parameter."
    names = [*(arg.name for arg in args), *(struct.name for struct in pair.structs)]
    for name, times in Counter(names).items():
        if times > 1:
            second = names.index(name, names.index(name) + 1)
            part = parts[second] if second < len(parts) else ("args",)
            yield part, f"{times} arguments are named '{name}'. Give each its own name."
    if not any(isinstance(arg, Out | InOut) for arg in args):
        yield ("args",), "no argument is an Out or InOut, so there is nothing to verify. Say what the kernel writes."


def input_problems(arg: In) -> Iterator[tuple[str, str]]:
    """What is wrong with the fields that only an input has: the field, and the rest of a sentence."""
    if arg.integers is not None and (problem := range_problem(arg.integers, np.dtype(np.int64))):
        wanted = "It must be a range (low, high) of whole numbers, or None to draw by `values`"
        yield "integers", f"integers {arg.integers!r}, {problem}. {wanted}."
    for field in ("related", "widened"):
        if not isinstance(value := getattr(arg, field), bool):
            yield field, f"{field} {value!r}. It must be True or False."


def map_problems(arg: TensorMap, args: Sequence[Argument]) -> Iterator[tuple[str, str]]:
    """What is wrong with a tensor map, whatever the size: the field, and a sentence."""
    arrays = [other.name for other in args if isinstance(other, ArrayArgument)]
    if arg.of not in arrays:
        yield "of", f"TensorMap '{arg.name}' is of {arg.of!r}. It must be of an array: {', '.join(arrays)}."
    if not callable(arg.box) and shape_problem(arg.box):
        sentence = "It must be a tuple of whole numbers or a function of the size."
        yield "box", f"TensorMap '{arg.name}' has box {arg.box!r}. {sentence}"
    if shape_problem(arg.element_strides):
        sentence = "It must be a tuple of whole numbers, or be left out."
        yield "element_strides", f"TensorMap '{arg.name}' has element_strides {arg.element_strides!r}. {sentence}"
    if not isinstance(arg.element, str | None):
        sentence = "It must be a type such as 'f16', or be left out."
        yield "element", f"TensorMap '{arg.name}' has element {arg.element!r}. {sentence}"
    for name in ("shape", "strides"):
        if (function := getattr(arg, name)) is not None and not callable(function):
            yield (
                name,
                f"TensorMap '{arg.name}' has {name} {function!r}. It must be a function of the size, or be left out.",
            )


def scalar_problem(arg: Scalar) -> str | None:
    """What is wrong with the values that a scalar may have; None if nothing is."""
    return None if arg.values is None or callable(arg.values) else range_problem(arg.values, arg.dtype)


def legal_problem(arg: In | InOut) -> str | None:
    """What is wrong with the range of whole numbers that is legal in an input; None if nothing is."""
    if arg.legal is None:
        return None
    if isinstance(arg, InOut) and arg.values is None:
        return "but no values"
    return "and holds floats" if is_float(arg.dtype) else range_problem(arg.legal, arg.dtype)


def range_problem(bounds: Any, dtype: np.dtype[Any]) -> str | None:
    """What is wrong with a closed range (low, high) of numbers of this type; None if nothing is."""
    number = int | float | np.number
    if not isinstance(bounds, tuple) or len(bounds) != 2 or not all(isinstance(bound, number) for bound in bounds):
        return "not two numbers"
    low, high = (bound.item() if isinstance(bound, np.number) else bound for bound in bounds)
    if not low <= high:
        return "not in order"
    greatest = sys.float_info.max
    if low < -greatest or high > greatest or high - low > greatest:
        return "not finite"
    if not is_float(dtype):
        limits = np.iinfo(dtype)
        if low < limits.min or high > limits.max or low != int(low) or high != int(high):
            return f"not whole numbers of {dtype}"
    return None


def kind(arg: Argument) -> str:
    return type(arg).__name__


def sizes_problems(field: str, sizes: Any) -> Iterator[Problem]:
    """Check or bench sizes that are missing, or not mappings of names to whole numbers."""
    if not isinstance(sizes, Sequence) or not sizes:
        yield (field,), f"{field} is {sizes!r}. It must list at least one size, such as dict(n=1024)."
        return
    for number, size in enumerate(sizes):
        if not is_size(size):
            advice = advice_on_numpy(size.values()) if isinstance(size, Mapping) else ""
            yield (field, number), f"{field} holds {size!r}. A size names whole numbers, such as dict(n=1024).{advice}"


def advice_on_numpy(values: Iterable[Any]) -> str:
    """What to do about numbers of NumPy, which a result file cannot have; empty without them."""
    of_numpy = any(isinstance(value, np.number) for value in values)
    return " Write int(...) around a number of NumPy." if of_numpy else ""


def variant_problems(pair: Pair) -> Iterator[Problem]:
    """Fields about variants that do not name them, or name those that every run needs."""
    needs = {
        "by_request": "Every run needs 'cuda' and 'ptx'; name other variants.",
        "must_fail": "The variants 'cuda' and 'ptx' must be right; name others.",
    }
    for field, why in needs.items():
        variants = getattr(pair, field)
        if (
            isinstance(variants, str)
            or not isinstance(variants, Sequence)
            or any(type(variant) is not str for variant in variants)
        ):
            yield (field,), f"{field} is {variants!r}. It must list names of variants, such as 'cuda.strided'."
            continue
        for name in sorted({"cuda", "ptx"} & set(variants)):
            yield (field, list(variants).index(name)), f"{field} names '{name}'. {why}"
    if not isinstance(pair.launches, Mapping) or not all(callable(launch) for launch in pair.launches.values()):
        yield (
            ("launches",),
            f"launches is {pair.launches!r}. It must be a dict of functions by variant, such as "
            "{'cuda.strided': lambda n: Launch(...)}.",
        )


def flag_problems(flags: Any) -> Iterator[Problem]:
    """`flags` that are not a mapping of a short name to NVRTC options."""
    if not isinstance(flags, Mapping):
        yield ("flags",), f'flags is {flags!r}. It must be a dict such as {{"fast": ["--use_fast_math"]}}.'
        return
    for name, options in flags.items():
        if not isinstance(name, str) or not name.replace("_", "").isalnum():
            yield ("flags", name), f"flags names a row {name!r}. Use letters, digits and _."
        if (
            isinstance(options, str)
            or not isinstance(options, Sequence)
            or not all(isinstance(option, str) for option in options)
        ):
            yield ("flags", name), f"flags gives '{name}' {options!r}. It must be a list of NVRTC options."


def knob_problems(pair: Pair) -> Iterator[Problem]:
    """Knobs that are not Knobs, or share a name with a dimension; and the other fields that only a sweep uses."""
    if not isinstance(pair.knobs, Sequence) or not all(isinstance(knob, Knob) for knob in pair.knobs):
        yield ("knobs",), f"knobs is {pair.knobs!r}. It must list Knob(...) of ptxbench.knobs."
        return
    dimensions = {name for size in (*pair.check_sizes, *pair.bench_sizes) for name in size}
    for number, knob in enumerate(pair.knobs):
        part = ("knobs", number)
        if not isinstance(knob.name, str) or not knob.name.isidentifier() or keyword.iskeyword(knob.name):
            yield (*part, "name"), f"a Knob is named {knob.name!r}, which is not a valid Python name."
        elif knob.name in dimensions:
            yield (*part, "name"), f"the knob {knob.name} has the name of a dimension of the size. Give it another."
        values = knob.values if isinstance(knob.values, Sequence) else [None]
        if not values or not all(is_whole(value) for value in (knob.default, *values)):
            sentence = f"Give whole numbers below 2^64.{advice_on_numpy((knob.default, *values))}"
            yield part, f"the knob {knob.name} has {knob.default!r} and {knob.values!r}. {sentence}"
        if not isinstance(knob.describe, str):
            yield part, f"the knob {knob.name} has the description {knob.describe!r}. It must be a text."
    for name, times in Counter(knob.name for knob in pair.knobs).items():
        if times > 1:
            yield ("knobs",), f"{times} knobs are named '{name}'. Give each its own name."
    for field in ("restriction", "observe"):
        if getattr(pair, field) is not None and not callable(getattr(pair, field)):
            yield (field,), f"{field} is {getattr(pair, field)!r}. It must be a function, or be left out."
    yield from sweep_problems(pair.sweep)
    yield from library_problems(pair)


def library_problems(pair: Pair) -> Iterator[Problem]:
    """Libraries that are unknown, and calls of arguments that the pair lacks."""
    if not isinstance(pair.libraries, Mapping):
        yield ("libraries",), f"libraries is {pair.libraries!r}. It must be a dict, such as {{'cublas': Gemm()}}."
        return
    arguments = {arg.name for arg in pair.args}
    for name, call in pair.libraries.items():
        if name != "cublas" or not isinstance(call, Gemm):
            yield ("libraries", name), f"libraries has {name!r}: {call!r}. Expected 'cublas': Gemm(...)."
        elif unknown := sorted({*call.arrays, *call.dimensions} - arguments):
            yield (
                ("libraries", name),
                f"the library '{name}' takes {', '.join(unknown)}. Expected arguments of the pair.",
            )


def data_problems(pair: Pair) -> Iterator[Problem]:
    """Fields that decide which data a reference gets, and which data are drawn."""
    for field in ("exact_on_integers", "timed_on_integers"):
        if not isinstance(value := getattr(pair, field), bool):
            yield (field,), f"{field} is {value!r}. It must be True or False."
    if pair.timed_on_integers and not pair.exact_on_integers:
        yield ("timed_on_integers",), "timed_on_integers is True without exact_on_integers. Set both, or neither."
    inputs = {arg.name for arg in pair.args if isinstance(arg, In)}
    names = pair.by_rows
    if isinstance(names, str) or not isinstance(names, Sequence) or any(not isinstance(name, str) for name in names):
        yield ("by_rows",), f"by_rows is {names!r}. It must list names of inputs, such as 'x'."
        return
    if unknown := [name for name in names if name not in inputs]:
        yield ("by_rows",), f"by_rows names {unknown[0]!r}, expected inputs of the pair: {', '.join(sorted(inputs))}."


def reference_problems(pair: Pair) -> Iterator[Problem]:
    """A reference that does not take the arguments by name."""
    if not callable(pair.reference):
        return
    names = [arg.name for arg in pair.args if not isinstance(arg, Out | Scratch | TensorMap)]
    if misfit := does_not_take(pair.reference, names):
        yield ("reference",), f"reference must take {', '.join(names)}: {misfit}."


def does_not_take(function: Callable[..., Any], names: Sequence[str]) -> str | None:
    """Why `function` cannot be called with keywords `names`; None if it can."""
    try:
        inspect.signature(function).bind(**dict.fromkeys(names))
    except TypeError as error:
        return str(error)
    except ValueError:  # a built-in without a signature: only a call shows it
        return None
    return None


@dataclass(frozen=True)
class SizeProblem:
    """What is wrong with a function of the pair at a size. `error`: what it raised; `line_of_size`: whether the size
    may be at fault as well, because the function does not take its dimensions."""

    part: tuple[Step, ...]
    sentence: str
    function: Callable[..., Any] | None = None
    error: BaseException | None = None
    line_of_size: bool = False


def size_problems(pair: Pair, size: Mapping[str, int]) -> Iterator[SizeProblem]:
    """The first error when the pair's functions are called with `size`, and those of the tensor maps."""
    calls: list[tuple[tuple[Step, ...], str, Callable[..., Any], Callable[[Any], str | None]]] = [
        (("launch",), "launch", pair.launch, partial(launch_problem, pair.args)),
        (("flops",), "flops", pair.flops, count_problem),
    ]
    for variant, launch in pair.launches.items():
        calls.append((("launches", variant), f"the launch of '{variant}'", launch, partial(launch_problem, pair.args)))
    if pair.bytes is not None:
        calls.append((("bytes",), "bytes", pair.bytes, count_problem))
    parts = steps_to_arguments(pair.args, pair.structs)
    for arg_part, arg in zip(parts, pair.args, strict=True):
        if isinstance(arg, ArrayArgument):
            calls.append(((*arg_part, "shape"), f"the shape of '{arg.name}'", arg.shape, shape_problem))
        elif isinstance(arg, TensorMap):
            for name in ("box", "shape", "strides"):
                if callable(function := getattr(arg, name)):
                    calls.append(((*arg_part, name), f"the {name} of '{arg.name}'", function, shape_problem))
        else:
            fits = partial(number_problem, dtype=arg.dtype)
            if callable(arg.value):
                calls.append(((*arg_part, "value"), f"the value of '{arg.name}'", arg.value, fits))
            if callable(arg.values):
                drawn = partial(arg.values, np.random.default_rng(0))
                calls.append(((*arg_part, "values"), f"values of '{arg.name}'", drawn, fits))
    for part, noun, function, problem_of in calls:
        if misfit := does_not_take(function, list(size)):
            sentence = f"{noun} does not take {size_text(size)}: {misfit}."
            yield SizeProblem(part, sentence, function, line_of_size=part == ("launch",))
            return
        try:
            value = function(**size)
        except Exception as error:
            yield SizeProblem(part, f"{noun} fails at {size_text(size)}: {describe(error)}", function, error)
            return
        if problem := problem_of(value):
            yield SizeProblem(part, f"{noun} at {size_text(size)} is {value!r}. {problem}", function)
            return
    for arg_part, arg in zip(parts, pair.args, strict=True):
        if isinstance(arg, TensorMap):
            tiled = pair.tiled_map(arg, size)
            array = next(other for other in pair.args if isinstance(other, ArrayArgument) and other.name == arg.of)
            array_bytes = math.prod(array.shape(**size)) * array.dtype.itemsize
            if (problem := tensor_map.problem(tiled, array_bytes)) is not None:
                yield SizeProblem(arg_part, f"the tensor map '{arg.name}' at {size_text(size)}: {problem}")


def size_text(size: Mapping[str, int]) -> str:
    """`rows=3 columns=257`."""
    return " ".join(f"{name}={value}" for name, value in size.items())


def launch_problem(args: Sequence[Argument], value: Any) -> str | None:
    """What is wrong with the launch that a pair gives for a size, in a sentence; None if it is possible."""
    if not isinstance(value, Launch):
        return "It must be a Launch(grid=..., block=...)."
    cluster = 1 if value.cluster is None else value.cluster
    for noun, extent in (("grid", value.grid), ("block", value.block), ("cluster", cluster)):
        extents = extent if isinstance(extent, tuple) else (extent,)
        if not 1 <= len(extents) <= 3 or not all(whole(n) and n > 0 for n in extents):
            return f"The {noun} must be a positive whole number or a tuple of up to three."
    if math.prod(value.block_xyz) > MOST_THREADS:
        return f"A block holds at most {MOST_THREADS} threads."
    if not whole(value.shared_bytes) or value.shared_bytes < 0:
        return "shared_bytes must be a whole number of bytes."
    if any(all_ctas % part for all_ctas, part in zip(value.grid_xyz, value.cluster_xyz or (1, 1, 1), strict=True)):
        return "The cluster must divide the grid."
    if math.prod(value.cluster_xyz or (1,)) > MOST_CLUSTER:
        return f"A cluster holds at most {MOST_CLUSTER} CTAs."
    if not isinstance(value.cooperative, bool) or not isinstance(value.resident, bool):
        return "cooperative and resident must be True or False."
    if not whole(value.set_aside) or not 0 <= value.set_aside <= 100:
        return "set_aside must be a percentage, a whole number of 0 to 100."
    return None if value.chain is None else chain_problem(args, value.chain)


def chain_problem(args: Sequence[Argument], chain: Any) -> str | None:
    """What is wrong with the chain of a launch; None if nothing is."""
    if not isinstance(chain, Chain):
        return "chain must be a Chain(launches, number), or be left out."
    if not whole(chain.launches) or chain.launches < 2:
        return "A chain has 2 launches or more."
    if not isinstance(chain.dependent, bool):
        return "dependent must be True or False."
    numbers = [arg.name for arg in args if isinstance(arg, Scalar) and arg.dtype.kind in "iu"]
    if chain.number not in numbers:
        return f"The number of a launch must be a Scalar of whole numbers of the pair: {', '.join(numbers) or 'none'}."
    return None


def shape_problem(value: Any) -> str | None:
    fits = isinstance(value, tuple) and all(whole(n) and n >= 0 for n in value)
    return None if fits else "It must be a tuple of whole numbers, such as (n,)."


def count_problem(value: Any) -> str | None:
    if not whole(value) or value < 0:
        return "It must be a whole number."
    return None if value < GREATEST else "It must be less than 2^64, the greatest number of a result file."


def number_problem(value: Any, dtype: np.dtype[Any]) -> str | None:
    """Why a value is not a number of this type; None if it is. A float may be rounded to one."""
    if not isinstance(value, int | float | np.integer | np.floating):
        return "It must be a number."
    if is_float(dtype):
        return None
    limits = np.iinfo(dtype)
    if limits.min <= value <= limits.max and value == int(value):
        return None
    return f"It must be a whole number from {limits.min} to {limits.max}, as {dtype} holds."


def whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
