"""Drawing parts of an agent anew while it learns: whole modules, layers, single units.

Weights, moments and counts change in place, because compiled updates keep pointers to them. Fresh weights are those of
a freshly built agent, so that every draw is that of the configuration, from torch's default generator.
Shapes: see `softrl.types`; U units of a layer.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from softrl.agent.optim import AdamOptimizer
from softrl.agent.regularize import Regularizer
from softrl.errors import UserError
from softrl.nn.layers import project

if TYPE_CHECKING:
    from softrl.agent.agent import Agent

NETWORKS = ("critic", "actor")
Marks = dict[str, list[Tensor]]
"""Units to be drawn anew: for each of the NETWORKS one mask [E,U] a layer."""


def restore(agent: "Agent", part: nn.Module, fresh: nn.Module, optimizer: AdamOptimizer) -> None:
    """Give a part the state of a fresh one, and its weights no past in optimiser and regulariser."""
    part.load_state_dict(fresh.state_dict())
    agent.regularizer.renew(part)
    for parameter in part.parameters():
        optimizer.forget(parameter)


def stages(network: Any) -> list[Any]:
    """The networks with a trunk and an output layer that a network is made of, one after the other.

    A network from elsewhere may be made otherwise, and has none.
    """
    return [one for one in getattr(network, "stages", [network]) if getattr(one, "trunk", None) is not None]


def units_of(network: Any) -> list[tuple[nn.Module, nn.Module, nn.Module]]:
    """What makes hidden units, the Activation whose output they are, and what reads them, for every layer of units."""
    return [(maker, a, reader or stage.out) for stage in stages(network) for maker, a, reader in stage.trunk.hidden()]


def layers_of(network: Any) -> list[nn.Module]:
    """The layers that make or read a network's hidden units and its output layers, from the inputs to the outputs."""
    layers: list[nn.Module] = []
    for one in stages(network):
        for maker, _, reader in one.trunk.hidden():
            layers += [maker, *([] if reader is None else [reader])]
        layers.append(one.out)
    return list(dict.fromkeys(layers))  # a reader may make the next units


def check_layers(agent: "Agent", name: str, count: int) -> None:
    """Refuse to draw more layers anew than a network has."""
    known = len(layers_of(getattr(agent, name)))
    if known < count:
        raise UserError(
            f"agent.plasticity.layers is {count}, but agent.{name} has {known} that can be reset by themselves: "
            "reset fewer, or none for the whole network"
        )


def check_units(agent: "Agent") -> None:
    """Refuse a network in which no unit can be drawn anew by itself."""
    for name in NETWORKS:
        known = stages(getattr(agent, name))
        if not known or not all(stage.trunk.hidden() for stage in known):
            raise UserError(
                f"agent.plasticity cannot draw single units of agent.{name} anew, because its trunk shares them more "
                "widely than between two layers, or lists none: choose another trunk or activation, or Reset"
            )


def draw_units(agent: "Agent", marks: Marks) -> None:
    """Draw the marked units anew; where none is marked, nothing is built and no random number drawn.

    They get fresh incoming weights, outgoing weights of zero and no past gradients in Adam, and a regulariser pulls
    them to what they are now. Norms, targets, the biases of the layers that read them and the count of the optimiser's
    steps, which belongs to all weights together, are left alone.
    """
    if not torch.cat([mask.flatten() for masks in marks.values() for mask in masks]).any():
        return
    fresh = agent.config.build(agent.spec)
    draw_network(agent.critic, fresh.critic, agent.optim.value, agent.regularizer, marks["critic"])
    draw_network(agent.actor, fresh.actor, agent.optim.actor, agent.regularizer, marks["actor"])


@torch.no_grad()
def draw_network(
    network: Any, fresh: Any, optimizer: AdamOptimizer, regularizer: Regularizer, masks: list[Tensor]
) -> None:
    """Copy incoming weights of marked units from a fresh network, then silence their outgoing ones."""
    for (maker, _, _), (model, _, _), mask in zip(units_of(network), units_of(fresh), masks, strict=True):
        for weight, draw in zip(maker.parameters(), model.parameters(), strict=True):  # [E,i,U] and [E,1,U]
            weight.copy_(torch.where(mask[:, None], draw.to(weight.device), weight))
            optimizer.forget(weight, mask[:, None])
            regularizer.renew_entries(weight, mask[:, None])
    # A second pass, because one layer's outgoing weights are the next one's incoming.
    for reading, mask in zip(outgoing(network), masks, strict=True):
        reading.masked_fill_(mask[..., None], 0)
        optimizer.forget(reading, mask[..., None])
        regularizer.renew_entries(reading, mask[..., None])
    project(network)


def outgoing(network: Any) -> list[Tensor]:
    """The weights that read the hidden units of each layer, [E,U,o]."""
    return [reader.weight for _, _, reader in units_of(network)]  # type: ignore[misc]
