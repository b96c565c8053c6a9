"""What to measure of networks that may have lost their plasticity. Shapes: see `softrl.types`; U units of a layer."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from softrl.agent.renew import stages, units_of
from softrl.math.generators import forked_generators
from softrl.types import Batch, Metrics, Window

if TYPE_CHECKING:
    from softrl.agent.agent import Agent

ForwardPass = Callable[[], object]
"""A forward pass of a network over some batch."""


class Probe(NamedTuple):
    """What an agent says of a batch, to be compared with what it says later."""

    value: Tensor  # [E,B], expected returns of the actions taken
    action: Tensor  # [B,A], the policy's deterministic choice


@torch.no_grad()
def diagnose(agent: "Agent", window: Window) -> Metrics:
    """Dormant share (of trunks with an `Activation`), effective rank and weight norm of critic and actor, 0-d each.

    The dormant share is also given of both together.

    The random numbers that training draws do not depend on how often this is asked.
    """
    metrics: Metrics = {}
    with forked_generators(window.reward):
        b, _ = agent.encoder(window, agent.actor)
        passes = forward_passes(agent, b)
        every: list[Tensor] = []
        for name, network in (("critic", agent.critic), ("actor", agent.actor)):
            trunks = [stage.trunk for stage in stages(network)]
            units = [part for trunk in trunks for part in trunk.nonlinearities()]
            active = measured_outputs(units, mean_size, passes[name])
            metrics |= {f"{name}_dormant_share": dormant_share(active)} if active else {}
            every += active
            for rank in measured_outputs(trunks[-1:], effective_rank, passes[name]):
                metrics[f"{name}_effective_rank"] = rank
            metrics[f"{name}_weight_norm"] = weight_norm(network)
        metrics |= {"dormant_share": dormant_share(every)} if every else {}
    return metrics


def forward_passes(agent: "Agent", b: Batch, rows: int | None = None) -> dict[str, ForwardPass]:
    """Forward passes of the critic and of the actor over rows spread over a batch, or all, by network."""
    critic = partial(agent.critic, subsampled(b.z, rows), subsampled(b.action, rows)[None])
    return {"critic": critic, "actor": partial(agent.actor.mode, subsampled(b.policy_z, rows))}


def subsampled(x: Tensor, rows: int | None) -> Tensor:
    """At most so many rows of [B,..], evenly spaced: a batch may be in order of time, or of age."""
    return x if rows is None else x[:: max(1, len(x) // rows)][:rows]


def activity(network: Any, forward_pass: ForwardPass) -> list[Tensor]:
    """Mean |h| over a batch of the hidden units that a network's trunks list, one [E,U] a layer."""
    return measured_outputs([activation for _, activation, _ in units_of(network)], mean_size, forward_pass)


def mean_size(h: Tensor) -> Tensor:
    """Mean |h| over a batch, [E,B,U] -> [E,U]."""
    return h.abs().mean(1)


def activities(agent: "Agent", window: Window, rows: int | None = None) -> dict[str, list[Tensor]]:
    """Mean |h| over rows spread over a window, or all, in critic and actor: for each one [E,U] a layer."""
    b, _ = agent.encoder(window, agent.actor)
    passes = forward_passes(agent, b, rows)
    return {name: activity(getattr(agent, name), forward_pass) for name, forward_pass in passes.items()}


def measured_outputs(
    modules: Sequence[nn.Module], measure: Callable[[Tensor], Tensor], forward_pass: ForwardPass
) -> list[Tensor]:
    """A measure of what each module returns during one forward pass, taken before anything overwrites it."""
    taken: dict[nn.Module, Tensor] = {}

    def take(module: nn.Module, inputs: object, output: Tensor) -> None:
        taken[module] = measure(output)

    handles = [module.register_forward_hook(take) for module in modules]
    try:
        forward_pass()
    finally:
        for handle in handles:
            handle.remove()
    return [taken[module] for module in modules]


def dormant(active: Tensor, threshold: float) -> Tensor:
    """Which units [E,U] are dormant: their activity is at most `threshold` times the mean of their layer and member.

    s_i = E|h_i| / mean_j E|h_j| <= threshold (Sokar et al. 2023, arXiv 2302.12902, definition 3.1).
    """
    return active <= threshold * active.mean(-1, keepdim=True)


def dormant_share(active: Sequence[Tensor], threshold: float = 0.025) -> Tensor:
    """Share of dormant units in all layers and members, 0-d, from one [E,U] a layer."""
    return torch.cat([dormant(layer, threshold).flatten() for layer in active]).float().mean()


def effective_rank(features: Tensor, share: float = 0.99) -> Tensor:
    """Fewest singular values of features [E,B,W] that make up this share of their sum, mean over members, 0-d.

    srank = min { k: sum_{i<=k} sigma_i >= share * sum_i sigma_i } (Kumar et al. 2021, arXiv 2010.14498, section 3).
    """
    # Diverged features are for the trainer to report, not for a decomposition to stumble over.
    sums = torch.linalg.svdvals(features.nan_to_num(0, 0, 0)).cumsum(-1)  # [E,min(B,W)]
    return ((sums < share * sums[..., -1:]).sum(-1) + 1).float().mean()


def weight_norm(module: nn.Module) -> Tensor:
    """Euclidean norm of all learned parameters together, 0-d."""
    norms = [torch.linalg.vector_norm(p.detach()) for p in module.parameters() if p.requires_grad]
    return torch.linalg.vector_norm(torch.stack(norms))


@torch.no_grad()
def probe(agent: "Agent", window: Window) -> Probe:
    """What the agent now says of a window: values of its actions, and the actions that it would choose itself."""
    with forked_generators(window.reward):
        torch.manual_seed(0)  # views, latents and masks are the same at every look: they are not what moves
        b, _ = agent.encoder(window, agent.actor)
        return Probe(agent.critic(b.z, b.action[None]).atoms.mean()[:, 0], agent.actor.mode(b.policy_z))


def churn(before: Probe, after: Probe) -> Metrics:
    """How far values and actions moved on rows that were not learned from, mean absolute change, 0-d each.

    Schaul et al. 2022, arXiv 2206.00730; for values and policies, Tang and Berseth 2024, arXiv 2409.04792.
    """
    return {
        "value_churn": (after.value - before.value).abs().mean(),
        "policy_churn": (after.action - before.action).abs().mean(),
    }
