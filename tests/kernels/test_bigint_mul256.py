"""The pair bigint_mul256."""


def bigint_mul256(a, b, n, reps):
    def number(limbs):
        return sum(limb << 32 * k for k, limb in enumerate(limbs))

    rows = []
    for left, right in zip(map(number, a), map(number, b), strict=True):
        for _ in range(reps):
            product = left * right
            left = product % 2**256 ^ product // 2**256
        rows.append([product >> 32 * k & 0xFFFFFFFF for k in range(16)])
    return {"product": rows}


REFERENCE = (bigint_mul256, {"n": 10, "reps": 3})
REGISTERS = 48  # with more, 2048 threads no longer fit an SM

MUTANTS = [
    ("bigint_mul256.ptx", "setp.ge.u32 %past_end, %i, %n",   "setp.gt.u32 %past_end, %i, %n"),
    ("bigint_mul256.ptx", "addc.u32 %even_12, 0, 0",         "add.u32 %even_12, 0, 0"),     # a carry lost
    ("bigint_mul256.ptx", "%odd_3, %a_3, %b_0, %odd_3",      "%odd_3, %a_3, %b_0, %odd_2"),
    ("bigint_mul256.ptx", "addc.cc.u32 %p_9",                "add.cc.u32 %p_9"),            # seen by 2^224 + 1 alone
    ("bigint_mul256.ptx", "%a_2, %p_2, %p_10",               "%a_2, %p_2, %p_9"),  # wrong from the second product
    ("bigint_mul256.rows.ptx", "addc.u32 %p_11, 0, 0",        "add.u32 %p_11, 0, 0"),
    ("bigint_mul256.rows.ptx", "madc.hi.cc.u32 %p_9",         "mad.hi.cc.u32 %p_9"),
    ("bigint_mul256.rows.ptx", "[%product_at + 32]",          "[%product_at + 16]"),         # four limbs never written
]  # fmt: skip
