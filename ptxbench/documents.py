"""Reads and writes JSON and TOML: any error in a file is one sentence, and what was read is safe to compute with.

`build` makes dataclasses of it. Knows nothing about the content of a document.
"""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import math
import os
import re
import stat
import time
import tomllib
import types
import typing
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ptxbench.errors import PtxbenchError, ResultError, UsageError
from ptxbench.safe_text import HIDDEN

MOST_BYTES = 256 * 2**20
"""The largest file: reading it takes about ten times as much memory."""

WRITER_SECONDS = 2.0
"""How long a named pipe may have no program that writes to it."""

MOST_DEPTH = 100
"""The most levels of nested objects and lists; documents of ptxbench have ten."""

GREATEST = 2**64
"""Every valid whole number is less: counts, seeds, and the elements of arrays of integers."""

MOST_SHOWN = 120
"""Characters of a value that a message quotes."""


def display_value(value: Any) -> str:
    """A value as a message quotes it."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


# ---- reading


def read_bytes(path: Path, error: type[PtxbenchError] = ResultError) -> bytes:
    """The content of a kernel's file, which is read more than once, so it must be a regular file. Raises `error`;
    OSError if too many files are open."""
    try:
        with opened(path) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise error(f"{path} is not a regular file. Save the kernel as one.")
            with io.BufferedReader(file) as reader:
                content = reader.read(MOST_BYTES + 1)
    except OSError as failure:
        if failure.errno in (errno.EMFILE, errno.ENFILE):  # too many open files, whichever file is next
            raise
        raise error(f"Cannot read {path}: {failure.strerror}.") from None
    if len(content) > MOST_BYTES:
        raise error(f"{path} is too large: expected at most {MOST_BYTES // 2**20} MiB.")
    return content


def opened(path: Path) -> io.FileIO:
    """A file that is opened without waiting for a program to write to a named pipe."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    return io.FileIO(os.open(path, flags))


def first_part(file: io.FileIO) -> bytes:
    """What a file has now, perhaps nothing; later reads wait. Raises OSError for a pipe without a program that writes.

    A program that is started at the same time gets `WRITER_SECONDS`.
    """
    if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
        deadline = time.monotonic() + WRITER_SECONDS
        while (part := file.read(MOST_BYTES)) == b"":  # None if a program may still write
            if time.monotonic() > deadline:
                raise OSError(errno.EPIPE, "no program writes to this pipe")
            time.sleep(0.01)
    else:
        part = b""
    if hasattr(os, "set_blocking"):
        os.set_blocking(file.fileno(), True)
    return part or b""


def read_text(path: Path, error: type[PtxbenchError] = ResultError) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark. Raises `error`; OSError if too many files are
    open."""
    try:
        with opened(path) as file:
            start = first_part(file)
            with io.BufferedReader(file) as reader:
                content = start + reader.read(MOST_BYTES + 1)
    except OSError as failure:
        if failure.errno in (errno.EMFILE, errno.ENFILE):  # too many open files, whichever file is next
            raise
        raise error(f"Cannot read {path}: {failure.strerror}.") from None
    if len(content) > MOST_BYTES:
        raise error(f"{path} is too large: expected at most {MOST_BYTES // 2**20} MiB.")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise error(f"{path} is UTF-16: expected UTF-8. Save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = content.count(b"\n", 0, failure.start) + 1
        raise error(f"{path}:{line}: not text: byte 0x{content[failure.start]:02x} is not UTF-8.") from None


def read_json(path: Path) -> Any:
    """The JSON document of a file. Raises ResultError."""
    return parse_json(read_text(path), str(path))


def read_as(kind: Any, path: Path, schema: str, noun: str) -> Any:
    """The JSON document of a file as the dataclass `kind`. Raises ResultError, also if it has another schema."""
    document = read_json(path)
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise ResultError(f"{path} is not {noun} that this version of ptxbench reads ('{schema}').")
    return build(kind, document, str(path))


def parse_json(text: str, name: str) -> Any:
    """The JSON document of a text. Raises ResultError that names `name`, and the line if it is known."""

    def whole(literal: str) -> int:
        if len(literal) > 20 or abs(int(literal)) >= GREATEST:
            raise too_large(text, name, literal, "2^64")
        return int(literal)

    def real(literal: str) -> float:
        if not math.isfinite(value := float(literal)):
            raise too_large(text, name, literal, "2^1024")
        return value

    def constant(literal: str) -> float:
        raise ResultError(f"{with_line(text, name, literal)}: {literal} is not JSON: expected a number or null.")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise ResultError(f"{name}: an object has two keys {display_value(twice)}: expected one.")
        return table

    if not text.strip():
        raise ResultError(f"{name}:1: not JSON: the file is empty.")
    try:
        document = json.loads(
            text, parse_int=whole, parse_float=real, parse_constant=constant, object_pairs_hook=members
        )
    except json.JSONDecodeError as error:
        # json reports a text that is not closed at its start
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        problem = "the file is cut off" if cut else error.msg
        raise ResultError(f"{name}:{error.lineno}: not JSON: {problem}.") from None
    except RecursionError:
        raise too_deep(name, ResultError) from None
    return require_flat(document, name, ResultError)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises UsageError that names `name`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not TOML: {error}.") from None
    except ValueError as error:  # a date that does not exist, a number of thousands of digits
        reason = "a number has too many digits" if "digits" in str(error) else str(error)
        raise UsageError(f"{name} is not TOML: {reason}.") from None
    except RecursionError:
        raise too_deep(name, UsageError) from None
    result: dict[str, Any] = require_flat(tables, name, UsageError)
    return result


def require_flat(document: Any, name: str, error: type[PtxbenchError]) -> Any:
    """The document; raises `error` if it is nested too deeply for recursive functions."""
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(MOST_DEPTH):
        parts = (item for nested in level for item in (nested.values() if isinstance(nested, dict) else nested))
        level = [part for part in parts if isinstance(part, dict | list)]
        if not level:
            return document
    raise too_deep(name, error)


def too_deep(name: str, error: type[PtxbenchError]) -> PtxbenchError:
    return error(f"{name} is nested too deeply: expected at most {MOST_DEPTH} levels.")


def too_large(text: str, name: str, literal: str, limit: str) -> ResultError:
    number = literal if len(literal) <= 40 else f"a number of {sum(map(str.isdigit, literal)):,} digits"
    return ResultError(f"{with_line(text, name, literal)}: {number} is too large: expected below {limit}.")


def with_line(text: str, name: str, literal: str) -> str:
    """`name` with the line on which the literal first occurs outside of strings."""
    bare = re.sub(r'"(?:[^"\\\n]++|\\.)*+"?', '""', text)  # also without an end, so that each is read only once
    start, end = literal[:MOST_SHOWN], "" if literal[MOST_SHOWN:] else r"(?![\w.])"  # a long pattern takes seconds
    match = re.search(rf"(?<![\w.+-]){re.escape(start)}{end}", bare)
    return f"{name}:{bare.count(chr(10), 0, match.start()) + 1}" if match else name


# ---- writing


def json_text(document: Mapping[str, Any] | list[Any], indent: int | None = 1) -> str:
    """A document as JSON in ASCII, for a file or for stdout; a CI runner takes no part of it for a command."""
    return json.dumps(document, indent=indent, allow_nan=False).replace("##", "#\\u0023") + "\n"


def toml_text(text: str) -> str:
    """A string as TOML writes it: as JSON, with invisible characters escaped, and without commands of CI."""
    quoted = json.dumps(text, ensure_ascii=False)
    return HIDDEN.sub(lambda match: f"\\U{ord(match[0]):08x}", quoted).replace("##", "#\\u0023")


def plain_data(value: Any) -> Any:
    """The value in the types of JSON; a scalar of NumPy as the number of Python."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, Mapping):
        return {key: plain_data(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, complex | bytes):
        return str(value)
    return value


# ---- documents as dataclasses


@cache
def type_hints(kind: Any) -> Mapping[str, Any]:
    """The types of a dataclass's fields: evaluated once, because a run has thousands of objects."""
    return typing.get_type_hints(kind)


def is_required(member: dataclasses.Field[Any]) -> bool:
    return member.default is dataclasses.MISSING and member.default_factory is dataclasses.MISSING


def build(kind: Any, value: Any, where: str) -> Any:
    """`value`, from JSON, as `kind`: a dataclass, a union with None, a sequence, a mapping or a plain type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ResultError(f"{where}: expected an object, found {display_value(value)}.")
        hints = type_hints(typing.cast(Any, kind))
        fields = dataclasses.fields(kind)
        if missing := next(
            (member.name for member in fields if is_required(member) and member.name not in value), None
        ):
            raise ResultError(f"{where}: the key '{missing}' is missing.")
        names = [member.name for member in fields if member.name in value]
        return kind(**{name: build(hints[name], value[name], f"{where}: {name}") for name in names})  # type: ignore[operator]
    if origin is types.UnionType:
        if value is None and types.NoneType in arguments:
            return None
        return build(next(argument for argument in arguments if argument is not types.NoneType), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise ResultError(f"{where}: expected a list, found {display_value(value)}.")
        return tuple(value)
    if origin in (Sequence, typing.get_origin(Sequence[int])):
        if not isinstance(value, list):
            raise ResultError(f"{where}: expected a list, found {display_value(value)}.")
        return [build(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin in (Mapping, typing.get_origin(Mapping[str, int])):
        if not isinstance(value, dict):
            raise ResultError(f"{where}: expected an object, found {display_value(value)}.")
        return {key: build(arguments[1], item, f"{where}: {key}") for key, item in value.items()}
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ResultError(f"{where}: expected {kind.__name__}, found {display_value(value)}.")
    return value
