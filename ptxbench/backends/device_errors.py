"""The errors of the driver: what caused each, whether the process can still use the GPU, what to do.

By CUresult; cudaError_t has the same numbers for the lower ones. Data and sentences only: calls nothing of the driver.
"""

from __future__ import annotations

import sys

from ptxbench.errors import DeviceError, MachineError, ToolMissing

WITHOUT_TIMING = "Run with --backend emulator to verify without timing."

NO_DEVICE, INSUFFICIENT_DRIVER, OUT_OF_MEMORY = 100, 35, 2

EMULATE = "Run it with --backend emulator: it reports the line."
ASSEMBLE = "Run with --assembler toolkit: ptxas reports the line, and the driver then reads no PTX."
EXCLUSIVE = "Another process uses the GPU, or its compute mode forbids it: see nvidia-smi, end the other process."
INSTALLATION = "Repair the installation of the driver; nvidia-smi and `ptxbench doctor` show its state."
MPS = "Restart the MPS server, or run without MPS."
HARDWARE = "The hardware failed, not the kernel: see nvidia-smi -q and the system log, reset the GPU, run again."
NO_TESTED_KERNEL = "No kernel under test was running: run again; if it happens again, see nvidia-smi."
TOO_OLD = "Update the driver, or leave --arch out to build for this device."

ADVICE = {
    1: "Check the pair's launch: grid, block and shared memory must fit the kernel's .maxntid and the device.",
    2: "Choose a smaller --size, or free the memory that other processes hold.",
    3: INSTALLATION,
    4: INSTALLATION,
    34: "A stub of the driver library was loaded: take the folder of stubs out of LD_LIBRARY_PATH.",
    35: "Update the driver.",
    36: "Update the driver.",
    46: EXCLUSIVE,
    100: "Check that the process may see a GPU: CUDA_VISIBLE_DEVICES, and the devices of the container.",
    101: "Check that the process may see a GPU: CUDA_VISIBLE_DEVICES, and the devices of the container.",
    102: "The GPU has no license: see nvidia-smi -q.",
    200: f"The driver cannot read this cubin. {TOO_OLD}",
    209: "The cubin is for another architecture: leave --arch out on this device.",
    214: HARDWARE,
    218: ASSEMBLE,
    220: HARDWARE,
    221: "Install the driver's JIT compiler (libnvidia-ptxjitcompiler), or run with --assembler toolkit.",
    222: "The PTX is newer than the driver. Update the driver, or run with --assembler toolkit.",
    223: "Unset CUDA_DISABLE_PTX_JIT, or run with --assembler toolkit.",
    226: HARDWARE,
    304: INSTALLATION,
    500: "The module has no entry of that name: check the kernel's name against its pair.",
    700: EMULATE,
    701: "The block needs more registers or threads than an SM or the kernel's .maxntid allows: use a smaller block.",
    702: "The driver stopped a kernel that ran too long: use a device without a display, or a smaller --size.",
    709: "Something outside ptxbench destroyed the context of the GPU: run again.",
    710: "An assertion in the kernel failed: its file and line are printed above.",
    714: EMULATE,
    715: EMULATE,
    716: EMULATE,
    717: EMULATE,
    718: EMULATE,
    719: EMULATE,
    720: "A cooperative grid must fit the device at once: launch fewer CTAs, or smaller ones.",
    721: "The kernel ended before it freed its tensor memory: each tcgen05.alloc needs its tcgen05.dealloc.",
    800: "This process is not allowed to do that on this GPU: check the permissions of the container and of MIG.",
    801: "This device or driver does not support it.",
    802: INSTALLATION,
    803: "The driver library and the kernel module differ: reboot, or reload the driver.",
    804: "Remove the CUDA compatibility package, or update the driver.",
    805: MPS,
    806: MPS,
    807: MPS,
    808: MPS,
    809: MPS,
    810: MPS,
    911: HARDWARE,
    912: "Check the pair's cluster: no more CTAs than the device allows (8 everywhere), and a divisor of the grid.",
    916: "Reset the GPU, run again.",
    999: "The driver reports no cause. Run again; if it happens again, run `nvidia-smi` and see the system log.",
}
"""What to do, by CUresult."""

STICKY = frozenset({214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911})
"""After these the process can no longer use the GPU: cuda.h says so, or that the context is destroyed."""

GONE = frozenset({3, 4, 34, 35, 36, 46, 100, 101, 102, 304, 802, 803, 804, 805, 806, 807, 808, 809, 916})
"""After these no process can use the GPU for now: further attempts would fail too."""

MACHINE = STICKY - {700, 702, 710, 714, 715, 716, 717, 718, 719, 721} | GONE | {2, 200, 209, 221, 222, 223, 800, 801}
"""Caused by the GPU, its driver or another process, not by a kernel."""


def is_lost(status: int) -> bool:
    """Whether this process can no longer use the GPU. For other numbers the context has to be tried."""
    return status in STICKY or status in GONE


def explain(kernel: str, status: int, text: str, *, of_ptxbench: bool = False) -> str:
    """The message of an error: the kernel, the driver's own words, what to do."""
    advice = ADVICE.get(status, "The driver's documentation explains this error.")
    if of_ptxbench and status not in MACHINE:
        advice = NO_TESTED_KERNEL
    return f"{kernel}: {text.rstrip('.')}. {advice}"


def failure(kernel: str, status: int, text: str, *, of_ptxbench: bool = False) -> DeviceError | MachineError:
    """The error to raise for a driver error while `kernel` was used: a kernel's error, or the machine's.

    `of_ptxbench`: the kernel is one of ptxbench, which is right, so the error is the machine's.
    """
    kind = MachineError if of_ptxbench or status in MACHINE else DeviceError
    return kind(explain(kernel, status, text, of_ptxbench=of_ptxbench))


def no_gpu(text: str) -> str:
    """Why there is no GPU, with what to do."""
    return f"No GPU: {text}. {WITHOUT_TIMING}"


NO_DRIVER = no_gpu("no NVIDIA driver is installed")
NONE_VISIBLE = no_gpu("cudaErrorNoDevice")


def first_line(error: BaseException) -> str:
    """The text of an error, in one line; if CuPy wrapped another error, the text of that one."""
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip(" =-")]
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__


def silence(kinds: tuple[type[BaseException], ...]) -> None:
    """Print none of these errors if a finaliser raises them, such as that of an event of a lost device."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, kinds):
            before(unraisable)

    sys.unraisablehook = hook


def why_unavailable(status: int, text: str, driver_cuda: str) -> str:
    """The sentence for an error of the device count that means "not there".

    Raises ToolMissing for any other error, because a GPU that does not work must not be reported as absent.
    """
    name = text.partition(":")[0]
    if status == NO_DEVICE:
        return no_gpu(name)
    if status == INSUFFICIENT_DRIVER:
        return no_gpu(
            f"{name}: the driver supports CUDA {driver_cuda} and CuPy needs a newer one; "
            "update the driver or install [cu12]"
        )
    raise ToolMissing(f"The GPU does not work: {text}. Repair the driver, or run with --backend emulator.")
