"""One hash of a kernel's source: its text, and the headers of the user that it includes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptxbench.languages import CUDA
from ptxbench.toolchain.encoding import without_mark
from ptxbench.toolchain.options import defined_macros, include_folders
from ptxbench.toolchain.user_files import UserFile, user_files

if TYPE_CHECKING:
    from ptxbench.discovery import Source


def user_headers(content: bytes, path: Path, options: Sequence[str] = ()) -> list[UserFile] | None:
    """The user's files that a kernel includes with these options of NVRTC; none in other languages than CUDA C++.

    None if they are not known (`user_files`). Raises OSError for a header that cannot be read.
    """
    if not path.name.endswith(CUDA.suffix):
        return []
    return user_files(without_mark(content), path.parent, include_folders(options), defined_macros(options))


def source_hash(content: bytes, path: Path, options: Sequence[str] = ()) -> str:
    """The SHA-256 of a kernel's text and of its headers, in hexadecimal digits; without headers, that of the text.

    `path`: where the text was read. It does not depend on the folders in which the headers are. Headers that are not
    known are left out. Raises OSError for a header that cannot be read.
    """
    digest = hashlib.sha256(content)
    headers = user_headers(content, path, options) or []
    for name, header in sorted({(file.name, hashlib.sha256(file.content).hexdigest()) for file in headers}):
        digest.update(f"\0{name}\0{header}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def hash_of_source(source: Source) -> str:
    """`source_hash` of a variant's plain file, as it is now. Raises OSError."""
    return source_hash(source.path.read_bytes(), source.path, options_of(source))


def has_headers(source: Source) -> bool:
    """Whether the plain file of a variant includes headers of the user. Raises OSError."""
    return bool(user_headers(source.path.read_bytes(), source.path, options_of(source)))


def options_of(source: Source) -> Sequence[str]:
    """The options of NVRTC of a variant, with its knobs."""
    return (*source.flags, *(f"-D{name}={value}" for name, value in source.defines))


def files_hash(paths: Iterable[Path], sources: Iterable[Source]) -> str:
    """The SHA-256 of files, and of the headers that the files of `sources` include. Raises OSError."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    for form in (form for source in sources for form in source.forms):
        if has_headers(form):
            digest.update(hash_of_source(form).encode())
    return digest.hexdigest()
