"""Text from a file, made safe for its output: one function for each kind of output. Imports nothing of ptxbench.

A run, a kernel, a pair or a config may come from a stranger. Its text is shown as it is written; it never moves the
cursor, hides other text, or becomes markup, a formula or a command.
"""

from __future__ import annotations

import hashlib
import html
import re

HIDDEN = re.compile(
    "\r\n|[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, except the tab and the line feed
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u3164\ufeff\uffa0"  # no width of their own
    "\u2028-\u202e\u2060-\u206f"  # line and paragraph separators, the direction of writing
    "\ud800-\udfff\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"  # surrogates, specials, tags
)
"""Characters that control a terminal, or that a reader cannot see. XML 1.0 forbids some of them."""

COMMAND = re.compile(r"^([^\S\n]*:)(?=:)|(#)(?=#\w*\[)", re.MULTILINE)
"""What a CI runner takes for a command: `::error` at the start of a line; `##[` and `##vso[` anywhere in it."""

FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
"""Beginnings of a text that a spreadsheet computes."""

MARKUP = re.compile(
    r"(?P<markup>[\\`*\[~$]|(?<!\w)_|_(?!\w)|^[-+>#=](?!\d))"  # `_` within a word means nothing
    r"|^(?P<number>\d{1,9})(?=[.)](?:\s|$))"  # a list
    r"|(?P<tag><)|(?P<entity>&(?=#?\w+;))|(?P<bar>\|)"
    r"|(?P<link>(?<!\w)[@#](?=\w)|(?<=\w):(?=//)|(?<=\bwww)\.)",  # what GitHub makes a mention, a reference or a link
    re.IGNORECASE,
)
"""Characters with a meaning to Markdown and GitHub within a line."""

MARKDOWN = {
    "markup": r"\{}", "number": "{}\\", "tag": "&lt;", "entity": "&amp;", "bar": "&#124;",
    "link": "{}&#8203;",  # a space without width
}  # fmt: skip

LONGEST_NAME = 100
"""Characters of the name of a file: systems have a limit of 255 bytes."""


def visible(match: re.Match[str]) -> str:
    r"""The character as an escape: `\\x1b`, `\\u202e`; a Windows line end as a plain one."""
    if match[0] == "\r\n":
        return "\n"
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain(text: str) -> str:
    """For a terminal, and for XML and HTML that a library writes: invisible characters become visible escapes.

    Tabs and line feeds stay.
    """
    return HIDDEN.sub(visible, text)


def xml_text(text: str) -> str:
    """For XML and HTML written without a library, within elements and quoted attributes."""
    return html.escape(plain(text))


def one_line(text: str) -> str:
    """The same in one line, without blanks at its ends."""
    parts = re.split("[\n\t]", plain(text))
    return " ".join(part.strip() for part in parts if part.strip())


def log_text(text: str) -> str:
    """For stdout and stderr, which a CI runner reads too: a space breaks its commands."""
    return COMMAND.sub(r"\1\2 ", text)


def markdown_text(text: str) -> str:
    """For a line of Markdown, within a table too: shown as it is written, with no markup, link or mention."""
    return MARKUP.sub(lambda match: MARKDOWN[match.lastgroup or ""].format(match[0]), one_line(text))


def markdown_code(text: str) -> str:
    """The same as a code span; without one if the text could end it."""
    line = one_line(text)
    return markdown_text(line) if re.search(r"[`|\\<>]", line) or not line else f"`{line}`"


def csv_text(text: str) -> str:
    """For a field of a spreadsheet that is not a number: a quote before what would be a formula."""
    line = one_line(text)
    return f"'{line}" if FORMULA.match(line) else line


def code_text(text: str) -> str:
    """For a format whose readers put it into a code span or a table themselves."""
    return re.sub(r"[`|]", "_", one_line(text))


def word(text: str) -> str:
    """For a format whose words end at a space."""
    return code_text(text).replace(" ", "_") or "_"


def file_name(text: str) -> str:
    """For one part of a path: never another folder or a hidden file; another text has another name."""
    name = re.sub(r"[^\w.,=@+-]+", "-", text, flags=re.ASCII)[:LONGEST_NAME].lstrip(".-").rstrip(".")
    if name and name == text:
        return name
    return f"{name}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}".lstrip("-")


def sarif_text(text: str) -> str:
    """For a message of SARIF, where `{0}` is a placeholder and `[text](1)` a link."""
    return plain(text).replace("{", "{{").replace("}", "}}").replace("](", "] (")


def workflow_text(text: str) -> str:
    """For the message of a workflow command of GitHub, so that it cannot begin another."""
    return log_text(plain(text)).replace("%", "%25").replace("\n", "%0A")


def workflow_property(text: str) -> str:
    """For the value of one of its properties."""
    return workflow_text(text).replace(":", "%3A").replace(",", "%2C")
