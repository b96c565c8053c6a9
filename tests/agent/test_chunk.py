"""Plans in the world: what is left of them is kept for each environment, and confidences learn what is right."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softrl.agent.chunk import AdaptiveChunk, Chunk, EveryStep, OpenLoop, actor_spec, critic_spec, mean_executed
from softrl.agent.explore import OnPolicyExplorer
from softrl.data import envs
from softrl.data.collect import Collector
from softrl.data.envs import EnvConfig
from softrl.errors import UserError
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Spec, Step

H = 3
SPEC = Spec({"state": (1,)}, 1, chunk=H, gamma=0.9)


class Scripted:
    """The i-th action of a plan is 10 z + i; `length` says how long plans are at z; counts the latents asked about."""

    def __init__(self, *length: int) -> None:
        self.length, self.asked = torch.tensor(length), 0

    def sample(self, z: Tensor) -> Tensor:
        self.asked += len(z)
        return 10 * z + torch.arange(H)

    def mode(self, z: Tensor) -> Tensor:
        return -self.sample(z)

    def lengths(self, z: Tensor, deterministic: bool) -> tuple[Tensor, Tensor]:
        length = self.length[z[:, 0].long() % len(self.length)]
        return length, length / 10


def scripted(*length: int) -> Any:
    return SimpleNamespace(actor=Scripted(*length), explorer=OnPolicyExplorer())


def test_a_plan_is_executed_action_by_action_in_each_environment() -> None:
    """Environment 0 plans three actions at a time, environment 1 two."""
    agent, plan = scripted(3, 2), Chunk(H).build(SPEC)
    carry = plan.initial(2)
    done, left = [], []
    for time in range(6):
        z = torch.tensor([[2.0 * time], [2.0 * time + 1]])
        action, carry = plan.act(agent, z, carry, deterministic=False)
        done.append(action[:, 0].tolist())
        left.append(carry["plan.left"].tolist())
    assert [a for a, _ in done] == [0, 1, 2, 60, 61, 62]
    assert [a for _, a in done] == [10, 11, 50, 51, 90, 91]
    assert [a for a, _ in left] == [3, 2, 1, 3, 2, 1]
    assert [a for _, a in left] == [2, 1, 2, 1, 2, 1]
    assert agent.actor.asked == 2 + 3  # of twelve decisions


def test_executed_lengths_and_confidences_are_averaged_over_the_plans_of_an_episode() -> None:
    """Environment 0 executes 3, 3 and one of 3 actions, environment 1 three times 2 and one; confidence is a tenth."""
    agent, plan = scripted(3, 2), Chunk(H).build(SPEC)
    carry = plan.initial(2)
    assert mean_executed(carry, 0) == (None, None)
    for time in range(7):
        z = torch.tensor([[2.0 * time], [2.0 * time + 1]])
        _, carry = plan.act(agent, z, carry, deterministic=False)
    assert mean_executed(carry, 0) == pytest.approx((7 / 3, 0.3))
    assert mean_executed(carry, 1) == pytest.approx((7 / 4, 0.2))
    assert mean_executed(EveryStep().initial(2), 0) == ()


def test_evaluation_plans_with_the_mode() -> None:
    plan = Chunk(H).build(SPEC)
    actions, carry = [], plan.initial(1)
    for _ in range(3):
        action, carry = plan.act(scripted(3), torch.ones(1, 1), carry, deterministic=True)
        actions.append(action.item())
    assert actions == [-10, -11, -12]


def test_acting_changes_no_state_that_was_handed_in() -> None:
    """A state of `predict` may be used twice."""
    agent, plan = scripted(3), Chunk(H).build(SPEC)
    _, carry = plan.act(agent, torch.ones(2, 1), plan.initial(2), deterministic=False)
    kept = {name: value.clone() for name, value in carry.items()}
    first, _ = plan.act(agent, torch.zeros(2, 1), carry, deterministic=False)
    assert all(torch.equal(value, kept[name]) for name, value in carry.items())
    assert torch.equal(plan.act(agent, torch.zeros(2, 1), carry, deterministic=False)[0], first)


class Clock(gymnasium.Env[Any, Any]):
    """Observation 2 * episode; episodes of `length` steps end by time."""

    def __init__(self, length: int) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.length, self.episode, self.time = length, -1, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.episode, self.time = self.episode + 1, 0
        return np.array([2.0 * self.episode], np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return np.array([2.0 * self.episode], np.float32), 0.0, False, self.time == self.length, {}


class Planning:
    """What a collector sees of an agent that plans."""

    def __init__(self, agent: Any) -> None:
        self.agent, self.plan = agent, Chunk(H).build(SPEC)

    def initial(self, count: int) -> dict[str, Tensor]:
        return self.plan.initial(count)

    def observe(self, row: Step, carry: dict[str, Tensor]) -> dict[str, Tensor]:
        return carry

    def act(self, obs: dict[str, Tensor], carry: dict[str, Tensor], deterministic: bool = False) -> Any:
        return self.plan.act(self.agent, obs["state"], carry, deterministic)

    def watch(self, obs: dict[str, Tensor], action: Tensor, carry: dict[str, Tensor]) -> dict[str, Tensor]:
        return carry


def collector(*lengths: int) -> Collector:
    each = iter(lengths)
    vector = envs.vector(lambda: Clock(next(each)), EnvConfig(workers="sync"), len(lengths), seed=0)
    return Collector(vector, Planning(scripted(3)), SPEC, seed=0)


def test_plans_end_with_their_episodes_in_each_environment() -> None:
    """Episodes of 2 and of 4 decisions, plans of 3: the queue is cleared at an end, and one environment's end only."""
    source = collector(2, 4)
    rows = [source.collect().row for _ in range(9)]
    position = [(row.action % 10)[:, 0].tolist() for row in rows]
    waiting = [row.last.tolist() for row in rows]
    first = [p for (p, _), (w, _) in zip(position, waiting, strict=True) if not w]
    second = [p for (_, p), (_, w) in zip(position, waiting, strict=True) if not w]
    assert first == [0, 1, 0, 1, 0, 1]
    assert second == [0, 1, 2, 0, 0, 1, 2, 0]
    assert [int(row.left[1]) for row in rows if not row.last[1]] == [3 - place for place in second]


def test_random_actions_count_as_planned() -> None:
    """They answer to nothing that happens, so every beginning of what follows is one of a plan."""
    source = collector(9)
    assert [int(source.collect(random=random).row.left[0]) for random in (True, True, False, False)] == [H, H, 3, 2]


def test_the_state_of_a_collector_goes_on_in_the_midst_of_a_plan() -> None:
    one, other = collector(9), collector(9)
    for _ in range(2):
        one.collect()
    other.load_state_dict(one.state_dict())
    other.env = one.env  # which cannot give its state
    other.done = one.done
    row = other.collect().row
    assert (row.action.item(), int(row.left)) == (2.0, 1)


# ---------------------------------------------------------------- what actor, critic and temperature see


def test_widths() -> None:
    assert (actor_spec(SPEC).action, critic_spec(SPEC).action) == (3, 6)
    single = SPEC._replace(chunk=1)
    assert actor_spec(single) == critic_spec(single) == single


def test_single_actions_are_the_neutral_element() -> None:
    actor = object()
    assert Chunk().wrap_actor(actor, 4, SPEC._replace(chunk=1)) is actor
    assert Chunk().needs == frozenset()
    plan = Chunk().build(SPEC._replace(chunk=1))
    assert type(plan) is EveryStep
    assert type(Chunk(2).build(SPEC)) is OpenLoop
    assert plan.initial(4) == {}
    agent = SimpleNamespace(actor=lambda z: 3 * z)
    assert plan.judged(agent, *[torch.ones(1, 1)] * 2, torch.ones(1)) == (torch.full((1, 1), 3.0), {}, {})  # type: ignore[arg-type]
    target = torch.tensor([-3.3])
    assert torch.equal(target * plan.expected_decisions(torch.ones(1)), target)  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [Chunk(1), Chunk(H), AdaptiveChunk(H, whole=0.5)], ids=["one", "fixed", "adaptive"])
def test_the_policy_s_loss_judges_what_is_collected(config: Any) -> None:
    """Nothing else than the policy where all of a plan is executed, and some plans whole where lengths are learned."""
    torch.manual_seed(0)
    spec = SPEC._replace(chunk=config.length)
    actor = config.wrap_actor(Gaussian(MLP((8,))).build(1, actor_spec(spec)), 1, spec)
    z, answers = torch.randn(400, 1), []
    agent = knowing(actor, Storm(0.0))
    for judge in (actor, lambda z: config.build(spec).judged(agent, z, z, torch.zeros(1))[0]):
        torch.manual_seed(1)
        answers.append(judge(z))
    differ = (answers[0].value != answers[1].value).any(-1)[0]
    assert bool(differ.any()) == config.prefixes
    lengths = answers[1].value[0, differ].unflatten(-1, (config.length, -1))[..., -1].sum(-1)
    assert (lengths == config.length).all()
    assert torch.equal(answers[0].log_prob[:, ~differ], answers[1].log_prob[:, ~differ])


def test_the_entropy_target_counts_executed_decisions() -> None:
    config = AdaptiveChunk(length=H, confidence_threshold=0.0)
    actor = config.wrap_actor(Gaussian(MLP((8,))).build(1, actor_spec(SPEC)), 1, SPEC)
    actions = actor(torch.randn(5, 1))
    assert config.build(SPEC).expected_decisions(actions).item() == pytest.approx(1 + 0.9 + 0.81)
    actor.lengths.threshold = 1.0
    actor.lengths.whole = 0.0
    assert config.build(SPEC).expected_decisions(actor(torch.randn(5, 1))).item() == pytest.approx(1.0)


# ---------------------------------------------------------------- confidences


class Storm(nn.Module):
    """A critic that knows: of the plan made at z = n, everything after n actions loses `harm`, and nothing before."""

    def __init__(self, harm: float) -> None:
        super().__init__()
        self.harm = harm

    def forward(self, z: Tensor, value: Tensor) -> Any:
        executed = value.unflatten(-1, (H, 2))[..., 1].sum(-1)  # [K,B]
        q = 5.0 - self.harm * (executed - z[:, 0]).clamp(min=0)
        return SimpleNamespace(atoms=Atoms(q[None, ..., None], torch.ones(1, *q.shape, 1)))


def knowing(actor: Any, critic: Any, in_backup: float = 1.0, judge: Any = None) -> Any:
    """An agent whose critic is given, and counts entropy in its target or not."""
    temperature, lookahead = SimpleNamespace(in_backup=in_backup), SimpleNamespace(judge=lambda critic: judge or critic)
    return SimpleNamespace(actor=actor, critic=critic, temperature=temperature, lookahead=lookahead)


def learned(harm: float) -> Any:
    torch.manual_seed(0)
    config = AdaptiveChunk(length=H, trunk=MLP((16,)))
    actor = config.wrap_actor(Gaussian(MLP((8,))).build(1, actor_spec(SPEC)), 1, SPEC)
    agent, plan = knowing(actor, Storm(harm)), config.build(SPEC)
    adam = torch.optim.Adam(actor.lengths.parameters(), lr=1e-2)
    policy = [p.clone() for p in actor.actor.parameters()]
    for _ in range(500):
        z = torch.randint(1, 4, (256, 1)).float()
        _, losses, metrics = plan.judged(agent, z, z, torch.zeros(1))
        adam.zero_grad()
        losses["confidence_loss"].backward()
        adam.step()
    assert all(torch.equal(p, q) for p, q in zip(actor.actor.parameters(), policy, strict=True))
    assert set(metrics) == {"chunk_length", "confidence"}
    return actor.lengths, metrics


def test_confidences_learn_where_going_on_is_harmful() -> None:
    """At z = n exactly n actions are worth executing: the length that is learned is n."""
    lengths, metrics = learned(harm=1.0)
    z = torch.tensor([[1.0], [2.0], [3.0]])
    assert lengths(z, deterministic=True)[0].tolist() == [1, 2, 3]
    c = lengths.logits(z).sigmoid()
    torch.testing.assert_close(c, torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]), atol=0.1, rtol=0)
    assert metrics["chunk_length"].item() == pytest.approx(2, abs=0.5)


def test_where_nothing_is_lost_plans_are_executed_whole() -> None:
    lengths, metrics = learned(harm=0.0)
    assert (lengths(torch.tensor([[1.0], [2.0], [3.0]]), deterministic=True)[0] == H).all()
    assert metrics["confidence"] > 0.9


def test_all_beginnings_together_are_half_a_batch() -> None:
    config, asked = AdaptiveChunk(length=H, trunk=MLP((16,))), []

    critic = Storm(1.0)
    critic.register_forward_pre_hook(lambda module, given: asked.append(given[1].shape[:2]))
    actor = config.wrap_actor(Gaussian(MLP((8,))).build(1, actor_spec(SPEC)), 1, SPEC)
    config.build(SPEC).judged(knowing(actor, critic), *[torch.ones(64, 1)] * 2, torch.zeros(1))
    assert asked == [(H, 11), (1, 11)]  # and once more by whom targets are made, the first beginnings


def test_what_is_judged_is_spread_over_the_batch() -> None:
    """Priorities are sampled in the order in which rows lie in replay: the first ones would be the oldest."""
    config, asked = AdaptiveChunk(length=H, trunk=MLP((16,))), []

    critic = Storm(1.0)
    critic.register_forward_pre_hook(lambda module, given: asked.append(given[0][:, 0].tolist()))
    actor = config.wrap_actor(Gaussian(MLP((8,))).build(1, actor_spec(SPEC)), 1, SPEC)
    z = torch.arange(20.0)[:, None]
    config.build(SPEC).judged(knowing(actor, critic), z, 100 + z, torch.zeros(1))
    assert asked == 2 * [[100, 106, 112, 118]]  # by the critic, and by whom targets are made


def shares(log_std: float, alpha: float, in_backup: float = 1.0) -> Tensor:
    """Share of plans in which each further action counts as no worse where all values are alike, [h-1]."""
    torch.manual_seed(0)
    config = AdaptiveChunk(length=H, doubt=0.0)
    actor = config.wrap_actor(Gaussian(MLP((8,))).build(1, actor_spec(SPEC)), 1, SPEC)
    actor.actor.out.weight.data.zero_()
    actor.actor.out.bias.data.copy_(torch.tensor([0.0] * H + [log_std] * H))
    actor.lengths.out.weight.data.zero_()
    agent = knowing(actor, Storm(0.0), in_backup)
    _, losses, _ = config.build(SPEC).judged(agent, *[torch.ones(3000, 1)] * 2, torch.tensor([alpha]))
    (gradient,) = torch.autograd.grad(losses["confidence_loss"], actor.lengths.out.bias)
    return 0.5 - (H - 1) * gradient.flatten()  # of the cross entropy at confidences of one half


def test_entropy_counts_in_what_is_worse() -> None:
    """A further action of a nearly uniform policy brings entropy; one of a narrow policy costs some."""
    assert (shares(log_std=-0.2, alpha=1.0) > 0.9).all()
    assert (shares(log_std=-5.0, alpha=1.0) < 0.1).all()
    torch.testing.assert_close(shares(log_std=-5.0, alpha=0.0), torch.ones(H - 1))


def test_entropy_counts_as_it_does_in_what_the_critic_learns() -> None:
    """Values of a hard backup have no entropy of what comes after planning again: none may speak for going on."""
    for log_std in (-0.2, -5.0):
        torch.testing.assert_close(shares(log_std, alpha=1.0, in_backup=0.0), torch.ones(H - 1))


class Valued(nn.Module):
    """Two critics that differ a little; their mean is a function of how many actions are executed."""

    def __init__(self, value: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.value = value

    def forward(self, z: Tensor, told: Tensor) -> Any:
        executed = told.unflatten(-1, (H, 2))[..., 1].sum(-1)  # [K,B]
        q = self.value(executed) + 0.01 * torch.stack([executed, -executed])
        return SimpleNamespace(atoms=Atoms(q[..., None], torch.ones(*q.shape, 1)))


@pytest.mark.parametrize(
    ("target", "harm", "uncorrected", "share"),
    [(3.0, 0.0, 0.0, 1.0), (3.0, 0.1, 0.0, 0.0), (-3.0, 0.1, 1.0, 1.0)],
    ids=["values fall and nothing is lost", "values fall and something is", "values rise by more than is lost"],
)
def test_that_values_fall_cuts_no_plan_short(target: float, harm: float, uncorrected: float, share: float) -> None:
    """Without rewards Q(s, x_1..k) is gamma^k V'(s_k), whatever a target's V' still has to fall to zero, or to rise."""
    critic = Valued(lambda k: 0.9**k * target - harm * (k - 1))
    for judge, expected in ((critic, uncorrected), (Valued(lambda k: target + 0 * k), share)):
        actor = AdaptiveChunk(H).wrap_actor(Gaussian(MLP((8,))).build(1, actor_spec(SPEC)), 1, SPEC)
        actor.lengths.out.weight.data.zero_()
        agent, plan = knowing(actor, critic, judge=judge), AdaptiveChunk(H).build(SPEC)
        for _ in range(600):
            _, losses, _ = plan.judged(agent, *[torch.ones(6, 1)] * 2, torch.zeros(1))
        (gradient,) = torch.autograd.grad(losses["confidence_loss"], actor.lengths.out.bias)
        torch.testing.assert_close(0.5 - (H - 1) * gradient.flatten(), torch.full((H - 1,), expected))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"length": 1}, "2 actions"),
        ({"confidence_threshold": 1.5}, "probability"),
        ({"confidence_threshold": -0.1}, "probability"),
        ({"doubt": -1.0}, "negative"),
        ({"whole": 0.0}, "share"),
        ({"trunk": MLP(norm="batch")}, "needs no batch"),
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        AdaptiveChunk(**wrong)


def test_a_plan_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="at least one"):
        Chunk(0)
