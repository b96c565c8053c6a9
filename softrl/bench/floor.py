"""The floor of an update: the fewest products that it can do with, each in the fastest form that torch has.

An eager update is watched, whatever its recipe. Autograd multiplies for gradients only where something needs them: of
weights where they are learned, of a layer's inputs where something below is. Convolutions are products as well; biases,
losses and optimisers are none and count nothing.
"""

import statistics
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from softrl.agent.agent import Agent
from softrl.bench.convolved import RECORDED, Convolved
from softrl.bench.timing import Call, block, timed
from softrl.types import Window

Kind = Literal["forward", "weights", "inputs"]
OPERANDS = {torch.ops.aten.mm: 0, torch.ops.aten.bmm: 0, torch.ops.aten.addmm: 1, torch.ops.aten.baddbmm: 1}
"""Where the first factor of a product stands among an operation's arguments."""


class Product(NamedTuple):
    """[rows,inner] @ [inner,columns] for every member: x W forward, x' g for weights, g W' for inputs."""

    kind: Kind
    members: int
    shared: bool  # all members read the same x
    rows: int
    inner: int
    columns: int

    def narrowed(self, width: int, needed: int) -> "Product":
        """With `needed` columns only, where it is the gradient of inputs of that width."""
        return self._replace(columns=needed) if self.kind == "inputs" and self.columns == width else self

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.members * self.rows * self.inner * self.columns

    def forms(self) -> dict[str, Call]:
        """Every way to compute a product into memory that is already there, by name; bias is added where that is free.

        Where all members read the same x, their weights may also stand side by side as one wide matrix.
        """
        kind, members, shared, rows, inner, columns = self
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


Work = Product | Convolved
"""What the floor is made of."""


class Recorder(TorchDispatchMode):
    """Notes every product that runs inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Work] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in OPERANDS:
            first = OPERANDS[func.overloadpacket]
            self.found.append(described(*args[first : first + 2]))
        if func.overloadpacket in RECORDED:
            self.found.append(RECORDED[func.overloadpacket](*args))
        return func(*args, **(kwargs or {}))


def described(left: Tensor, right: Tensor) -> Product:
    """The product of [E,r,i] or [r,i] and [E,i,c] or [i,c]; how the factors lie in memory tells what it is for."""
    left, right = (x if x.dim() == 3 else x[None] for x in (left, right))
    members, rows, inner = left.shape
    kind: Kind = "weights" if transposed(left) else "inputs" if transposed(right) else "forward"
    return Product(kind, members, members > 1 and left.stride(0) == 0, rows, inner, right.shape[2])


def transposed(x: Tensor) -> bool:
    """Whether the columns of a matrix lie together in memory and its rows do not."""
    return min(x.shape[1:]) > 1 and x.stride(1) == 1


def products(agent: Agent, window: Window, actor: bool = True) -> list[Work]:
    """The products of one eager update, which changes the agent; `actor` says whether it moves the policy.

    Autograd returns gradients of whole inputs where the actor's loss needs the columns of its action only: in networks
    that read latents and actions, those columns alone are counted, unless the critic teaches an encoder and needs all.
    """
    with Recorder() as recorder:
        agent.update(window, actor=actor)
    told = agent.critic.reads
    if agent.encoder.critic_trained() or not told:
        return recorder.found
    return [work.narrowed(agent.encoder.width + told, told) for work in recorder.found]


def fastest(product: Work, seconds: float = 0.005, rounds: int = 7) -> str:
    """Name of the form with the smallest median time, the forms taking turns of about `seconds`."""
    candidates = product.forms()
    calls = block(next(iter(candidates.values())), seconds)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            times[name].append(timed(call, calls))
    return min(times, key=lambda name: statistics.median(times[name]))


def floor(listed: list[Work], seconds: float = 0.005) -> Call:
    """One call that computes all products, back to back, each in the form that is fastest on this machine."""
    best = {product: fastest(product, seconds) for product in set(listed)}
    chosen = [product.forms()[best[product]] for product in listed]

    def run() -> None:
        for call in chosen:
            call()

    return run
