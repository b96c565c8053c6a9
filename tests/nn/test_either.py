"""The sight that suits the observations, with the settings that were made for it."""

import pytest
import torch

from softrl.errors import UserError
from softrl.nn.dreamer_cnn import PictureObservationModel, Pictures
from softrl.nn.either import Either
from softrl.nn.sights import VectorObservationModel, Vectors
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

PIXELS, STATE = Spec({"pixels": (3, 16, 16)}, 2), Spec({"state": (5,)}, 2)
SIGHT = Either(Pictures(2), Vectors(MLP((8,)), MLP((9,))))


@pytest.mark.parametrize(
    ("spec", "alone", "kind"),
    [(PIXELS, SIGHT.pictures, PictureObservationModel), (STATE, SIGHT.vectors, VectorObservationModel)],
)
def test_it_is_the_one_that_suits_bit_by_bit(spec: Spec, alone: Pictures | Vectors, kind: type) -> None:
    states = []
    for sight in (SIGHT, alone):
        torch.manual_seed(0)
        module = sight.build(6, spec)
        assert type(module) is kind
        states.append(module.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_both_have_sizes_of_their_own() -> None:
    assert SIGHT.build(6, STATE).width == 8
    assert SIGHT.build(6, PIXELS).width == 4 * 1 * 1 * 4 == Either(Pictures(4)).build(6, PIXELS).width / 2


def test_what_neither_can_read_is_refused() -> None:
    with pytest.raises(UserError, match="square ones of at least 4x4"):
        SIGHT.check(Spec({"pixels": (3, 3, 3)}, 2))
    with pytest.raises(UserError, match="square"):
        SIGHT.build(6, Spec({"pixels": (3, 16, 20)}, 2))
