"""A pair as JSON for writers of kernels: arguments, launches, sizes, tolerance, reference, the texts of its files."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ptxbench.discovery import LoadedPair, Source
from ptxbench.discovery.text import PairText
from ptxbench.documents import json_text, plain_data
from ptxbench.pair import Argument, ArrayArgument, In, InOut, Out, Pair, Scalar, Scratch, Size, bf16, e4m3, e5m2, ue8m0
from ptxbench.signature import wanted
from ptxbench.structs import StructLayout
from ptxbench.tensor_map import TensorMap
from ptxbench.verdict.scoreboard import predictions

KINDS: dict[type[Argument], str] = {
    Scalar: "scalar",
    In: "input",
    Out: "output",
    InOut: "in-out",
    Scratch: "scratch",
    TensorMap: "tensor map",
}


SMALL_FLOATS = {bf16: "bf16", e4m3: "e4m3", e5m2: "e5m2", ue8m0: "ue8m0"}

SCHEMA = "ptxbench.list/2"


def to_json(described: Sequence[Mapping[str, Any]]) -> str:
    return json_text([*described])


def describe(loaded: LoadedPair, *, whole: bool) -> Mapping[str, Any]:
    """The pair's JSON. `whole`: whether it has everything that a writer of kernels needs."""
    pair, targets = loaded.pair, loaded.targets
    return {
        "schema": SCHEMA,
        "name": loaded.name,
        "summary": loaded.summary,
        "purpose": pair.purpose,
        "expectation": pair.expectation,
        "prediction": dict(predictions(loaded)),
        "target": targets["ptx"],
        "bench_sizes": list(pair.bench_sizes),
        "variants": [
            {
                "name": source.variant,
                "language": source.language,
                "file": str(source.path),
                "flags": list(source.flags),
                "target": targets.get(source.variant),
                "by_request": source.variant in pair.by_request,
                "must_fail": source.variant in pair.must_fail,
                "specialisations": {target: str(path) for target, path in source.specialisations},
                **({"text": text_of(source)} if whole else {}),
            }
            for source in loaded.sources
        ],
        "libraries": [source.variant for source in loaded.libraries],
        **(details(loaded) if whole else {}),
    }


def details(loaded: LoadedPair) -> dict[str, Any]:
    """Everything that a candidate must fit, and what it is compared with. A function is given as its source text."""
    pair, text = loaded.pair, loaded.path.read_text(encoding="utf-8-sig", errors="replace")
    sources = SourceTexts(text)
    tolerance = PairText.read(loaded.path).field("tolerance")
    struct_of = {name: struct for struct in pair.structs for name in struct.offsets}
    described = {
        "entry": loaded.name.replace(".", "_"),
        "arguments": [argument(arg, sources, struct_of.get(arg.name)) for arg in pair.args],
        "launch": sources.of(pair.launch),
        "own_launches": {variant: sources.of(launch) for variant, launch in pair.launches.items()},
        "check_sizes": [dict(check_size) for check_size in pair.check_sizes],
        "launches": [at_size(pair, size) for size in (*pair.check_sizes, *pair.bench_sizes)],
        "tolerance": {
            "words": pair.tolerance.describe,
            "source": None if tolerance is None else sources.defined(tolerance),
        },
        "exact_on_integers": pair.exact_on_integers,
        "reference": sources.of(pair.reference),
        "flags": {name: list(flags) for name, flags in pair.flags.items()},
        "knobs": [
            {"name": knob.name, "default": knob.default, "values": list(knob.values), "description": knob.describe}
            for knob in pair.knobs
        ],
        "file": str(loaded.path),
        "text": text,
    }
    return {name: plain_data(value) for name, value in described.items()}


def text_of(source: Source) -> str:
    """The text of a variant's plain file."""
    return source.path.read_text(encoding="utf-8", errors="replace")


def argument(arg: Argument, sources: SourceTexts, struct: StructLayout | None) -> dict[str, Any]:
    """One argument; fields that its kind lacks are null. `struct`: the parameter that it is a member of."""
    scalar, drawn = isinstance(arg, Scalar), isinstance(arg, In)
    shape, value, values = (getattr(arg, name, None) for name in ("shape", "value", "values"))
    integers, legal, start = (getattr(arg, name, None) for name in ("integers", "legal", "start"))
    return {
        "name": arg.name,
        "kind": KINDS[type(arg)],
        "dtype": None if isinstance(arg, TensorMap) else type_name(arg.dtype),
        "ptx": wanted(struct or arg),
        "struct": None if struct is None else {"name": struct.name, "offset": struct.offsets[arg.name]},
        "shape": sources.of(shape),
        "value": sources.of(value) if callable(value) else value if scalar else None,
        "values": list(values) if isinstance(values, tuple) else sources.of(values),
        "integers": list(integers) if drawn and integers is not None else None,
        "legal": None if legal is None else list(legal),
        "start": start,
    }


def at_size(pair: Pair, size: Size) -> Mapping[str, Any]:
    """The launch at one size, the shape of every array and the value of every scalar."""
    launch = pair.launch(**size)
    arrays = [arg for arg in pair.args if isinstance(arg, ArrayArgument)]
    maps = [arg for arg in pair.args if isinstance(arg, TensorMap)]
    scalars = [arg for arg in pair.args if isinstance(arg, Scalar)]
    return {
        "size": dict(size),
        "grid": list(launch.grid_xyz),
        "block": list(launch.block_xyz),
        "shared_bytes": launch.shared_bytes,
        "cluster": None if launch.cluster_xyz is None else list(launch.cluster_xyz),
        "cooperative": launch.cooperative,
        "resident": launch.resident,
        **({} if launch.chain is None else {"launches": launch.launches, "dependent": launch.dependent}),
        "shapes": {array.name: [int(extent) for extent in array.shape(**size)] for array in arrays},
        "tensor_maps": {tensor_map.name: dataclasses.asdict(pair.tiled_map(tensor_map, size)) for tensor_map in maps},
        "scalars": {scalar.name: value_of(scalar, size) for scalar in scalars},
        **pair.work(size),
    }


def value_of(scalar: Scalar, size: Size) -> Any:
    """What the kernel gets: the value, rounded to the type."""
    value = scalar.value(**size) if callable(scalar.value) else scalar.value
    return scalar.dtype.type(value).item()


def type_name(dtype: np.dtype[Any]) -> str:
    """`f32`, `s64`, `bf16`: the name in a pair file."""
    if dtype in SMALL_FLOATS:
        return SMALL_FLOATS[dtype]
    return f"{ {'f': 'f', 'i': 's', 'u': 'u'}[dtype.kind] }{8 * dtype.itemsize}"


class SourceTexts:
    """Where the functions and expressions of a pair file are written."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self.functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.Lambda | ast.FunctionDef)]

    def of(self, function: Callable[..., Any] | None) -> str | None:
        """The source text of a function of the file; None for one that is defined elsewhere."""
        if not isinstance(function, types.FunctionType):
            return None
        function = inspect.unwrap(function)
        code = function.__code__
        spans = [
            ((line, column), (last, last_column))
            for line, last, column, last_column in code.co_positions()
            if None not in (line, last, column, last_column) and (line, column) != (last, last_column)
        ]
        names = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        inside = [
            node
            for node in self.functions
            if (node.name if isinstance(node, ast.FunctionDef) else "<lambda>") == function.__name__
            if names <= {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
            if all(start(node) <= begins and ends <= end(node) for begins, ends in spans)
        ]
        chosen = min(inside, key=lambda node: len(self.segment(node)), default=None)
        return None if chosen is None else self.segment(chosen)

    def defined(self, node: ast.expr) -> str:
        """An expression; for a name of the file, the expression that it is assigned."""
        if isinstance(node, ast.Name):
            for statement in self.tree.body:
                targets = statement.targets if isinstance(statement, ast.Assign) else []
                if any(isinstance(target, ast.Name) and target.id == node.id for target in targets):
                    return self.segment(statement)
        return self.segment(node)

    def segment(self, node: ast.AST) -> str:
        return ast.get_source_segment(self.text, node) or ""


def start(node: ast.Lambda | ast.FunctionDef) -> tuple[int, int]:
    return node.lineno, node.col_offset


def end(node: ast.Lambda | ast.FunctionDef) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or 0
