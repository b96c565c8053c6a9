"""A sum tree (PER, arXiv 1511.05952, appendix B.2.1): draws whole batches in proportion to numbers that change."""

import torch
from torch import Tensor


class SumTree:
    """Non-negative numbers at cells, with the sums of halves, quarters and so on: a draw takes log2(cells) steps.

    Node i has the children 2i and 2i + 1, and the sum of both, in float64. A sum is always taken anew from its
    children: nothing drifts, and the leaves alone say what the tree is, to the last bit.
    """

    def __init__(self, cells: int, device: torch.device) -> None:
        self.depth = (cells - 1).bit_length()
        self.first = 1 << self.depth  # node of the first leaf
        self.nodes = torch.zeros(2 * self.first, dtype=torch.float64, device=device)
        self.leaves = self.nodes[self.first : self.first + cells]
        self.children = self.nodes.view(-1, 2)  # of node i, side by side

    def set(self, cells: Tensor, values: Tensor) -> None:
        """Put values [B] at cells [B]; of a cell that is named twice, the greatest counts."""
        self.leaves.index_fill_(0, cells, 0.0)  # an assignment would copy the number to a GPU, and wait
        self.leaves.scatter_reduce_(0, cells, values.double(), "amax")  # in no order, unlike an assignment
        node = cells + self.first
        for _ in range(self.depth):
            node = node >> 1
            self.nodes.scatter_(0, node, self.children.index_select(0, node).sum(1))

    def fill(self, values: Tensor) -> None:
        """Put values [n] at the first n cells and zero at the others."""
        self.nodes.zero_()
        self.leaves[: len(values)] = values.double()
        for depth in reversed(range(self.depth)):
            below = self.nodes[2 << depth : 4 << depth]
            self.nodes[1 << depth : 2 << depth] = below[::2] + below[1::2]

    def find(self, share: Tensor) -> Tensor:
        """Cells [B] at which the running sum passes a share [B] in [0, 1) of the total; never one that holds zero."""
        rest = share * self.nodes[1]
        node = torch.ones_like(share, dtype=torch.int64)
        for _ in range(self.depth):
            left, right = self.children.index_select(0, node).unbind(1)
            # Rounding can leave a rest that is as large as the whole node: it must not lead into an empty half.
            beyond = (rest >= left).logical_and_(right)
            rest = rest - left * beyond
            node.mul_(2).add_(beyond)
        return node - self.first
