"""How an ensemble's return distributions become one: Atoms [E,K,B,M] -> Atoms [K,B,M']."""

from dataclasses import dataclass

from softrl.types import Atoms


@dataclass(frozen=True)
class Minimum:
    """Keep the member with the smallest mean: the clipped minimum for scalar critics (TD3, arXiv 1802.09477)."""

    def __call__(self, q: Atoms) -> Atoms:
        """Atoms of the most pessimistic member, chosen for each row and action."""
        member = q.mean().argmin(0, keepdim=True)[..., None]  # [1,K,B,1]
        return Atoms(q.value.take_along_dim(member, 0)[0], q.prob.take_along_dim(member, 0)[0])
