"""A fake Nsight Compute: runs the program after its options, and writes a table as `ncu --csv` does.

NCU_MODE: `counts` (what NCU_COUNTS says, JSON by metric), `refused`, `busy`, `nothing`, `hangs`.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HEADER = (
    '"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","Block Size","Grid Size","Device",'
    '"CC","Section Name","Metric Name","Metric Unit","Metric Value"'
)
REFUSED = (
    "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU Performance Counters on the "
    "target device 0. For instructions on enabling permissions and to get more information see "
    "https://developer.nvidia.com/ERR_NVGPUCTRPERM"
)
BUSY = "==ERROR== Profiling failed because a driver resource was unavailable. Ensure that no other tool (like DCGM) is"
WITH_VALUE = {
    "--log-file", "--print-units", "--clock-control", "--kernel-name-base", "--kernel-name", "--launch-count",
    "--metrics",
}  # fmt: skip


def main(words):
    options = {}
    while words[0].startswith("--"):
        name = words.pop(0)
        options[name] = words.pop(0) if name in WITH_VALUE else ""
    assert options.keys() == WITH_VALUE | {"--csv"}, options
    mode = os.environ["NCU_MODE"]
    if mode == "hangs":
        Path(os.environ["NCU_PID"]).write_text(str(os.getpid()))
        time.sleep(600)
    if mode == "nothing" and not os.environ.get("NCU_RUNS"):
        return 1  # without a file
    lines = ["==PROF== Connected to process 4711 (/usr/bin/python3)"]
    if os.environ.get("NCU_RUNS"):
        lines.append(subprocess.run(words, capture_output=True, text=True, check=False).stderr.strip())
    if mode in ("refused", "busy"):
        lines.append(REFUSED if mode == "refused" else BUSY)
    if mode == "counts":
        counts = json.loads(os.environ["NCU_COUNTS"])
        lines.append(HEADER)
        for metric in options["--metrics"].split(","):
            value = f"{counts[metric]:,}" if metric in counts else "n/a"
            place = f'"0","4711","python3","127.0.0.1","{options["--kernel-name"]}","1","13","(256, 1, 1)","(64, 1, 1)"'
            lines.append(f'{place},"0","9.0","Command line profiler metrics","{metric}","","{value}"')
    lines.append("==PROF== Disconnected from process 4711")
    Path(options["--log-file"]).write_text("\n".join(lines) + "\n")
    return 0 if mode in ("counts", "nothing") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
