"""What the processor can do, and who takes its products."""

import re
from pathlib import Path

DESCRIPTION = Path("/proc/cpuinfo")
INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}
"""How Linux calls a processor's products in bfloat16; the last on ARM."""
AMD = "AuthenticAMD"
"""The vendor on whose processors MKL, which takes torch's products, leaves half of the hardware unused."""


def multiplies_bfloat16() -> bool | None:
    """Whether the processor has instructions for products in bfloat16; None where the system does not tell."""
    flags = described("flags|Features")
    return None if flags is None else not INSTRUCTIONS.isdisjoint(flags.split())


def quicken_products() -> None:
    """Let oneDNN take the products of float32 numbers on AMD's processors, as long as they stay that.

    torch hands them over only where it may round to bfloat16 on the way. oneDNN does so on processors with AMX, which
    AMD's have not; it is tried all the same.
    """
    if AMD not in (described("vendor_id") or ""):
        return
    import torch

    setting = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # stubs miss it
    before, setting.fp32_precision = setting.fp32_precision, "bf16"
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(256, 256, generator=g) for _ in range(2))
    if (x @ y - (x.double() @ y.double())).abs().max() > 1e-3:  # 3e-5 in float32, 0.2 in bfloat16
        setting.fp32_precision = before


def described(name: str) -> str | None:
    """What Linux says of all cores under a name, a regular expression; None where it says nothing."""
    try:
        found = re.findall(rf"^(?:{name})\s*:(.*)$", DESCRIPTION.read_text(), re.MULTILINE)
    except OSError:
        return None
    return " ".join(found) or None
