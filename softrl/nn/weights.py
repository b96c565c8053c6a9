"""What there is below a module: weights that a norm does not own, and constraints to be kept."""

from torch import nn

from softrl.nn.layers import Projected
from softrl.nn.norms import Batched, LayerNorm, RMSNorm

NORMS = (LayerNorm, RMSNorm, Batched)


def weights(module: nn.Module) -> list[nn.Parameter]:
    """All learned parameters below a module, those of norms left out."""
    parts = [part for part in module.modules() if not isinstance(part, NORMS)]
    return [p for part in parts for p in part.parameters(recurse=False) if p.requires_grad]


def constrained(module: nn.Module) -> list[Projected]:
    """The layers below a module that learn and have a constraint: targets average weights that were on it."""
    parts = [part for part in module.modules() if any(p.requires_grad for p in part.parameters(recurse=False))]
    return [part for part in parts if isinstance(part, Projected)]
