"""The languages of the variants of a pair. Data only; imports nothing of ptxbench."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """One language: a folder of the kernels, and the rows that its files make."""

    name: str
    """Its folder, and the first word of its variants: `cuda`, `cuda.passes`."""
    suffix: str
    """The suffix of its files."""
    title: str
    """Its name in a sentence."""
    compiled: bool = True
    """Whether its PTX is made by a compiler, so that lines of the file and lines of the PTX are different lines."""
    own_threads: bool = False
    """Whether its compiler chooses the threads of a CTA. Its rows have their own launches, and are not twins."""
    required: bool = False
    """Whether each pair has a kernel in it. Commands that take a file of any folder accept these languages alone."""
    typed_by_pair: bool = False
    """Whether the pair gives the types of the parameters, because the files do not."""


CUDA = Language("cuda", ".cu", "CUDA C", required=True)
PTX = Language("ptx", ".ptx", "PTX", compiled=False, required=True)
TILE = Language("tile", ".tile.cu", "CUDA Tile C++", own_threads=True)

NUMBA = Language("numba", ".py", "Python", typed_by_pair=True)
TRITON = Language("triton", ".triton.py", "Triton", own_threads=True, typed_by_pair=True)

LANGUAGES = {language.name: language for language in (CUDA, PTX, TILE, NUMBA, TRITON)}
"""By name, in the order of the rows."""

REQUIRED = {name: language for name, language in LANGUAGES.items() if language.required}
"""Those of which each pair has a kernel."""


def is_compiled(language: str) -> bool:
    """Whether a compiler makes the PTX of a variant in `language`; False for the call of a library, which has none."""
    return language in LANGUAGES and LANGUAGES[language].compiled


def has_own_threads(language: str) -> bool:
    """Whether the compiler of `language` chooses the threads of a CTA."""
    return language in LANGUAGES and LANGUAGES[language].own_threads


def title(language: str) -> str:
    """The name of a language in a sentence; an unknown one as it is, such as in a document of a newer version."""
    return LANGUAGES[language].title if language in LANGUAGES else language
