"""Pages to test: of a small pair that really ran on the emulator, and of a recorded run with times."""

from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import numpy as np

from ptxbench.report import render
from ptxbench.report.material import Material, wanted_pairs
from ptxbench.result import BROKEN, RooflineLimits
from tests.runs import Kernel, cell, run_of

VOID = {"meta", "br", "wbr", "hr", "img", "link", "input"}
IMPLIED = {"html", "body", "li", "dt", "dd", "tbody", "thead", "tr", "td", "th"}
"""Elements with an optional end tag."""

LIMITS = RooflineLimits("H100 SXM", "published: a datasheet", 3.35e12, 67e12, 989e12, 1980)


@dataclass
class Reader(HTMLParser):
    """A page as written: its elements with attributes, its text, and its nesting errors."""

    elements: list = field(default_factory=list)
    text: str = ""
    faults: list = field(default_factory=list)
    open: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID | IMPLIED:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in IMPLIED:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def read(page):
    """The page, read to its end."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    reader.faults += [f"<{tag}> is never closed" for tag in reader.open]
    return reader


def timed_run(**frame):
    """A recorded run with times: faster, slower, the same, unsure, the same code, broken; a control; two sizes."""
    rng = np.random.default_rng(7)
    pairs = {
        "triad": {"cuda": Kernel(40), "ptx": Kernel(40)},
        "softmax": {"cuda": Kernel(50), "cuda@fast": Kernel(49.4, "B"), "ptx": Kernel(40, "C")},
        "sgemm_tiled": {"cuda": Kernel(90), "ptx": Kernel(97, "B"),
                        "ptx.wide": Kernel(80, "C", status=BROKEN, reason="illegal_address in verify, ptx.wide")},
    }  # fmt: skip
    cells = [
        with_flops(cell(rng, pair, {"n": n << 20}, longer(kernels, n), work=work(n << 20), limits=LIMITS))
        for pair, kernels in pairs.items()
        for n in (1, 16)
    ]
    same_time = cell(rng, "scan", {"n": 64}, {"cuda": Kernel(10), "ptx": Kernel(10)})
    build = replace(same_time.variants["ptx"].build, sass_sha256=same_time.variants["cuda"].build.sass_sha256)
    same_time = replace(
        same_time, variants={**same_time.variants, "ptx": replace(same_time.variants["ptx"], build=build)}
    )
    control = cell(rng, "A/A control", {"n": 4096}, {"cuda": Kernel(10), "ptx": Kernel(10)}, control=True)
    return run_of([*cells, same_time, control], **frame)


def longer(kernels, times):
    return {name: replace(kernel, us=kernel.us and times * kernel.us) for name, kernel in kernels.items()}


def work(n):
    return {"flops": 4 * n, "bytes": 12 * n}


def with_flops(cell):
    """The cell with machine code that does single precision."""
    code = {name: replace(result.build, opcodes={"FFMA": 4}) for name, result in cell.variants.items()}
    return replace(cell, variants={name: replace(result, build=code[name]) for name, result in cell.variants.items()})


def page_of(*runs):
    """The page of runs without their sources."""
    page, dropped = render(runs, [Material(name) for name in wanted_pairs(runs)], {})
    assert not dropped
    return page
