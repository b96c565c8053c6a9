"""What the processor can do, and who takes its products."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DESCRIPTION = Path("/proc/cpuinfo")
INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}
"""How Linux calls a processor's products in bfloat16; the last on ARM."""
AMD = "AuthenticAMD"
"""The vendor on whose processors MKL, which takes torch's products, leaves half of the hardware unused."""

QUICK, EXACT = "bf16", "ieee"
"""What torch calls its settings: products of float32 for oneDNN, which may round them to bfloat16, and for MKL."""
FEW = 16
"""Rows up to which MKL is asked all the same: oneDNN needs 11 to 29 us before it begins, and at one row of a layer of
256 x 256 MKL needs 4 altogether, at 16 rows 54 to oneDNN's 36, but 3 to 27 of one of 17 x 256."""
BEFORE: list[str] = []
"""torch's setting of before, while products are given away."""


def multiplies_bfloat16() -> bool | None:
    """Whether the processor has instructions for products in bfloat16; None where the system does not tell."""
    flags = described("flags|Features")
    return None if flags is None else not INSTRUCTIONS.isdisjoint(flags.split())


def quicken_products() -> None:
    """Let oneDNN take the products of float32 numbers on AMD's processors, as long as they stay that.

    torch hands them over only where it may round to bfloat16 on the way. oneDNN does so on processors with AMX, which
    AMD's have not; it is tried all the same.
    """
    if BEFORE or AMD not in (described("vendor_id") or ""):
        return
    import torch

    setting = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # stubs miss it
    before = setting.fp32_precision
    if before == QUICK:  # the caller's own wish, which stays
        return
    setting.fp32_precision = QUICK
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(256, 256, generator=g) for _ in range(2))
    if (x @ y - (x.double() @ y.double())).abs().max() > 1e-3:  # 3e-5 in float32, 0.2 in bfloat16
        setting.fp32_precision = before
    else:
        BEFORE.append(before)


def usual_products() -> None:
    """Take back what `quicken_products` gave away: while it is, torch cannot tell the precision of its products."""
    import torch

    while BEFORE:
        torch.backends.mkldnn.matmul.fp32_precision = BEFORE.pop()  # type: ignore[attr-defined]  # stubs miss it


@contextmanager
def few_rows(count: int) -> Iterator[None]:
    """Inside, products of up to `FEW` rows are MKL's again where `quicken_products` has given them away."""
    import torch

    setting = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # stubs miss it
    # What is exported serves any number of rows, and asks whom it likes.
    if torch.compiler.is_compiling() or count > FEW or not BEFORE:
        yield
        return
    setting.fp32_precision = EXACT
    try:
        yield
    finally:
        setting.fp32_precision = QUICK


def described(name: str) -> str | None:
    """What Linux says of all cores under a name, a regular expression; None where it says nothing."""
    try:
        found = re.findall(rf"^(?:{name})\s*:(.*)$", DESCRIPTION.read_text(), re.MULTILINE)
    except OSError:
        return None
    return " ".join(found) or None
