"""SAC and REDQ of TorchRL's parts: actor, critics, losses, target updates and replay as its own SAC example has them.

The environment is stepped plainly, so that updates follow each step as with all others; the example collects a
thousand steps, then makes a thousand updates.
"""

import argparse
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from tensordict import TensorDict
from tensordict.nn import InteractionType, TensorDictModule
from tensordict.nn.distributions import NormalParamExtractor
from torch import Tensor, nn
from torchrl.data import Bounded, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.modules import MLP, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import SACLoss, SoftUpdate
from torchrl.objectives.deprecated import REDQLoss_deprecated

BATCH, CELLS, RATE, GAMMA, KEPT = 256, [256, 256], 3e-4, 0.99, 0.995
CAPACITY, PREFETCH = 1_000_000, 3
MEMBERS, SUBSET, UPDATES = 10, 2, 20  # of REDQ, whose policy moves in the last update of a step

Update = Callable[[TensorDict], object]


def learn(options: argparse.Namespace, steps: int, note: Callable[[int], None]) -> None:
    """Train for so many steps, and note each before the updates that follow it."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    env = gymnasium.make(options.env)
    env.action_space.seed(0)
    acting, learning, critic = networks(env)
    critics, policy = {"sac": sac, "redq": redq}[options.algorithm](learning, critic, options.compile)
    updates = [critics] * (UPDATES - 1) + [policy] if options.algorithm == "redq" else [policy]
    replay = TensorDictReplayBuffer(storage=LazyTensorStorage(CAPACITY), batch_size=BATCH, prefetch=PREFETCH)
    observation = numbers(env.reset(seed=0)[0])
    for step in range(1, steps + 1):
        action = env.action_space.sample() if step <= options.warmup else chosen(acting, observation)
        following, reward, terminated, truncated, _ = env.step(action)
        replay.add(row(observation, action, following, float(reward), terminated, truncated))
        observation = numbers(env.reset()[0] if terminated or truncated else following)
        note(step)
        if step == options.warmup:
            held = replay[:].clone()  # again and again, as with ours
            for _ in range(options.rows // len(held) - 1):
                replay.extend(held)
        if step > options.warmup:
            for update in updates:
                update(replay.sample())


def networks(env: gymnasium.Env[Any, Any]) -> tuple[ProbabilisticActor, ProbabilisticActor, ValueOperator]:
    """The example's actor, to act and to learn with, which share their weights, and its critic."""
    low, high = torch.as_tensor(env.action_space.low), torch.as_tensor(env.action_space.high)
    (width,), inputs = env.observation_space.shape, ["observation"]
    body = MLP(in_features=width, out_features=2 * len(low), num_cells=CELLS, activation_class=nn.ReLU)
    scaled = nn.Sequential(body, NormalParamExtractor(scale_mapping="biased_softplus_1.0", scale_lb=0.1))
    acting, learning = (
        ProbabilisticActor(
            module=TensorDictModule(scaled, in_keys=inputs, out_keys=["loc", "scale"]),
            spec=Bounded(low=low, high=high),
            in_keys=["loc", "scale"],
            distribution_class=TanhNormal,
            distribution_kwargs={"low": low, "high": high, "tanh_loc": False},
            default_interaction_type=InteractionType.RANDOM,
            return_log_prob=logs,  # which acting would compute in vain
        )
        for logs in (False, True)
    )
    critic = MLP(in_features=width + len(low), out_features=1, num_cells=CELLS, activation_class=nn.ReLU)
    return acting, learning, ValueOperator(critic, in_keys=["action", *inputs])


def sac(
    actor: ProbabilisticActor, critic: ValueOperator, compile: bool, capturable: bool = False
) -> tuple[Update, Update]:
    """One update of all: critics, policy and temperature from one backward pass, as in the example.

    `capturable` lets a CUDA graph hold the steps of the optimiser.
    """
    loss = SACLoss(actor, critic, num_qvalue_nets=2, loss_function="l2", delay_actor=False, delay_qvalue=True)
    loss.make_value_estimator(gamma=GAMMA)
    optimizer = torch.optim.Adam(loss.parameters(), lr=RATE, capturable=capturable)
    targets = SoftUpdate(loss, eps=KEPT)

    def update(batch: TensorDict) -> TensorDict:
        losses = loss(batch)
        (losses["loss_actor"] + losses["loss_qvalue"] + losses["loss_alpha"]).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        targets.step()
        return losses.detach()

    whole = compiled(update, compile)
    return whole, whole


def redq(actor: ProbabilisticActor, critic: ValueOperator, compile: bool) -> tuple[Update, Update]:
    """An update of the critics alone, and one of the policy and the temperature too.

    Of its two losses for REDQ the older one has the parts apart; the newer one moves the policy in every update.
    """
    loss = REDQLoss_deprecated(actor, critic, num_qvalue_nets=MEMBERS, sub_sample_len=SUBSET, loss_function="l2")
    loss.make_value_estimator(gamma=GAMMA)
    targets = SoftUpdate(loss, eps=KEPT)
    weights = list(loss.qvalue_network_params.flatten_keys().values())
    theirs = torch.optim.Adam(weights, lr=RATE)
    others = [*loss.actor_network_params.flatten_keys().values(), loss.log_alpha]
    its = torch.optim.Adam(others, lr=RATE)

    def critics(batch: TensorDict) -> Tensor:
        error = loss._qvalue_loss(batch).mean()
        error.backward()
        theirs.step()
        theirs.zero_grad(set_to_none=True)
        targets.step()
        return error.detach()

    def policy(batch: TensorDict) -> Tensor:
        error, log_prob = loss._actor_loss(batch)
        (error.mean() + loss._loss_alpha(log_prob).mean()).backward()
        its.step()
        its.zero_grad(set_to_none=True)
        return error.detach()

    each, last = compiled(critics, compile), compiled(policy, compile)
    return each, lambda batch: (each(batch), last(batch))


def compiled(update: Update, compile: bool) -> Update:
    """The update as it is, or compiled as the example does where it is asked to."""
    return torch.compile(update, mode="reduce-overhead") if compile else update


def chosen(actor: ProbabilisticActor, observation: Tensor) -> np.ndarray:
    """An action of the policy."""
    with torch.no_grad():
        return actor(TensorDict({"observation": observation}))["action"].numpy()


def row(
    observation: Tensor, action: np.ndarray, following: np.ndarray, reward: float, terminated: bool, truncated: bool
) -> TensorDict:
    """A step as TorchRL keeps it."""
    after = {
        "observation": numbers(following),
        "reward": torch.tensor([reward]),
        "terminated": torch.tensor([terminated]),
        "done": torch.tensor([terminated or truncated]),
    }
    return TensorDict({"observation": observation, "action": torch.as_tensor(action), "next": after})


def numbers(observation: np.ndarray) -> Tensor:
    """An observation in float32."""
    return torch.as_tensor(observation, dtype=torch.float32)
