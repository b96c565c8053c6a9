"""The scalar head: one atom, regressed to the mean of the target."""

import torch
from torch import tensor

from softrl.nn.heads import Scalar
from softrl.types import Atoms


def test_a_row_is_one_atom_of_weight_one() -> None:
    row = torch.randn(2, 3, 4, 1)  # [E,K,B,W]
    atoms = Scalar().atoms(row)
    assert torch.equal(atoms.mean(), row[..., 0])
    assert torch.equal(atoms.prob, torch.ones_like(row))


def test_loss_by_hand_for_every_member() -> None:
    target = Atoms(tensor([[0.0, 4.0]]), tensor([[0.5, 0.5]]))  # mean 2
    loss = Scalar().loss(tensor([[[5.0]], [[2.0]], [[0.0]]]), target)  # three members
    assert loss.tolist() == [[4.5], [0.0], [2.0]]
