"""What there is below a module: weights that a norm does not own, and constraints to be kept."""

from torch import nn

from softrl.nn.layers import Projected
from softrl.nn.norms import Batched, LayerNorm, RMSNorm

NORMS = (LayerNorm, RMSNorm, Batched)


def weights(module: nn.Module) -> list[nn.Parameter]:
    """All learned parameters below a module, those of norms left out."""
    parts = [part for part in module.modules() if not isinstance(part, NORMS)]
    return [p for part in parts for p in part.parameters(recurse=False) if p.requires_grad]


def constrained(module: nn.Module) -> bool:
    """Whether `softrl.nn.layers.project` has anything to do below a module."""
    return any(isinstance(part, Projected) for part in module.modules())
