"""The losses beside the critic's, against their equations."""

import pytest
import torch
from torch import nn

from softrl.errors import UserError
from softrl.math.images import five_bits
from softrl.nn.auxiliary import Autoencoder, Contrast, Nothing, Reconstruction
from softrl.nn.convolutions import Convolutions

SEEN = torch.randint(256, (4, 9, 17, 16), dtype=torch.uint8)
ASKED = (Convolutions(2), 5, 9, (17, 16))


def unasked() -> torch.Tensor:
    raise AssertionError("nobody needs another view")


def test_nothing_has_no_loss_and_trains_nothing() -> None:
    part, z = Nothing().build(*ASKED), torch.randn(4, 5)
    assert part(z, SEEN, unasked) == {}
    assert part.self_trained(nn.Linear(2, 2)) == []
    assert part.pictures(z, SEEN) == {}
    assert list(part.parameters()) == []


def test_reconstruction_equals_its_equation() -> None:
    part, z = Reconstruction(0.5).build(*ASKED), torch.randn(4, 5)
    torch.manual_seed(3)
    losses = part(z, SEEN, unasked)
    torch.manual_seed(3)
    target = five_bits(SEEN.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # the order in which the dither is drawn
    assert losses.keys() == {"reconstruction_loss", "latent_penalty"}
    torch.testing.assert_close(losses["reconstruction_loss"], (part.decoder(z) - target).square().mean())
    torch.testing.assert_close(losses["latent_penalty"], 0.5 * sum(0.5 * row @ row for row in z) / 4)


def test_a_perfect_decoder_loses_the_dither() -> None:
    class Perfect(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return (SEEN // 8 * 8 + 4) / 256 - 0.5

    losses = Autoencoder(Reconstruction(), Perfect())(torch.zeros(4, 5), SEEN, unasked)
    assert float(losses["reconstruction_loss"]) == pytest.approx(1 / 12 / 32**2, rel=0.05)
    assert float(losses["latent_penalty"]) == 0


def test_pictures_show_the_newest_frame_above_its_reconstruction() -> None:
    part, z = Reconstruction().build(*ASKED), torch.randn(4, 5)
    picture = part.pictures(z, SEEN)["reconstructions"]
    assert picture.dtype == torch.uint8
    assert picture.shape == (3, 2 * 17, 4 * 16)
    drawn = ((part.decoder(z) + 0.5) * 256).clamp(0, 255).to(torch.uint8)
    for n in range(4):
        assert torch.equal(picture[:, :17, 16 * n : 16 * (n + 1)], SEEN[n, 6:])
        assert torch.equal(picture[:, 17:, 16 * n : 16 * (n + 1)], drawn[n, 6:])


def test_anchors_are_the_first_view_and_positives_another() -> None:
    part, body = Contrast().build(*ASKED), nn.Linear(2, 2)
    assert part.self_trained(body) == [body, part]
    assert part.weight.shape == (5, 5)
    z, positive = torch.randn(8, 5), torch.randn(4, 5)
    loss = part(z, SEEN, lambda: positive)["contrastive_loss"]
    logits = z[:4] @ part.weight @ positive.T
    logits = logits - logits.max(1, keepdim=True).values
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, torch.arange(4)))
    assert part.pictures(z, SEEN) == {}


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(UserError, match="penalty is -1"):
        Reconstruction(-1)
