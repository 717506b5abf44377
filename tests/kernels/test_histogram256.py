"""The pair histogram256."""


def histogram256(x, bins, n):
    for byte in x:
        bins[byte] += 1
    return {"bins": bins}


REFERENCE = (histogram256, {"n": 40, "percent": 40})

MUTANTS = [
    ("histogram256.ptx", "%x_w, 22",                        "%x_w, 14"),                   # a byte twice, one never
    ("histogram256.ptx", "%rest, %n, 15",                   "%rest, %n, 7"),
    ("histogram256.ptx", "red.shared.add.u32 [%bin], 1",    "st.shared.u32 [%bin], 1"),
    ("histogram256.ptx", "red.global.add.u32",              "st.global.u32"),              # the last CTA's counts alone
]  # fmt: skip
