"""The page in headless Chromium: it renders, its lines highlight their partners, and it makes no requests."""

import re
from contextlib import contextmanager
from dataclasses import replace

import pytest

from ptxbench.report import collect, render
from ptxbench.report.material import Material
from ptxbench.report.rows import TALL, indented, squeezed, tight
from tests.report.pages import page_of, timed_run

pytestmark = pytest.mark.long
"""Of the page, `make test` runs tests/report/test_page.py."""

WIDE = {"width": 1280, "height": 900}
WIDTHS = (390, 768, 1280)
"""Of a telephone, a tablet and a laptop."""


@pytest.fixture(scope="module")
def pages(recorded, tmp_path_factory):
    """Two pages as files: of a run on the emulator with listings, and of a recorded run with times; the material."""
    folder = tmp_path_factory.mktemp("pages")
    materials = [step for step in collect([recorded.run], recorded.kernels, ["sm_90"]) if isinstance(step, Material)]
    (folder / "counted.html").write_text(render([recorded.run], materials, {})[0], encoding="utf-8")
    (folder / "timed.html").write_text(page_of(timed_run()), encoding="utf-8")
    (folder / "same.html").write_text(render([with_same_code(recorded.run)], materials, {})[0], encoding="utf-8")
    # As after much inlining: many instructions without a line of the CUDA C, before its first line.
    unlinked = replace(
        materials[0], listings=tuple(replace(listing, origin={}) for listing in materials[0].listings[:1])
    )
    (folder / "unlinked.html").write_text(render([recorded.run], [unlinked], {})[0], encoding="utf-8")
    return folder, materials[0]


def with_same_code(run):
    """The run, as if all variants of a cell had the machine code of `cuda`."""

    def same(cell):
        code = cell.variants["cuda"].build.sass_sha256
        return replace(cell, variants={
            name: replace(row, build=replace(row.build, sass_sha256=code)) for name, row in cell.variants.items()
        })  # fmt: skip

    return replace(run, cells=[same(one) for one in run.cells])


@pytest.fixture
def shown(chromium, pages):
    """Opens a page; fails if it requests anything but the file, or prints anything on the console."""

    @contextmanager
    def shown(name, **options):
        context = chromium.new_context(**{"viewport": WIDE, "color_scheme": "light", **options})
        page = context.new_page()
        requests, messages = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("dialog", lambda dialog: messages.append(dialog.message))
        address = (pages[0] / name).as_uri()
        page.goto(address)
        yield page
        page.wait_for_timeout(50)
        context.close()
        assert requests == [address]
        assert messages == []

    return shown


def marked(page, kind):
    """The texts of the highlighted cells."""
    return set(page.locator(f".code .{kind}").all_inner_texts())


def cell(page, listing, text):
    return page.locator(".listing").nth(listing).locator("tbody td", has_text=text).first


def open_all(page):
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


@pytest.mark.parametrize("name", ["counted.html", "timed.html"])
def test_the_page_renders_and_makes_no_requests(shown, name):
    with shown(name) as page:
        assert page.locator("h1").is_visible()
        assert page.locator("table.summary").is_visible()
        assert page.locator(".chart .plot svg").first.bounding_box()["width"] > 200
        assert page.locator("svg.roofline").is_visible() == (name == "timed.html" or page.locator(".roofline").count())
        open_all(page)


def test_pointing_at_a_line_highlights_exactly_its_partners(shown, pages):
    listing = next(listing for listing in pages[1].listings if listing.variant == "cuda")
    number = next(i for i, line in enumerate(listing.source, 1) if "y[i] = a * x[i]" in line)
    ptx = [line for line in listing.ptx_shown if listing.origin.get(line) == number]
    sass = [instruction for instruction in listing.sass if listing.line_of(instruction) == number]
    assert len(ptx) > 2 < len(sass)
    with shown("counted.html") as page:
        open_all(page)
        cell(page, 0, "y[i] = a * x[i]").hover()
        lit = "\n".join(marked(page, "lit")).split("\n")
        lines = {re.sub(r"^\d*\t", "", line).strip() for line in lit}
        assert lines == {squeezed(listing.ptx[line - 1]) for line in ptx} | {
            tight(instruction.text) for instruction in sass
        }
        assert marked(page, "on") == {indented(listing.source[number - 1])}

        load = next(line for line in ptx if "ld.global" in listing.ptx[line - 1])
        texts = [tight(instruction.text) for instruction in listing.sass if instruction.line == load]
        cell(page, 0, texts[0]).hover()
        lit = marked(page, "lit")
        assert lit == {squeezed(listing.ptx[load - 1]), indented(listing.source[number - 1])}

        page.locator("h1").hover()
        assert marked(page, "lit") == marked(page, "on") == set()


def test_hand_written_ptx_highlights_its_machine_code(shown, pages):
    listing = next(listing for listing in pages[1].listings if listing.variant == "ptx")
    number = next(i for i, line in enumerate(listing.ptx, 1) if "st.global.f32" in line)
    texts = {tight(instruction.text) for instruction in listing.sass if instruction.line == number}
    with shown("counted.html") as page:
        open_all(page)
        cell(page, 1, "st.global.f32").hover()
        assert {re.sub(r"^\d*\t", "", line) for text in marked(page, "lit") for line in text.split("\n")} == texts
        cell(page, 1, "// scale").hover()
        assert marked(page, "lit") == set()  # a comment has no partner


def test_the_keyboard_moves_from_line_to_line_and_highlights_the_same(shown):
    with shown("counted.html") as page:
        page.locator(".listing summary").first.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "region"
        page.keyboard.press("ArrowDown")
        for _ in range(40):
            if "y[i]" in page.evaluate("document.activeElement.textContent"):
                break
            page.keyboard.press("ArrowDown")
            page.keyboard.press("ArrowLeft")
        assert page.evaluate("document.activeElement.tagName") == "TD"
        assert "y[i] = a * x[i]" in next(iter(marked(page, "on")))
        lit = marked(page, "lit")
        assert any("ld.global" in text for text in lit)
        page.keyboard.press("ArrowRight")
        assert "y[i] = a * x[i]" in "".join(marked(page, "lit"))
        assert marked(page, "on") < lit
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "region"
        assert marked(page, "on") == set()


def test_the_line_numbers_are_those_of_the_file(shown, pages):
    listing = next(listing for listing in pages[1].listings if listing.variant == "ptx")
    with shown("counted.html") as page:
        page.locator(".listing summary").nth(1).click()
        counted = page.evaluate(
            """() => {  // as CSS counts: skips before a cell, its lines after it
              const cells = [...document.querySelectorAll('.ptx tbody td:nth-last-child(2):not(:empty)')];
              let number = 1;
              return cells.map(cell => {
                const style = getComputedStyle(cell), of = name => style.getPropertyValue(name).trim();
                number += Number(of('--j') || 0);
                const found = [number, cell.textContent];
                number += Number(of('--k') || 1);
                return found;
              });
            }"""
        )
        assert len(counted) > 10
        for number, text in counted:
            lines = [squeezed(line) for line in listing.ptx[number - 1 : number + text.count("\n")]]
            assert text.split("\n") == lines
        before = "getComputedStyle(document.querySelector('.ptx tbody td'), '::before').content"
        assert page.evaluate(before) == "counter(s)"


def test_the_words_of_an_open_listing_are_coloured_without_an_element_each(shown):
    with shown("counted.html") as page:
        words = "[...(CSS.highlights.get('word') || [])].map(range => range.toString())"
        assert page.evaluate(words) == []
        open_all(page)
        page.wait_for_function(f"{words}.length > 20")
        assert {"ld.global.f32", "const", "unsigned", ".reg"} <= set(page.evaluate(words))
        assert any(word.startswith("LDG.E") for word in page.evaluate(words))
        assert page.locator(".code span").count() == 0


def test_machine_code_without_a_cuda_c_line_has_no_number_and_is_coloured(shown):
    with shown("unlinked.html") as page:
        open_all(page)
        page.wait_for_function("(CSS.highlights.get('word') || new Set()).size > 10")
        first = page.locator(".cuda tbody td").first
        assert int(first.get_attribute("rowspan")) >= TALL
        assert first.evaluate("each => getComputedStyle(each, '::before').content") == "none"
        words = page.evaluate("[...CSS.highlights.get('word')].map(range => range.toString())")
        assert any(word.startswith("LDG.E") for word in words)
        assert "const" in words


LUMINANCE = """element => {
  const style = getComputedStyle(element), of = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(x => x / 255).map(
      x => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let ground = element;
  while (ground && getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
  const [a, b] = [of(style.color), of(getComputedStyle(ground || document.body).backgroundColor)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
"""The contrast of an element's text (WCAG 2.1, contrast ratio)."""

TEXTS = "p, h1, h2, th, td, a, small, .chip, .tiles b, .tiles span, dt, dd, caption, summary, .code .lit, .code .on"


@pytest.mark.parametrize("name", ["counted.html", "timed.html"])
def test_dark_and_light_differ_and_every_text_has_enough_contrast_in_both(shown, name):
    grounds = []
    for scheme in ("light", "dark"):
        with shown(name, color_scheme=scheme) as page:
            open_all(page)
            if name == "counted.html":
                cell(page, 0, "y[i] = a * x[i]").hover()
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            elements = page.locator(TEXTS)
            contrasts = elements.evaluate_all(f"all => all.map({LUMINANCE})")
            assert len(contrasts) > 50
            worst = min(range(len(contrasts)), key=contrasts.__getitem__)
            assert contrasts[worst] >= 4.5, (scheme, elements.nth(worst).inner_text(), contrasts[worst])
    assert grounds[0] != grounds[1]


def test_the_page_is_readable_without_javascript(shown):
    with shown("counted.html", java_script_enabled=False) as page:
        assert page.locator("table.summary").is_visible()
        page.locator(".listing summary").first.click()
        assert "y[i] = a * x[i];" in page.locator(".code").first.inner_text()
        assert page.locator(".code tbody td", has_text="ld.global").first.is_visible()
        row = page.locator(".code tbody tr", has_text="STG.E").first
        assert "st.global" in row.inner_text()  # side by side, without any script
        page.locator(".reach summary").click()
        assert page.locator(".targets").is_visible()


@pytest.mark.parametrize("name", ["counted.html", "timed.html", "same.html"])
def test_tables_scroll_and_not_the_page_at_any_width(shown, name):
    with shown(name) as page:
        open_all(page)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator(".chart .plot svg").first.bounding_box()["width"] > 100


def test_nothing_is_cut_off_in_print(shown):
    with shown("counted.html") as page:
        open_all(page)
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        page.set_viewport_size({"width": 720, "height": 200})  # as wide as a sheet between its margins, and low
        cut = """all => all.filter(each => each.scrollHeight > each.clientHeight + 1
                                     || each.scrollWidth > each.clientWidth + 1).length"""
        assert page.locator(".scroll").evaluate_all(cut) == 0


def test_the_page_runs_no_script_but_its_own(chromium, pages):
    """Whatever got into the markup, the policy of the page would stop it; that policy, and not only escaping."""
    page_with_holes = (
        (pages[0] / "counted.html")
        .read_text(encoding="utf-8")
        .replace("</main>", "<script>window.hacked = 1</script><img src onerror='window.hacked = 2'></main>")
    )
    path = pages[0] / "holes.html"
    path.write_text(page_with_holes, encoding="utf-8")
    context = chromium.new_context()
    page = context.new_page()
    requests, refused = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: refused.append(message.text))
    page.goto(path.as_uri())
    assert page.evaluate("window.hacked") is None
    assert requests == [path.as_uri()]
    assert len(refused) >= 2
    assert all("Content Security Policy" in text for text in refused)
    context.close()


def test_a_hostile_name_is_shown_unchanged(chromium, tmp_path):
    name = "<img src=x onerror=alert(1)>"
    run = timed_run()
    path = tmp_path / "page.html"
    path.write_text(page_of(replace(run, cells=[replace(cell, pair=name) for cell in run.cells])), encoding="utf-8")
    context = chromium.new_context()
    page = context.new_page()
    dialogs = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.goto(path.as_uri())
    assert page.locator("article h2").first.inner_text() == name
    assert page.locator("img").count() == 0
    assert dialogs == []
    context.close()
