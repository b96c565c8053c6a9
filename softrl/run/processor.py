"""What the processor can do."""

import re
from pathlib import Path

DESCRIPTION = Path("/proc/cpuinfo")
INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}
"""How Linux calls a processor's products in bfloat16; the last on ARM."""


def multiplies_bfloat16() -> bool | None:
    """Whether the processor has instructions for products in bfloat16; None where the system does not tell."""
    try:
        flags = re.findall(r"^(?:flags|Features)\s*:(.*)$", DESCRIPTION.read_text(), re.MULTILINE)
    except OSError:
        return None
    return not INSTRUCTIONS.isdisjoint(" ".join(flags).split()) if flags else None
