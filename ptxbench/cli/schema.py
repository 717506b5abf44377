"""`ptxbench schema`: the JSON Schema of every document that ptxbench prints or saves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from ptxbench.cli._terminal import say, width
from ptxbench.errors import UsageError, suggestion


@click.command("schema", short_help="Print the JSON Schema of a document.")
@click.argument("name", metavar="[NAME]", required=False)
def command(name: str | None) -> None:
    """Print the JSON Schema (draft 2020-12) of the document NAME, or list the names.

    The key "schema" of a document says which one it is: "ptxbench.check/2" is the document check, version 2. Within a
    version keys may be added, and are never removed.

    ptxbench schema check > check.schema.json

    Exit status: 0 good, 2 an unknown document.
    """
    files = schemas()
    if name is None:
        from textwrap import fill

        from ptxbench.documents import read_json

        titles = {schema_name: read_json(path)["title"] for schema_name, path in files.items()}
        widest = max(map(len, titles)) + 2
        for schema_name, title in titles.items():
            say(fill(title, width(), initial_indent=f"{schema_name:{widest}}", subsequent_indent=" " * widest))
        return
    if name not in files:
        hint = suggestion(name, list(files)) or f" Known are {', '.join(files)}."
        raise UsageError(f"Unknown document '{name}'.{hint}")
    say(files[name].read_text(encoding="utf-8"), nl=False)


def schemas() -> Mapping[str, Path]:
    """The file of each schema, by the name of its document."""
    import ptxbench

    folder = Path(ptxbench.__file__).parent / "schemas"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}
