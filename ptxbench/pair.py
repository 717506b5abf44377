"""A kernel pair: its arguments, sizes, launch, reference and tolerance.

Data only. This module imports NumPy and, of ptxbench, only other data, so that every other module may import it. A pair
file (`kernels/pairs/NAME.py`) builds one `PAIR = Pair(...)` from the names defined here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ptxbench.arrays import (
    CHUNK,
    Array,
    bf16,
    e4m3,
    e5m2,
    f16,
    f32,
    f64,
    greatest_number,
    is_float,
    one_of_each,
    pack_e2m1,
    pieces,
    poison,
    s8,
    s16,
    s32,
    s64,
    some_of_product,
    spacing,
    u8,
    u16,
    u32,
    u64,
    ue8m0,
    unpack_e2m1,
    wide,
)
from ptxbench.device_shape import DeviceShape
from ptxbench.errors import PairError
from ptxbench.knobs import Knob, Sweep, Values, with_values
from ptxbench.launch import Chain, Launch, with_structs
from ptxbench.libraries import Gemm
from ptxbench.structs import Struct, StructLayout, layout, parameters
from ptxbench.tensor_map import MAP_WORDS, TensorMap, TiledMap

__all__ = [
    "EXACT",
    "Chain",
    "In",
    "InOut",
    "Launch",
    "Out",
    "Pair",
    "Sample",
    "Scalar",
    "Scratch",
    "Struct",
    "TensorMap",
    "Tolerance",
    "bf16",
    "ceil_div",
    "close",
    "e4m3",
    "e5m2",
    "f16",
    "f32",
    "f64",
    "one_of_each",
    "pack_e2m1",
    "pieces",
    "relative",
    "s8",
    "s16",
    "s32",
    "s64",
    "some_of_product",
    "u8",
    "u16",
    "u32",
    "u64",
    "ue8m0",
    "ulps",
    "unpack_e2m1",
    "wide",
]

PREDICTIONS = ("only way", "wins", "ties", "a flag", "loses")
"""What a pair can predict of its PTX against the best CUDA C. `only way`: it wins by instructions that CUDA C lacks.
`a flag`: it is ahead only of the usual CUDA C: with a compiler option, CUDA C is equally good."""

Size = Mapping[str, int]
"""Named problem dimensions, such as {"rows": 33, "columns": 31}."""


def ceil_div(n: int, d: int) -> int:
    """The least q with q * d >= n."""
    return -(-n // d)


@dataclass(frozen=True)
class Scalar:
    """An argument passed by value: a number, or a function of the size's dimensions.

    The dtype is required, because a launch copies raw bytes: a Python float would be passed as 8 bytes, but `.param
    .f32` reads 4.

    `values`: what `ptxbench check` passes besides `value`: a closed range (low, high), or a function `values(rng,
    **size)`. Without it, a number is drawn around `value`, of either sign if it is a float, and the result of a
    function of the size is unchanged. A range of one number allows no other.
    """

    name: str
    dtype: np.dtype[Any]
    value: float | Callable[..., float]
    values: tuple[float, float] | Callable[..., float] | None = None


@dataclass(frozen=True)
class In:
    """A device array that the kernel reads.

    `values(rng, shape, **size)` draws the random data; by default uniform in [-1, 1] for floats (zeros would lower
    power and so raise clocks), all values for integers. `integers` is the closed range for the integer check of pairs
    that are exact on integers; None if `values` must draw there too, such as for indices.

    `legal`, for whole numbers: the closed range of numbers that are valid at any place, whatever `values` draws.
    `ptxbench check` takes the edges from it. By default the whole range of the type; nothing if the pair has `values`,
    because they may be indices.

    `related`: whether the elements depend on each other or on another input, as those of a sorted array, a rotation or
    an invertible matrix do. `ptxbench check` then takes them as `values` draws them, and changes none.

    `widened`: whether the reference and the tolerance get a copy with float64 or int64 elements. With False they get
    the array itself, for sizes at which a copy would not fit in memory: they must then widen what they read of it, with
    `wide(x[at])`, or `pieces(x)` for all of it.
    """

    name: str
    dtype: np.dtype[Any]
    shape: Callable[..., tuple[int, ...]]
    values: Callable[..., Array] | None = None
    integers: tuple[int, int] | None = (-8, 8)
    legal: tuple[int, int] | None = None
    related: bool = False
    widened: bool = True


@dataclass(frozen=True)
class Out:
    """A device array that the kernel must fill. It starts as 0xFF bytes (NaN), never as zero."""

    name: str
    dtype: np.dtype[Any]
    shape: Callable[..., tuple[int, ...]]


@dataclass(frozen=True)
class InOut:
    """A device array that the kernel updates, such as an accumulator.

    It starts with what `values(rng, shape, **size)` draws, by default filled with `start`, and is restored before each
    launch, outside the timed part. Without `values`, `ptxbench check` starts it with small numbers around `start` too.

    `legal`, for whole numbers that `values` draws: as for an In. By default `ptxbench check` starts with no others.
    """

    name: str
    dtype: np.dtype[Any]
    shape: Callable[..., tuple[int, ...]]
    start: float = 0
    values: Callable[..., Array] | None = None
    legal: tuple[int, int] | None = None


@dataclass(frozen=True)
class Scratch:
    """A device array that the kernel may use freely, such as tickets and flags; its content after a launch is ignored.

    It starts filled with `start` and is restored right before each launch, outside the timed part: so it is in L2, as
    are flags that a program has just reset.
    """

    name: str
    dtype: np.dtype[Any]
    shape: Callable[..., tuple[int, ...]]
    start: float = 0


ArrayArgument = In | Out | InOut | Scratch
Argument = Scalar | TensorMap | ArrayArgument
Parameter = Argument | StructLayout
"""What a kernel takes: an argument, or several of them as a struct."""

POINTER_BYTES = 8


@dataclass(frozen=True)
class Sample:
    """Some elements of an output: what a reference returns if all of them would be too expensive.

    `at`: flat indices into the output, shape (k,); `values`: the values there, shape (k,). The tolerance gets `values`
    as `expected` and must return a bound of that shape, or a scalar. Each warp's share of an output must have a sample:
    `one_of_each(size)` chooses them.
    """

    at: Array
    values: Array


@dataclass(frozen=True)
class Tolerance:
    """The allowed difference of a result from the float64 reference, element by element.

    `bound(expected, inputs)`: gets the float64 reference of one output and every argument by name (floats as float64);
    returns the greatest allowed absolute error, of the shape of `expected` or a scalar.
    """

    describe: str
    bound: Callable[..., Any]


EXACT = Tolerance("exact", lambda expected, inputs: 0.0)
"""No difference in value: copies, integers, a single correctly rounded operation on integers."""


def close(rtol: float, atol: float = 0.0) -> Tolerance:
    """Within `atol + rtol * |expected|`, as `numpy.allclose` and `numpy.testing.assert_allclose` have it.

    Raises ValueError unless both are finite and 0 or more.
    """
    for name, value in (("rtol", rtol), ("atol", atol)):
        require_size_of_error(f"close has {name}", value)

    def bound(expected: Array, inputs: Mapping[str, Any]) -> Array:
        with np.errstate(invalid="ignore"):  # 0 * inf; an infinity agrees only with itself
            result: Array = atol + rtol * np.abs(expected.astype(np.float64))
        return result

    return Tolerance(f"close: rtol {rtol:g}" + (f", atol {atol:g}" if atol else ""), bound)


def require_size_of_error(noun: str, value: float) -> None:
    """Raise ValueError unless `value` is finite and 0 or more: no result would be within NaN or a negative number."""
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{noun} {value:g}, expected 0 or a positive number")


def ulps(count: float, dtype: np.dtype[Any] = f32) -> Tolerance:
    """Within `count` units in the last place of the reference, at `dtype`'s precision.

    A reference beyond the greatest number of `dtype` has the unit of that number. Raises ValueError unless `count` is
    finite and 0 or more.
    """
    require_size_of_error("ulps has the count", count)
    most = greatest_number(dtype)
    return Tolerance(
        f"{count:g} ulp",
        lambda expected, inputs: count * spacing(np.clip(expected, -most, most).astype(dtype)),
    )


def relative(error: float | Callable[..., Any], *, of: Callable[..., Any], describe: str = "") -> Tolerance:
    """Within `error` times a magnitude, such as the sum of the terms' absolute values.

    `error` (a number or a function) and `of` take every argument of the kernel by name; arrays arrive as float64.
    Raises ValueError for a number that is not finite, or below 0.
    """
    if not callable(error):
        require_size_of_error("relative has the error", error)

    def bound(expected: Array, inputs: Mapping[str, Any], **knobs: int) -> Any:
        share = with_values(error, knobs)(**inputs) if callable(error) else error
        return share * with_values(of, knobs)(**inputs)

    return Tolerance(describe or ("relative" if callable(error) else f"{error:.1e} relative"), bound)


class DeviceSizes(tuple[Size, ...]):
    """The bench sizes of a pair on one device, and the function that returns those of another."""

    function: Callable[[DeviceShape], Sequence[Size]]

    @classmethod
    def of(cls, function: Callable[[DeviceShape], Sequence[Size]], device: DeviceShape) -> DeviceSizes:
        """Raises TypeError if the function does not return a list."""
        result = function(device)
        if not isinstance(result, Sequence):
            raise TypeError(f"bench_sizes({device}) is {result!r}, expected a list of sizes such as dict(n=1024)")
        sizes = cls(result)
        sizes.function = function
        return sizes


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A CUDA C kernel and a PTX kernel with one signature and one meaning.

    `bench_sizes` may be a function of the device (DeviceShape), for a grid that fills its SMs or an array that is a
    share of its L2: `lambda device: [{"n": 1 << 20, "ctas": device.ctas(256)}]`. A value that depends on the device is
    then a dimension of the size, so that a result says what was launched. A Pair always has concrete sizes: those of an
    H100, until `on` gives those of another device.

    `args` is in signature order. A Struct in it is a parameter with several arguments, which `args` then has in its
    place; `structs` says where they are. `launch`, `shape`s, `flops` and `bytes` take the size's dimensions by keyword;
    `reference` takes every In, InOut (its start) and Scalar by name, floats as float64 and integers as int64, and
    returns the outputs by name, each whole or a Sample; it does not get Scratch. `exact_on_integers`: any order of
    operations on small integers gives the same result, so each check size is also run on integers and compared exactly.
    `timed_on_integers`: sizes of such a pair that are counted or timed get integers instead of random data and are
    compared exactly, because a tolerance for the rounding of very long sums would accept anything. `by_rows`: arrays
    whose first axis is that of every output, if a row of the outputs needs the same row of these, all of the others,
    and no scalar that counts rows. Reference and tolerance are then called for some rows at a time, so that large sizes
    need little memory. `by_request`: variants that `ptxbench run` takes only if `--variant` matches their name, such as
    controls for one cause, and slower forms. `must_fail`: variants that must be wrong, such as a kernel without the
    step that the pair is about: a run shows at which size and element, and fails if they are right at all check sizes.
    `launches`: the launch of a variant that has another one than the pair, by its name. `flags`: extra rows that
    compile the CUDA C with NVRTC options, such as {"fast": ["--use_fast_math"]} for `cuda@fast`. `bytes`: compulsory
    traffic; by default each input read once and each output written once. `expectation`: what a GPU should show, and
    why. `prediction`: the same in a word of PREDICTIONS, for an H100 or, if it cannot run the PTX, the first
    architecture that can; or a word for each architecture, such as {"sm_89": "wins", "sm_90": "loses"}.

    `knobs`: constants that can have other values; every function here with a parameter of a knob's name gets its value.
    `restriction` takes the size's dimensions and all knobs by keyword and returns a sentence on why such a launch is
    impossible; None if it is possible. `observe(arrays, size)`: numbers by name from the arrays that a launch may
    write, Scratch included. `sweep`: what `ptxbench tune` does by default. `libraries`: calls of vendors' libraries
    that do the same work, timed with the variants on a GPU; the key is `cublas`.
    """

    purpose: str
    args: Sequence[Argument]
    structs: tuple[StructLayout, ...] = ()
    launch: Callable[..., Launch]
    reference: Callable[..., Mapping[str, Array]]
    tolerance: Tolerance
    check_sizes: Sequence[Size]
    bench_sizes: Sequence[Size]
    flops: Callable[..., int]
    bytes: Callable[..., int] | None = None
    exact_on_integers: bool = False
    timed_on_integers: bool = False
    by_rows: Sequence[str] = ()
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    expectation: str = ""
    prediction: str | Mapping[str, str] = ""
    by_request: Sequence[str] = ()
    must_fail: Sequence[str] = ()
    launches: Mapping[str, Callable[..., Launch]] = field(default_factory=dict)
    knobs: Sequence[Knob] = ()
    restriction: Callable[..., str | None] | None = None
    observe: Callable[[Mapping[str, Array], Size], Mapping[str, float]] | None = None
    sweep: Sweep | None = None
    libraries: Mapping[str, Gemm] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if callable(self.bench_sizes):
            object.__setattr__(self, "bench_sizes", DeviceSizes.of(self.bench_sizes, DeviceShape()))
        written: Sequence[Any] = self.args if isinstance(self.args, Sequence) else ()
        if structs := [arg for arg in written if isinstance(arg, Struct)]:
            require_members(structs)
            flat = [arg for item in written for arg in (item.arguments if isinstance(item, Struct) else (item,))]
            object.__setattr__(self, "args", flat)
            object.__setattr__(self, "structs", tuple(layout(struct, parameter_bytes) for struct in structs))
        if self.structs:
            object.__setattr__(self, "launch", with_structs(self.launch, self.structs))
            if isinstance(self.launches, Mapping):
                launches = {name: with_structs(launch, self.structs) for name, launch in self.launches.items()}
                object.__setattr__(self, "launches", launches)

    def on(self, device: DeviceShape) -> Pair:
        """The pair with its bench sizes for this device."""
        sizes = self.bench_sizes
        if not isinstance(sizes, DeviceSizes):
            return self
        return dataclasses.replace(self, bench_sizes=DeviceSizes.of(sizes.function, device))

    def with_knobs(self, values: Values) -> Pair:
        """The pair with these values of its knobs, in every function with a parameter of that name."""
        args = [
            dataclasses.replace(arg, value=with_values(arg.value, values))
            if isinstance(arg, Scalar) and callable(arg.value)
            else arg
            if isinstance(arg, Scalar)
            else arg.with_functions(lambda function: with_values(function, values))
            if isinstance(arg, TensorMap)
            else dataclasses.replace(arg, shape=with_values(arg.shape, values))
            for arg in self.args
        ]
        functions: dict[str, Any] = {
            name: with_values(function, values)
            for name in ("launch", "reference", "flops", "bytes", "restriction")
            if (function := getattr(self, name)) is not None
        }
        bound = with_values(self.tolerance.bound, values)
        tolerance = dataclasses.replace(self.tolerance, bound=bound)
        launches = {name: with_values(launch, values) for name, launch in self.launches.items()}
        return dataclasses.replace(self, args=args, tolerance=tolerance, launches=launches, **functions)

    @property
    def parameters(self) -> list[Parameter]:
        """What the kernel takes, in signature order: the arguments, with a struct in place of its members."""
        return [*parameters(self.structs, {arg.name: arg for arg in self.args}).values()]

    @property
    def signature(self) -> tuple[tuple[str, str], ...]:
        """Name and type of each argument: `float32`, or `float32*` for an array, which is a pointer."""
        return tuple((arg.name, type_words(arg)) for arg in self.args)

    def launch_of(self, variant: str) -> Callable[..., Launch]:
        """The function that returns the launch of a variant: its own, that of its file (`cuda` for `cuda@fast`), or the
        pair's."""
        return self.launches.get(variant) or self.launches.get(variant.partition("@")[0], self.launch)

    def compulsory_bytes(self, size: Size) -> int:
        """Bytes that any implementation must move: each input read once, each output written once."""
        if self.bytes is not None:
            return self.bytes(**size)
        total = 0
        for arg in self.args:
            if isinstance(arg, In | Out | InOut):
                array_bytes = math.prod(arg.shape(**size)) * arg.dtype.itemsize
                total += 2 * array_bytes if isinstance(arg, InOut) else array_bytes
        return total

    def written_bytes(self, size: Size) -> int:
        """The part of the compulsory bytes that the outputs take."""
        outputs = [arg for arg in self.args if isinstance(arg, Out | InOut)]
        written = sum(math.prod(arg.shape(**size)) * arg.dtype.itemsize for arg in outputs)
        return min(written, self.compulsory_bytes(size))

    def work(self, size: Size) -> dict[str, int]:
        """The work of any implementation: flops, and bytes, with the part that is written."""
        return {
            "flops": int(self.flops(**size)),
            "bytes": int(self.compulsory_bytes(size)),
            "written": int(self.written_bytes(size)),
        }

    def make_arguments(self, size: Size, seed: int, *, integers: bool = False, varied: bool = False) -> dict[str, Any]:
        """A value for each argument, by name in signature order, the same on every machine.

        Scalars are NumPy scalars, arrays C-contiguous; an Out is poisoned with 0xFF bytes; a TensorMap is a TiledMap.
        `integers`: small whole numbers for every input instead of its random data.
        `varied`: scalars, and starts of InOuts without `values`, are drawn too.
        """
        rng = np.random.default_rng(seed)
        values: dict[str, Any] = {}
        for number, arg in enumerate(self.args):
            own_rng = np.random.default_rng([seed, number])  # so that the inputs are the same, varied or not
            if isinstance(arg, Scalar):
                value = draw_scalar(arg, own_rng, size) if varied else declared(arg, size)
                values[arg.name] = arg.dtype.type(value)
            elif isinstance(arg, TensorMap):
                values[arg.name] = self.tiled_map(arg, size)
            elif isinstance(arg, In):
                values[arg.name] = draw(arg, rng, size, integers=integers)
            elif isinstance(arg, InOut) and (varied or (arg.values is not None and not integers)):
                values[arg.name] = draw_start(arg, own_rng, size, integers=integers)
            elif isinstance(arg, InOut | Scratch):
                values[arg.name] = np.full(arg.shape(**size), arg.start, arg.dtype)
            else:
                values[arg.name] = poison(arg.shape(**size), arg.dtype)
        return values

    def tiled_map(self, arg: TensorMap, size: Size) -> TiledMap:
        """A tensor map at this size; the driver, or the emulator, makes its bytes when the address is known."""
        array = next(other for other in self.args if isinstance(other, ArrayArgument) and other.name == arg.of)
        return arg.at(size, array.shape(**size), array.dtype)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the arrays that the kernel may write: what is verified, and what is Scratch."""
        return tuple(arg.name for arg in self.args if isinstance(arg, Out | InOut | Scratch))

    @property
    def updated(self) -> tuple[str, ...]:
        """Names of the arrays whose content the kernel changes."""
        return tuple(arg.name for arg in self.args if isinstance(arg, InOut))

    @property
    def scratch(self) -> tuple[str, ...]:
        """Names of the arrays that the kernel needs internally."""
        return tuple(arg.name for arg in self.args if isinstance(arg, Scratch))


def require_members(structs: Sequence[Struct]) -> None:
    """Raise TypeError for a member of a struct that is neither a number nor an array."""
    for struct in structs:
        for member in struct.arguments:
            if not isinstance(member, Scalar | ArrayArgument):
                kinds = "Scalar, In, Out, InOut, Scratch or Struct"
                raise TypeError(f"Struct {struct.name!r} has the member {member!r}, expected {kinds}")
            if isinstance(member, Scalar) and not isinstance(member.dtype, np.dtype):
                raise TypeError(f"Scalar '{member.name}' has dtype {member.dtype!r}, expected f32, u32, ...")


def parameter_bytes(arg: Argument) -> int:
    """The bytes of a number or an address among a kernel's parameters."""
    return arg.dtype.itemsize if isinstance(arg, Scalar) else POINTER_BYTES


def draw(arg: In, rng: np.random.Generator, size: Size, *, integers: bool) -> Array:
    """The data of one input, of its shape and dtype."""
    shape = arg.shape(**size)
    if arg.dtype == ue8m0 and arg.values is None:
        return draw_scales(arg, rng, shape, integers=integers)
    if integers and arg.integers is not None:
        low, high = arg.integers
        return in_pieces(lambda count: rng.integers(low, high, count, endpoint=True), shape, arg.dtype)
    if arg.values is not None:
        return from_values(arg, arg.values(rng, shape, **size), shape)
    if is_float(arg.dtype):
        return in_pieces(lambda count: rng.uniform(-1, 1, count), shape, arg.dtype)
    return rng.integers(np.iinfo(arg.dtype).min, np.iinfo(arg.dtype).max, shape, arg.dtype, endpoint=True)


def from_values(arg: In | InOut, drawn: Any, shape: tuple[int, ...]) -> Array:
    """What the pair's own `values` returned, as an array of its type. Raises PairError for another shape, and for
    elements that are not real numbers."""
    array = np.asarray(drawn)
    if array.shape != shape:
        raise PairError(f"values of '{arg.name}' returns the shape {array.shape}; expected {shape}.", "args")
    if not is_float(array.dtype) and array.dtype.kind not in "biu":
        raise PairError(f"values of '{arg.name}' returns {array.dtype}; expected numbers.", "args")
    return np.ascontiguousarray(array, dtype=arg.dtype)


def draw_scales(arg: In, rng: np.random.Generator, shape: tuple[int, ...], *, integers: bool) -> Array:
    """Powers of two: from 1/8 to 8, or for whole numbers those from 1 up to the end of the input's range."""
    highest = arg.integers[1] if integers and arg.integers is not None else 8
    exponents = (0 if integers else -3, max(highest, 1).bit_length() - 1)
    return in_pieces(lambda count: 2.0 ** rng.integers(*exponents, count, endpoint=True), shape, arg.dtype)


def in_pieces(draw: Callable[[int], Array], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array from the results of `draw(count)`, which are wider than `dtype`, a piece at a time."""
    array = np.empty(shape, dtype)
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK]
        part[:] = draw(part.size).astype(dtype)
    return array


def declared(arg: Scalar, size: Size) -> float:
    """The scalar's value at this size."""
    return arg.value(**size) if callable(arg.value) else arg.value


def draw_scalar(arg: Scalar, rng: np.random.Generator, size: Size) -> float:
    """Another value for a scalar: as `Scalar.values` says, or around its own value."""
    is_integer = not is_float(arg.dtype)
    if callable(arg.values):
        return arg.values(rng, **size)
    if arg.values is not None:
        low, high = arg.values
        return draw_whole(rng, int(low), int(high)) if is_integer else float(rng.uniform(low, high))
    if callable(arg.value):
        return arg.value(**size)
    if is_integer:
        half = int(arg.value) // 2
        low, high = sorted((max(half, 1) if arg.value > 0 else half, 2 * int(arg.value) or 8))  # 1 does not become 0
        limits = np.iinfo(arg.dtype)
        return draw_whole(rng, max(low, int(limits.min)), min(high, int(limits.max)))
    if arg.value == 0:
        return float(rng.uniform(-1, 1))
    return float(arg.value * rng.choice([-1, 1]) * 2 ** rng.uniform(-2, 2))


def draw_whole(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included, which u64 or s64 holds."""
    return int(rng.integers(low, high, dtype=np.uint64 if high > np.iinfo(np.int64).max else np.int64, endpoint=True))


def type_words(arg: Argument) -> str:
    """The type of an argument: `float32`, `float32*` for an array, `tensor map`."""
    if isinstance(arg, TensorMap):
        return MAP_WORDS
    return str(arg.dtype) if isinstance(arg, Scalar) else f"{arg.dtype}*"


def draw_start(arg: InOut, rng: np.random.Generator, size: Size, *, integers: bool) -> Array:
    """Other content of an InOut before a launch than its `start`: small numbers, whole ones if `integers` is set."""
    shape = arg.shape(**size)
    if arg.values is not None:
        return from_values(arg, arg.values(rng, shape, **size), shape)
    if not is_float(arg.dtype):
        step = 1 if arg.start <= int(np.iinfo(arg.dtype).max) - 8 else -1  # what is great stays great
        start = np.full(shape, arg.start, arg.dtype)
        start += np.asarray(step * rng.integers(1, 8, shape, endpoint=True)).astype(arg.dtype)
        return start
    if integers:
        return (arg.start + rng.integers(1, 8, shape, endpoint=True)).astype(arg.dtype)
    return (arg.start + rng.uniform(-1, 1, shape)).astype(arg.dtype)
