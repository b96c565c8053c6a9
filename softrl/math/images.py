"""What images add to the mathematics: a target of five bits, a contrast between views, strips to look at.

Shapes: see `softrl.types`.
"""

import torch
from torch import Tensor


def five_bits(pixels: Tensor) -> Tensor:
    """Images of five bits with their lost bits drawn anew, bytes of any shape -> float32 in (-1/2, 1/2).

    x = floor(pixels / 8) / 32 + u / 32 - 1/2,    u ~ U[0, 1)

    (Glow, arXiv 1807.03039, section 6; as the target of a reconstruction arXiv 1910.01741). u has 256 levels, the
    middles of equal shares, because a random byte costs a quarter of a random float.
    """
    count = pixels.numel()
    # Eight bytes a number, which cost little more than the four of a smaller one.
    drawn = torch.randint(-(2**63), 2**63 - 1, (-(-count // 8),), device=pixels.device)
    noise = drawn.view(torch.uint8)[:count].view(pixels.shape).float()
    # In units of 1 / (32 * 256), where every number is exact.
    return noise.add_(pixels.bitwise_right_shift(3).float(), alpha=256).add_(0.5 - 4096).mul_(1 / 8192)


def visible(images: Tensor) -> Tensor:
    """What a reconstruction looks like: numbers around (-1/2, 1/2) -> bytes of the same shape."""
    return ((images + 0.5) * 256).clamp(0, 255).to(torch.uint8)


def strip(*rows: Tensor) -> Tensor:
    """Rows of pictures, each [N,C,H,W], as one picture [C,R*H,N*W] for R rows."""
    return torch.cat([row.permute(1, 2, 0, 3).flatten(2) for row in rows], 1)


def info_nce(anchor: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
    """How badly each anchor tells its own positive from those of the other rows, a scalar.

    logits_ij = a_i W p_j,    loss = -mean_i log softmax(logits_i)_i

    `anchor` and `positive` are [B,D] and `weight` [D,D] (CURL, arXiv 2004.04136, eq. 4; InfoNCE, arXiv 1807.03748).
    CURL's code takes each row's maximum off its logits; the softmax here does the same inside.
    """
    logits = anchor @ weight @ positive.T  # [B,B]
    return -logits.log_softmax(-1).diagonal().mean()
