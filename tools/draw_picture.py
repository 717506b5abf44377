"""Draw docs/run.svg, the picture of the README: the output of a run on the emulator, as in a terminal.

The picture is the real output of the command. Draw it again with `make picture` when the table changes.
"""

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100
ARGUMENTS = ["run", "transpose", "softmax", "--backend", "emulator", "--no-save"]
PICTURE = Path(__file__).parents[1] / "docs" / "run.svg"


def real_output():
    """The stdout of the command, with the colours of a colour terminal."""
    command = shutil.which("ptxbench", path=os.fspath(Path(sys.executable).parent))
    environment = os.environ | {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    done = subprocess.run([command, *ARGUMENTS], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def draw(output):
    """The picture, as SVG. Its identifiers come from the content, so that equal output gives an equal file."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(output), soft_wrap=True)
    svg = console.export_svg(title=f"$ ptxbench {' '.join(ARGUMENTS)}")
    # Any monospaced font works, because each text has its length. A font from the network is not always available.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(real_output()), encoding="utf-8")
    print(f"Wrote {PICTURE}")
