"""The nouns: what they know of themselves."""

import torch
from torch import tensor

from softrl.types import Actions, Atoms, Spec, Window


def test_an_action_is_its_one_hots_and_its_continuous_part() -> None:
    assert Spec({"state": (3,)}, 2).action == 2
    assert Spec({"state": (3,)}, 2, (4, 3)).action == 9


def test_mean_is_weighted() -> None:
    assert Atoms(tensor([[1.0, 5.0]]), tensor([[0.75, 0.25]])).mean().tolist() == [2.0]


def test_pooling_mixes_members_with_equal_weights() -> None:
    atoms = Atoms(tensor([[[1.0, 3.0]], [[5.0, 7.0]]]), torch.full((2, 1, 2), 0.5))  # [E=2,B=1,M=2]
    pooled = atoms.pool(0)
    assert pooled.value.tolist() == [[1.0, 3.0, 5.0, 7.0]]
    assert pooled.prob.tolist() == [[0.25] * 4]
    assert pooled.mean().tolist() == [4.0]


def test_expectation_takes_trailing_components_along() -> None:
    actions = Actions(torch.zeros(2, 1, 1), torch.zeros(2, 1, 1), tensor([[0.25], [0.75]]))
    assert actions.expectation(tensor([[4.0], [8.0]])).tolist() == [7.0]
    assert actions.expectation(tensor([[[4.0, 0.0]], [[8.0, 4.0]]])).tolist() == [[7.0, 3.0]]


def test_a_window_is_changed_in_all_its_tensors() -> None:
    ones = torch.ones(4, 1)
    window = Window(
        {"state": torch.ones(4, 2, 3)}, ones[..., None], ones, ones, ones.bool(), ones[:, 0], torch.arange(4)
    )
    half = window.map(lambda tensor: tensor[:2])
    assert half.obs["state"].shape == (2, 2, 3)
    assert [None if tensor is None else len(tensor) for tensor in half[1:]] == [2] * 6 + [None, None]
