"""Six updates of each recipe from pixels equal the papers' equations in plain torch, weight by weight.

Beside the equations this holds the published numbers: what each optimiser owns, its rate and its betas, how fast each
target copy follows, and which updates move policy and targets.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from softrl.math.images import five_bits
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Spec, Window

ROWS, SIZE, STRIDES, UPDATES = 3, 20, (2, 1, 1, 1), 6
SMALL = {
    "agent.encoder.convolutions.channels": 4,
    "agent.encoder.features": 5,
    "agent.actor.trunk.hidden": (8, 8),
    "agent.critic.trunk.hidden": (8, 8),
}
CROPPED = {"agent.encoder.augmentation.pixels": SIZE}


def held(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def gradients_of(loss: Tensor, optimizer: torch.optim.Optimizer) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, held(optimizer), retain_graph=True)


def step(optimizer: torch.optim.Optimizer, gradients: tuple[Tensor, ...]) -> None:
    for parameter, gradient in zip(held(optimizer), gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()


class Paper:
    """The update of SAC+AE, DrQ or CURL on the weights of an agent, by their names."""

    def __init__(self, recipe: str, weights: dict[str, Tensor]) -> None:
        self.recipe = recipe
        self.views = 2 if recipe == "drq" else 1
        self.encoder_tau = 0.01 if recipe == "drq" else 0.05
        self.squash = (lambda x: x) if recipe == "curl" else torch.tanh
        self.weights = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
        body, adam = self.named("encoder.body."), torch.optim.Adam
        self.critic = adam([*body, *self.named("critic.")], 1e-3)
        self.actor = adam(self.named("actor."), 1e-3)
        log_alpha = self.named("temperature.")
        self.price = adam(log_alpha, 1e-3) if recipe == "drq" else adam(log_alpha, 1e-4, (0.5, 0.999))
        pull = 1e-7 if recipe == "sac_ae" else 0.0
        decoder = {"params": self.named("encoder.auxiliary."), "weight_decay": pull}  # L2, as torch's Adam has it
        self.encoder = adam([{"params": body}, *[decoder] * bool(decoder["params"])], 1e-3)

    def named(self, part: str) -> list[Tensor]:
        return [value for name, value in self.weights.items() if name.startswith(part)]

    def affine(self, name: str, x: Tensor, member: int = 0) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"][member].T, self.weights[f"{name}.bias"][member, 0])

    def convolved(self, body: str, pixels: Tensor) -> Tensor:
        h = pixels / 255
        for layer, stride in zip(("first", "others.0", "others.1", "others.2"), STRIDES, strict=True):
            name = f"{body}.convolutions.{layer}"
            h = F.conv2d(h, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], stride).relu()
        return h.permute(0, 2, 3, 1).flatten(1)

    def neck(self, name: str, h: Tensor) -> Tensor:
        weight, bias = (self.weights[f"{name}.norm.{which}"].flatten() for which in ("weight", "bias"))
        return self.squash(F.layer_norm(self.affine(f"{name}.linear", h), weight.shape, weight, bias))

    def q(self, critic: str, z: Tensor, action: Tensor) -> list[Tensor]:
        answers = []
        for member in range(2):
            h = torch.cat([z, action], -1)
            for layer in range(2):
                h = self.affine(f"{critic}.trunk.layers.{layer}", h, member).relu()
            answers.append(self.affine(f"{critic}.out", h, member)[:, 0])
        return answers

    def policy(self, h: Tensor) -> tuple[Tensor, Tensor]:
        x = self.neck("actor.trunk.neck", h)
        for layer in range(2):
            x = self.affine(f"actor.trunk.trunk.layers.{layer}", x).relu()
        mean, raw = self.affine("actor.out", x).chunk(2, -1)
        normal = torch.distributions.Normal(mean, (-10 + 0.5 * 12 * (raw.tanh() + 1)).exp())
        u = mean + normal.scale * torch.randn_like(mean)
        return u.tanh(), (normal.log_prob(u) - torch.log(1 - u.tanh().square())).sum(-1)

    def drawn(self, z: Tensor) -> Tensor:
        name = "encoder.auxiliary.decoder"
        x = self.affine(f"{name}.linear", z).relu().view(len(z), 3, 3, 4).permute(0, 3, 1, 2)
        for i, stride in enumerate(STRIDES[::-1]):
            last = i == len(STRIDES) - 1
            weight, bias = (self.weights[f"{name}.layers.{i}.{which}"] for which in ("weight", "bias"))
            x = F.conv_transpose2d(x, weight, bias, stride, output_padding=int(last))
            x = x if last else x.relu()
        return x

    def view(self, images: Tensor) -> Tensor:
        """What the recipe shows of images, each moved by its own lot."""
        if self.recipe in ("sac_ae", "sac_pixels"):
            return images
        if self.recipe == "drq":
            top, left = torch.randint(9, (2, ROWS))
            images = F.pad(images.float(), (4, 4, 4, 4), mode="replicate").to(torch.uint8)
        else:
            top, left = (torch.randint(images.shape[-1] - SIZE + 1, (ROWS,)) for _ in range(2))
        return torch.stack([x[:, i : i + SIZE, j : j + SIZE] for x, i, j in zip(images, top, left, strict=True)])

    def own(self, now: Tensor, seen: Tensor, z: Tensor) -> Tensor | None:
        """The loss of decoder or contrast."""
        if self.recipe == "sac_ae":
            target = five_bits(seen.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            penalty = 1e-6 * 0.5 * z.square().sum(1).mean()
            return (self.drawn(z) - target).square().mean() + penalty
        if self.recipe == "curl":
            with torch.no_grad():
                positive = self.neck("encoder.target.neck", self.convolved("encoder.target", self.view(now)))
            logits = z @ self.weights["encoder.auxiliary.weight"] @ positive.T
            return F.cross_entropy(logits, torch.arange(ROWS))
        return None

    def update(self, window: Window, number: int) -> None:
        now, after = window.obs["pixels"].unbind(1)
        action, reward, discount = window.action[:, 0], window.reward[:, 0], window.discount[:, 0]
        alpha = self.weights["temperature.log_alpha"].exp().detach()
        seen = [self.view(now) for _ in range(self.views)]
        features = [self.convolved("encoder.body", x) for x in seen]
        latents = [self.neck("encoder.body.neck", h) for h in features]
        with torch.no_grad():
            seen_after = torch.cat([self.view(after) for _ in range(self.views)])
        own = self.own(now, seen[0], latents[0])
        with torch.no_grad():
            next_action, log_prob = self.policy(self.convolved("encoder.body", seen_after))
            z = self.neck("encoder.target.neck", self.convolved("encoder.target", seen_after))
            value = torch.minimum(*self.q("lookahead.target", z, next_action)) - alpha * log_prob
            y = torch.stack([reward + discount * part for part in value.chunk(self.views)]).mean(0)
        errors = [F.mse_loss(q, y) for z in latents for q in self.q("critic", z, action)]
        steps = [(self.critic, 0.5 * sum(errors) / self.views)] + ([(self.encoder, own)] if own is not None else [])
        for optimizer, gradients in [(optimizer, gradients_of(loss, optimizer)) for optimizer, loss in steps]:
            step(optimizer, gradients)
        if number % 2 == 0:
            self.improve(features[0].detach(), latents[0].detach(), alpha)
            self.follow()

    def improve(self, h: Tensor, z: Tensor, alpha: Tensor) -> None:
        action, log_prob = self.policy(h)
        loss = (alpha * log_prob - torch.minimum(*self.q("critic", z, action))).mean()
        step(self.actor, gradients_of(loss, self.actor))
        price = (self.weights["temperature.log_alpha"].exp() * (-log_prob.detach() + 2)).mean()
        step(self.price, gradients_of(price, self.price))

    @torch.no_grad()
    def follow(self) -> None:
        for target, source, tau in (
            ("encoder.target.", "encoder.body.", self.encoder_tau),
            ("lookahead.target.", "critic.", 0.01),
        ):
            for mine, theirs in zip(self.named(target), self.named(source), strict=True):
                mine.copy_((1 - tau) * mine + tau * theirs)


def windows_of(size: int) -> list[Window]:
    shape, flag = (ROWS, 2, 9, size, size), torch.zeros(ROWS, 1, dtype=torch.bool)
    return [
        Window(
            {"pixels": torch.randint(256, shape, dtype=torch.uint8)},
            torch.rand(ROWS, 1, 2) * 2 - 1,
            torch.randn(ROWS, 1),
            torch.tensor([[0.99], [0.0], [0.99]]),
            flag,
            torch.ones(ROWS),
            torch.arange(ROWS),
        )
        for _ in range(UPDATES)
    ]


@pytest.mark.parametrize("recipe", ["sac_ae", "sac_pixels", "drq", "curl"])
def test_updates_equal_the_paper_s(recipe: str) -> None:
    torch.manual_seed(0)
    run = override(apply(recipe, Run()), SMALL | (CROPPED if recipe == "curl" else {}))
    size = SIZE + 4 * (recipe == "curl")
    agent = run.agent.build(Spec({"pixels": (9, size, size)}, 2, stack=3))
    for parameter in agent.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    paper = Paper(recipe, dict(agent.named_parameters()))
    for number, window in enumerate(windows_of(size), 1):
        torch.manual_seed(number)
        agent.update(window, actor=number % run.train.actor_every == 0, follow=number % run.train.target_every == 0)
        torch.manual_seed(number)
        paper.update(window, number)
    for name, value in agent.named_parameters():
        rtol, atol = (0, 2e-6) if name.startswith("temperature.") else (1e-4, 2e-5)  # it moves by 1e-4 at a time
        torch.testing.assert_close(value, paper.weights[name], rtol=rtol, atol=atol, msg=f"{name} differs")


@pytest.mark.parametrize("recipe", ["sac_ae", "sac_pixels", "drq", "curl"])
def test_kernels_start_as_in_the_authors_code(recipe: str) -> None:
    """DrQ draws whole kernels orthogonal, the others their centres."""
    config = override(apply(recipe, Run()), SMALL | (CROPPED if recipe == "curl" else {})).agent
    body = config.build(Spec({"pixels": (9, 24, 24)}, 2, stack=3)).encoder.body.convolutions
    for layer in (body.first, *body.others):
        kernel = layer.weight if recipe == "drq" else layer.weight[..., 1:2, 1:2]
        rows = kernel.flatten(1) / 2**0.5
        torch.testing.assert_close(rows @ rows.T, torch.eye(4), atol=1e-5, rtol=0)
        assert layer.weight.count_nonzero() == kernel.numel()


def test_numbers_too_small_to_be_seen_in_an_update() -> None:
    agent = apply("sac_ae", Run()).agent
    assert agent.encoder.auxiliary.penalty == 1e-6
    assert agent.optim.encoder.l2 == 1e-7
    for recipe in ("sac_ae", "sac_pixels", "drq", "curl"):
        run = apply(recipe, Run())
        assert run.agent.temperature.initial == 0.1
        assert (run.train.batch, run.train.gamma, run.train.updates_per_decision) == (128, 0.99, 1.0)
        assert run.agent.encoder.convolutions.channels == 32
        assert run.agent.encoder.features == 50
        assert run.agent.actor.trunk.hidden == run.agent.critic.trunk.hidden == (1024, 1024)
