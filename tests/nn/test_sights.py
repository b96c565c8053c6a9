"""Reading and predicting vectors."""

import pytest
import torch

from softrl.errors import UserError
from softrl.math.latents import symlog
from softrl.nn.readout import Readout
from softrl.nn.sights import Vectors, gaussian_nll
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

SPEC = Spec({"state": (3,)}, 2)


def test_leading_axes_are_free() -> None:
    readout, x = Readout(MLP((8,)), 3, 2), torch.randn(4, 5, 3)
    rows = readout(x)
    assert rows.shape == (4, 5, 2)
    torch.testing.assert_close(rows[2], readout.out(readout.trunk(x[2]))[0])


def test_vectors_are_compressed_before_they_are_read_and_predicted() -> None:
    sight = Vectors(MLP((8,)), MLP((8,))).build(6, SPEC)
    obs = {"state": 10 * torch.randn(4, 5, 3)}
    target = sight.target(obs)
    torch.testing.assert_close(target, symlog(obs["state"]))
    assert (sight.embed(target).shape, sight.predict(torch.randn(4, 5, 6)).shape) == ((4, 5, 8), (4, 5, 3))
    plain = Vectors(scale="none").build(6, SPEC)
    assert torch.equal(plain.target(obs), obs["state"])
    assert sight.visible(target) is None


def test_surprise_is_the_log_density_without_its_constant() -> None:
    predicted, target = torch.randn(2, 4, 5, 3)
    law = torch.distributions.Normal(predicted, 1)
    expected = -(law.log_prob(target) - law.log_prob(predicted)).sum(-1)
    torch.testing.assert_close(gaussian_nll(predicted, target, 2), expected)


def test_a_smaller_deviation_weighs_errors_more() -> None:
    sight = Vectors(MLP((8,)), MLP((8,)), deviation=0.5).build(6, SPEC)
    features, target = torch.randn(4, 5, 6), torch.randn(4, 5, 3)
    law = torch.distributions.Normal(sight.predict(features), 0.5)
    expected = -(law.log_prob(target) - law.log_prob(law.mean)).sum(-1)
    torch.testing.assert_close(sight.loss(features, target), expected)


def test_bad_values_are_refused() -> None:
    for deviation in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="deviation is"):
            Vectors(deviation=deviation)
    with pytest.raises(UserError, match="Vectors needs state"):
        Vectors().build(6, Spec({"pixels": (3, 64, 64)}, 2))
    with pytest.raises(UserError, match="batch statistics"):
        Vectors(encoder=MLP(norm="batch"))
