"""The floor of an update: the fewest matrix products that it can do with, each in the fastest form that torch has.

What is counted of a network's pass: its forward products; the gradients of its weights only where they are learned;
the gradients of a layer's inputs only where something below needs them; and of the first layer's only those columns
that hold the policy's action. Everything else of an update, such as biases, losses and optimisers, is not counted.
"""

import statistics
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from softrl.agent.agent import Agent
from softrl.nn.layers import Linear

Call = Callable[[], object]


class Product(NamedTuple):
    """One product of every member, [rows,inner] @ [inner,columns].

    forward: x W, with the bias where that costs nothing; weight: the gradient x' g; input: the gradient g W'.
    """

    kind: Literal["forward", "weight", "input"]
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
    """What `softrl.agent.update` sends through the networks."""
    critic = [Pass(agent.actor, False), Pass(agent.lookahead.target, False), Pass(agent.critic, True)]
    return critic + [Pass(agent.critic, False, agent.spec.action), Pass(agent.actor, True)] * actor


def passes_sac_v1(agent: Agent, actor: bool) -> list[Pass]:
    """What `softrl.agent.variants.update_v1` sends through the networks."""
    judged = Pass(agent.critic, False, agent.spec.action * actor)
    values = [Pass(agent.critic, True), Pass(agent.lookahead.value, True), Pass(agent.lookahead.target, False)]
    return [Pass(agent.actor, actor), judged, *values]


PASSES = {"sac": passes_sac, "sac_v1": passes_sac_v1}
"""The passes of each update, by the name that `agent.update` has in a configuration."""


def products(agent: Agent, batch: int, actor: bool = True) -> list[Product]:
    """The products of one update of `batch` rows; `actor` says whether it moves the policy."""
    return [p for one in PASSES[agent.config.update](agent, actor) for p in products_of(one, batch)]


def products_of(one: Pass, batch: int) -> list[Product]:
    """The products of one pass; its layers are taken in the order in which the network holds them."""
    layers = [module.weight for module in one.network.modules() if type(module) is Linear]
    found = []
    for depth, weight in enumerate(layers):
        members, inputs, outputs = weight.shape
        shared = depth == 0
        wanted = one.inputs if depth == 0 else inputs * (one.learned or one.inputs > 0)
        found.append(Product("forward", members, shared, batch, inputs, outputs))
        if one.learned:
            found.append(Product("weight", members, shared, inputs, batch, outputs))
        if wanted:
            found.append(Product("input", members, False, batch, outputs, wanted))
    return found


def forms(product: Product) -> dict[str, Call]:
    """Every way to compute a product into memory that is already there: mm, addmm, bmm, baddbmm, by name.

    Where all members read the same x, their weights may also stand side by side in one wide matrix.
    """
    members, rows, inner, columns = product.members, product.rows, product.inner, product.columns
    left = torch.randn(1 if product.shared else members, rows, inner)
    right = torch.randn(members, inner, columns)
    if product.kind == "weight":
        left = left.mT.contiguous().mT  # x is stored with the batch first
    if product.kind == "input":
        right = right.mT.contiguous().mT  # W is stored with the inputs first
    every = left.expand(members, -1, -1)
    out = torch.empty(members, rows, columns)

    def separate() -> None:
        for x, weight, y in zip(every, right, out, strict=True):
            torch.mm(x, weight, out=y)

    def wide(x: Tensor, weight: Tensor, y: Tensor) -> Call:
        return lambda: torch.mm(x, weight, out=y)

    found: dict[str, Call] = {"bmm": lambda: torch.bmm(every, right, out=out), "mm": separate}
    if members == 1:
        found["mm"] = wide(left[0], right[0], out[0])
    elif product.shared:
        found["wide mm"] = wide(left[0], torch.randn(inner, members * columns), torch.empty(rows, members * columns))
    if product.kind == "forward":
        bias = torch.randn(members, 1, columns)
        found["baddbmm"] = lambda: torch.baddbmm(bias, every, right, out=out)
        if members == 1:
            found["addmm"] = lambda: torch.addmm(bias[0], left[0], right[0], out=out[0])
    return found


def fastest(product: Product, seconds: float = 0.01, rounds: int = 5) -> tuple[str, Call]:
    """Name and call of the form with the smallest median time, the forms taking turns."""
    candidates = forms(product)
    calls = max(1, int(seconds / timed(candidates["bmm"], 5)))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            times[name].append(timed(call, calls))
    best = min(times, key=lambda name: statistics.median(times[name]))
    return best, candidates[best]


def timed(call: Call, calls: int) -> float:
    """Mean seconds of a call."""
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begin) / calls


def floor(listed: list[Product]) -> Call:
    """One call that computes all products, back to back, each in its fastest form on this machine."""
    chosen = [fastest(product)[1] for product in listed]

    def run() -> None:
        for call in chosen:
            call()

    return run
