"""The encoder of images equals a plain one; gradients stop where the papers stop them; views stay in their order."""

import pytest
import torch
from torch import Tensor, nn, tensor

from softrl.errors import UserError
from softrl.math.images import five_bits
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.augment import Crop, Shift
from softrl.nn.auxiliary import Contrast, Reconstruction
from softrl.nn.convolutions import Convolutions
from softrl.nn.encoders.pixels import PixelEncoder, Pixels
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Spec, Window

SMALL = Convolutions(4)
SPEC = Spec({"pixels": (9, 20, 21)}, 2, stack=3)
CONFIGS = {
    "sac_ae": Pixels(SMALL, 5, auxiliary=Reconstruction()),
    "sac_pixels": Pixels(SMALL, 5),
    "drq": Pixels(SMALL, 5, augmentation=Shift(2), tau=0.01),
    "drq_one": Pixels(SMALL, 5, augmentation=Shift(2, views=1)),
    "drq_ae": Pixels(SMALL, 5, augmentation=Shift(2, views=3), auxiliary=Reconstruction()),
    "curl": Pixels(SMALL, 5, False, augmentation=Crop(17), auxiliary=Contrast()),
    "curl_two": Pixels(SMALL, 5, False, augmentation=Crop(17, views=2), auxiliary=Contrast()),
}
every = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def window_of(spec: Spec, rows: int = 3) -> Window:
    return Window(
        {"pixels": torch.randint(256, (rows, 2, *spec.obs["pixels"]), dtype=torch.uint8)},
        torch.randn(rows, 1, 2),
        torch.randn(rows, 1),
        torch.rand(rows, 1),
        torch.zeros(rows, 1, dtype=torch.bool),
        torch.rand(rows),
        torch.arange(rows),
    )


def gaussian_behind(config: Pixels, encoder: PixelEncoder) -> nn.Module:
    return Gaussian(trunk=config.policy_trunk(MLP((8,)))).build(encoder.policy_width, SPEC)


def encoded(config: Pixels):
    encoder = config.build(SPEC)
    for parameter in encoder.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    encoder.target.requires_grad_(True)  # so that a path to the copy would be seen
    actor = gaussian_behind(config, encoder)
    window = window_of(SPEC)
    return encoder, actor, window, *encoder(window, actor)


def touched(output: Tensor, module: nn.Module) -> list[bool]:
    """Which parameters of a module have a gradient that is not zero."""
    asked = [output.new_zeros((), requires_grad=True), *module.parameters()]  # never an empty list
    found = torch.autograd.grad(output, asked, allow_unused=True, retain_graph=True)
    return [gradient is not None and bool(gradient.abs().sum() > 0) for gradient in found[1:]]


class Plain(nn.Module):
    """SAC+AE's networks (arXiv 1910.01741) in plain torch, channels before pixels."""

    def __init__(self, channels: int, small: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(channels, 32, 3, 2), *(nn.Conv2d(32, 32, 3) for _ in range(3))])
        self.linear, self.norm = nn.Linear(32 * small * small, 50), nn.LayerNorm(50)
        self.back = nn.Linear(50, 32 * small * small)
        self.transposed = nn.ModuleList(
            [*(nn.ConvTranspose2d(32, 32, 3) for _ in range(3)), nn.ConvTranspose2d(32, channels, 3, 2, 0, 1)]
        )
        self.small = small

    def load(self, encoder: PixelEncoder) -> None:
        ours = encoder.body.convolutions
        decoder = encoder.auxiliary.decoder
        pairs = [*zip(self.convolutions, [ours.first, *ours.others], strict=True)]
        pairs += zip(self.transposed, decoder.layers, strict=True)
        for theirs, mine in pairs:
            theirs.load_state_dict({"weight": mine.weight, "bias": mine.bias})
        neck, area = encoder.body.neck, (self.small, self.small, 32)
        into = neck.linear.weight[0].T.unflatten(1, area).permute(0, 3, 1, 2).flatten(1)
        self.linear.load_state_dict({"weight": into, "bias": neck.linear.bias[0, 0]})
        self.norm.load_state_dict({"weight": neck.norm.weight[0, 0], "bias": neck.norm.bias[0, 0]})
        out = decoder.linear.weight[0].T.unflatten(0, area).permute(2, 0, 1, 3).flatten(0, 2)
        bias = decoder.linear.bias[0, 0].unflatten(0, area).permute(2, 0, 1).flatten()
        self.back.load_state_dict({"weight": out, "bias": bias})

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        h = pixels / 255
        for layer in self.convolutions:
            h = layer(h).relu()
        z = self.norm(self.linear(h.flatten(1))).tanh()
        x = self.back(z).relu().unflatten(1, (32, self.small, self.small))
        for layer in self.transposed[:-1]:
            x = layer(x).relu()
        return z, self.transposed[-1](x)


@pytest.mark.parametrize(("size", "small"), [(84, 35), (64, 25)])
def test_encoder_and_decoder_equal_plain_torch(size: int, small: int) -> None:
    spec = Spec({"pixels": (9, size, size)}, 2, stack=3)
    encoder = Pixels(auxiliary=Reconstruction()).build(spec)
    for module in (encoder.body, encoder.auxiliary):
        for parameter in module.parameters():
            parameter.data.add_(0.02 * torch.randn_like(parameter))
    plain = Plain(9, small)
    plain.load(encoder)
    assert (encoder.width, encoder.policy_width) == (50, 32 * small * small)
    window = window_of(spec, 2)
    encoder.target.load_state_dict(encoder.body.state_dict())
    torch.manual_seed(5)
    batch, losses = encoder(window, nn.Module())
    now, after = window.obs["pixels"].unbind(1)
    z, drawn = plain(now)
    torch.manual_seed(5)
    target = five_bits(now.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(batch.z, z)
    torch.testing.assert_close(batch.target_z, plain(after)[0])
    loss = nn.functional.mse_loss(drawn, target)
    torch.testing.assert_close(losses["reconstruction_loss"], loss)
    torch.testing.assert_close(losses["latent_penalty"], 1e-6 * 0.5 * z.square().sum(1).mean())
    ours = torch.autograd.grad(losses["reconstruction_loss"], [encoder.body.convolutions.first.weight])
    theirs = torch.autograd.grad(loss, [plain.convolutions[0].weight])
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


@every
def test_a_window_becomes_a_batch_of_views(config: Pixels) -> None:
    encoder, _, window, batch, _ = encoded(config)
    views = config.augmentation.views
    assert batch.z.shape == batch.target_z.shape == (3 * views, encoder.width)
    assert batch.next_z.shape == (3 * views, encoder.policy_width)
    assert batch.policy_z.shape == (3, encoder.policy_width)
    for name, given in (("action", window.action[:, 0]), ("reward", window.reward[:, 0]),
                        ("discount", window.discount[:, 0]), ("weight", window.weight)):  # fmt: skip
        assert torch.equal(getattr(batch, name), given.repeat(views, *[1] * (given.dim() - 1)))
    torch.testing.assert_close(encoder.body.neck(batch.policy_z)[0], batch.z[:3])


def test_the_target_copy_makes_the_target_alone() -> None:
    encoder = CONFIGS["sac_ae"].build(SPEC)
    for parameter in encoder.target.neck.norm.parameters():
        parameter.zero_()
    batch, _ = encoder(window_of(SPEC), nn.Module())
    assert not batch.target_z.any()
    assert batch.z.any()
    assert batch.next_z.any()


def test_a_critic_without_a_copy_of_its_own_reads_no_latents_of_a_copy() -> None:
    encoder = CONFIGS["sac_ae"].build(SPEC)
    for parameter in encoder.target.neck.norm.parameters():
        parameter.zero_()
    encoder.judged_by_copy = False
    window = window_of(SPEC)
    batch, _ = encoder(window, nn.Module())
    torch.testing.assert_close(batch.target_z, encoder.body(window.obs["pixels"][:, 1])[1].detach())
    assert not batch.target_z.requires_grad


@every
def test_the_policy_reads_features_that_teach_nobody(config: Pixels) -> None:
    encoder, actor, _, batch, _ = encoded(config)
    assert not any(latent.requires_grad for latent in (batch.policy_z, batch.next_z, batch.target_z))
    policy = actor(batch.policy_z).log_prob.sum()
    assert not any(touched(policy, encoder))
    assert any(touched(policy, actor))


@every
def test_the_critic_teaches_the_body_alone(config: Pixels) -> None:
    encoder, _, _, batch, _ = encoded(config)
    critic = batch.z.square().sum()
    assert encoder.critic_trained() == [encoder.body]
    assert all(touched(critic, encoder.body))
    assert not any(touched(critic, encoder.auxiliary))
    assert not any(touched(critic, encoder.target))


@every
def test_own_losses_teach_all_of_own_and_nothing_else(config: Pixels) -> None:
    encoder, _, _, _, losses = encoded(config)
    own = encoder.self_trained()
    assert bool(own) == bool(losses)
    if losses:
        total = sum(losses.values())
        assert all(all(touched(total, module)) for module in own)
        assert encoder.body in own
        assert {id(p) for m in own for p in m.parameters()} == {
            id(p) for m in (encoder.body, encoder.auxiliary) for p in m.parameters()
        }
        assert not any(touched(total, encoder.target))


def test_only_the_decoder_decays() -> None:
    encoder = CONFIGS["sac_ae"].build(SPEC)
    assert not any(getattr(parameter, "decays", True) for parameter in encoder.body.parameters())
    assert all(getattr(parameter, "decays", True) for parameter in encoder.auxiliary.parameters())


def test_no_convolution_is_done_twice() -> None:
    encoder = CONFIGS["sac_ae"].build(SPEC)
    passes: list[tuple[str, bool]] = []
    for name, body in (("online", encoder.body), ("target", encoder.target)):
        body.convolutions.register_forward_hook(lambda *_, name=name: passes.append((name, torch.is_grad_enabled())))
    encoder(window_of(SPEC), nn.Module())
    assert sorted(passes) == [("online", False), ("online", True), ("target", False)]


def test_views_are_drawn_apart() -> None:
    encoder = Pixels(SMALL, augmentation=Crop(15, views=2)).build(SPEC)
    row = torch.arange(20 * 21).remainder(256).to(torch.uint8).view(1, 1, 20, 21).expand(50, 9, 20, 21)
    first, second = encoder.views(row).chunk(2)
    differ = (first != second).flatten(1).any(1)
    assert 40 <= int(differ.sum()) <= 50
    assert first.shape == (50, 9, 15, 15)


def test_views_share_the_mixture_of_their_targets() -> None:
    encoder = CONFIGS["drq"].build(SPEC)
    target = Atoms(tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]]), tensor([[0.5, 0.5], [0.2, 0.8], [1, 0], [0, 1]]))
    averaged = encoder.average_views(target)
    assert averaged.value.tolist() == [[1, 2, 5, 6], [3, 4, 7, 8]] * 2
    torch.testing.assert_close(averaged.prob, tensor([[0.25, 0.25, 0.5, 0], [0.1, 0.4, 0, 0.5]] * 2))
    torch.testing.assert_close(averaged.mean(), tensor([(1.5 + 5) / 2, (3.8 + 8) / 2] * 2))


def test_the_target_of_a_single_view_stays() -> None:
    target = Atoms(torch.randn(3, 2), torch.rand(3, 2))
    averaged = CONFIGS["sac_ae"].build(SPEC).average_views(target)
    assert torch.equal(averaged.value, target.value)
    assert torch.equal(averaged.prob, target.prob)


@every
def test_acting_sees_the_middle_and_draws_nothing(config: Pixels) -> None:
    encoder = config.build(SPEC)
    obs = {"pixels": torch.randint(256, (4, 9, 20, 21), dtype=torch.uint8)}
    before = torch.get_rng_state()
    z, carry = encoder.act(obs, encoder.initial(4))
    assert torch.equal(torch.get_rng_state(), before)
    assert z.shape == (4, encoder.policy_width)
    assert not z.requires_grad
    assert carry == encoder.acted(torch.zeros(4, 2), carry) == {}
    torch.testing.assert_close(z, encoder.body.convolutions(config.augmentation.plain(obs["pixels"])))
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.observe(obs)
    torch.testing.assert_close(encoder.state_dict(), state, rtol=0, atol=0)


@every
def test_the_target_copy_starts_equal_and_follows(config: Pixels) -> None:
    encoder = config.build(SPEC)
    torch.testing.assert_close(encoder.target.state_dict(), encoder.body.state_dict(), rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in encoder.target.parameters())
    before = {name: value.clone() for name, value in encoder.body.state_dict().items()}
    for parameter in encoder.body.parameters():
        parameter.data.add_(1)
    encoder.follow()
    for name, value in encoder.target.state_dict().items():
        torch.testing.assert_close(value, before[name] + config.tau)
    pointers = [value.data_ptr() for value in encoder.state_dict().values()]
    assert len(set(pointers)) == len(pointers)


@pytest.mark.parametrize(("name", "pictures"), [("sac_ae", 1), ("drq_ae", 1), ("drq", 0), ("curl", 0)])
def test_pictures_are_of_all_rows(name: str, pictures: int) -> None:
    encoder = CONFIGS[name].build(SPEC)
    found = encoder.pictures(window_of(SPEC, 3))
    assert [picture.shape for picture in found.values()] == [(3, 2 * 20, 3 * 21)] * pictures


@pytest.mark.slow
@pytest.mark.parametrize("name", ["drq_ae", "curl"])
def test_one_graph(name: str) -> None:
    config = CONFIGS[name]
    encoder, actor, window, _, _ = encoded(config)
    torch._dynamo.reset()
    traced = torch.compile(encoder, fullgraph=True, backend="eager", dynamic=False)
    torch.manual_seed(1)
    expected = encoder(window, actor)
    torch.manual_seed(1)
    torch.testing.assert_close(traced(window, actor), expected)
    acting = torch.compile(encoder.act, fullgraph=True, backend="eager", dynamic=False)
    obs = {"pixels": window.obs["pixels"][:, 0]}
    torch.testing.assert_close(acting(obs, {}), encoder.act(obs, {}))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 48, 48), (12, 100, 30), (4, 15, 15)])
def test_any_image(shape: tuple[int, int, int]) -> None:
    spec = Spec({"pixels": shape}, 2)
    encoder = Pixels(SMALL, 5, auxiliary=Reconstruction()).build(spec)
    batch, losses = encoder(window_of(spec), nn.Module())
    assert batch.z.shape == (3, 5)
    assert losses["reconstruction_loss"].isfinite()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Pixels(features=0), "features is 0"),
        (lambda: Pixels(tau=0), "tau is 0"),
        (lambda: Pixels(auxiliary=Contrast()), "Contrast compares two views"),
        (lambda: Pixels(auxiliary=Reconstruction()).check(Spec({"state": (3,)}, 2)), "a decoder with it, needs images"),
        (lambda: Pixels().build(Spec({"state": (3,)}, 2)), "needs images"),
        (lambda: Pixels().check(Spec({"pixels": (3, 14, 84)}, 2)), "14x84 where"),
        (lambda: Pixels(augmentation=Crop(84)).check(Spec({"pixels": (3, 84, 84)}, 2)), "ask for larger images"),
        (lambda: Pixels(augmentation=Crop(9)).check(Spec({"pixels": (3, 84, 84)}, 2)), "9x9 where"),
    ],
)
def test_bad_values(wrong, words: str) -> None:
    with pytest.raises(UserError, match=words):
        wrong()
