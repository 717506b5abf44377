"""Print the extra to install: cu13, or cu12 if the driver supports only CUDA 12, or nothing on macOS.

It uses only the standard library, because it runs before anything is installed. Without a driver the extra is cu13,
because NVRTC and ptxas need no driver.
"""

import ctypes
import sys


def driver_version():
    """The newest CUDA that the driver supports, as 1000 major + 10 minor; None without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int(0)
    return version.value if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 else None


def extra(platform, driver):
    """The extra for a platform (as sys.platform) and a driver's CUDA version."""
    if platform == "darwin":  # NVIDIA has no wheels for macOS; the emulator runs without
        return ""
    return "cu12" if driver is not None and driver < 13000 else "cu13"


if __name__ == "__main__":
    print(extra(sys.platform, driver_version()))
