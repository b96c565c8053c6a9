"""The floor of an update: the fewest matrix products that it can do with, each in the fastest form that torch has.

What is counted of a batch's pass through a network: its forward products; the gradients of weights only where they are
learned; the gradients of a layer's inputs only where something below needs them, and of the network's own inputs only
the columns that hold the policy's action. Biases, losses and optimisers are not products and count nothing.
"""

import statistics
from typing import Literal, NamedTuple

import torch
from torch import nn

from softrl.agent.agent import Agent
from softrl.bench.timing import Call, block, timed
from softrl.nn.layers import Linear


class Product(NamedTuple):
    """[rows,inner] @ [inner,columns] for every member: x W forward, x' g for weights, g W' for inputs."""

    kind: Literal["forward", "weights", "inputs"]
    members: int
    shared: bool  # all members read the same x
    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.members * self.rows * self.inner * self.columns


class Pass(NamedTuple):
    """A batch that goes through a network."""

    network: nn.Module
    learned: bool  # the gradients of its weights are needed
    inputs: int = 0  # columns of its input whose gradients are needed


def passes_sac(agent: Agent, actor: bool) -> list[Pass]:
    """What `softrl.agent.update` sends through the networks; `actor` as there."""
    critic = [Pass(agent.actor, False), Pass(agent.lookahead.target, False), Pass(agent.critic, True)]
    return critic + [Pass(agent.actor, True), Pass(agent.critic, False, agent.spec.action)] * actor


def passes_v1(agent: Agent, actor: bool) -> list[Pass]:
    """What `softrl.agent.variants.update_v1` sends through the networks; `actor` as there."""
    policy = [Pass(agent.actor, actor), Pass(agent.critic, False, agent.spec.action * actor)]
    return [*policy, Pass(agent.critic, True), Pass(agent.lookahead.value, True), Pass(agent.lookahead.target, False)]


PASSES = {"sac": passes_sac, "sac_v1": passes_v1}
"""The passes of each kind of update, by its name in `AgentConfig.update`."""


def products(agent: Agent, batch: int, actor: bool = True) -> list[Product]:
    """The products of one update of `batch` rows; `actor` says whether it moves the policy."""
    return [product for one in PASSES[agent.config.update](agent, actor) for product in products_of(one, batch)]


def products_of(one: Pass, batch: int) -> list[Product]:
    """The products of one pass, layer by layer; the first layer is the one that reads the network's input."""
    found = []
    for depth, weight in enumerate(module.weight for module in one.network.modules() if type(module) is Linear):
        members, inputs, outputs = weight.shape
        shared = depth == 0
        found.append(Product("forward", members, shared, batch, inputs, outputs))
        if one.learned:
            found.append(Product("weights", members, shared, inputs, batch, outputs))
        wanted = one.inputs if shared else inputs * (one.learned or one.inputs > 0)
        if wanted:
            found.append(Product("inputs", members, False, batch, outputs, wanted))
    return found


def forms(product: Product) -> dict[str, Call]:
    """Every way to compute a product into memory that is already there, by name; bias is added where that is free.

    Where all members read the same x, their weights may also stand side by side as one wide matrix.
    """
    kind, members, shared, rows, inner, columns = product
    left = torch.randn(1 if shared else members, rows, inner)
    right = torch.randn(members, inner, columns)
    # As the networks store them: x with the batch first, W with the inputs first.
    left = left.mT.contiguous().mT if kind == "weights" else left
    right = right.mT.contiguous().mT if kind == "inputs" else right
    bias, out = torch.randn(members, 1, columns), torch.empty(members, rows, columns)
    every = left.expand(members, -1, -1)
    each = list(zip(every, right, out, bias, strict=True))
    wide, wide_out = torch.randn(inner, members * columns), torch.empty(rows, members * columns)

    def separate() -> None:
        for x, weight, y, _ in each:
            torch.mm(x, weight, out=y)

    def separate_biased() -> None:
        for x, weight, y, b in each:
            torch.addmm(b, x, weight, out=y)

    found: dict[str, Call] = {"mm": separate, "bmm": lambda: torch.bmm(every, right, out=out)}
    if kind == "forward":
        found |= {"addmm": separate_biased, "baddbmm": lambda: torch.baddbmm(bias, every, right, out=out)}
    if shared and members > 1:
        found["wide mm"] = lambda: torch.mm(left[0], wide, out=wide_out)
    return found


def fastest(product: Product, seconds: float = 0.005, rounds: int = 7) -> str:
    """Name of the form with the smallest median time, the forms taking turns of about `seconds`."""
    candidates = forms(product)
    calls = block(candidates["bmm"], seconds)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            times[name].append(timed(call, calls))
    return min(times, key=lambda name: statistics.median(times[name]))


def floor(listed: list[Product], seconds: float = 0.005) -> Call:
    """One call that computes all products, back to back, each in the form that is fastest on this machine."""
    best = {product: fastest(product, seconds) for product in set(listed)}
    chosen = [forms(product)[best[product]] for product in listed]

    def run() -> None:
        for call in chosen:
            call()

    return run
