"""A run that learns from a data set besides: what it keeps, how it goes on, what is refused."""

import shutil
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from softrl import api
from softrl.data.replay import Replay, ReplayConfig
from softrl.errors import UserError
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.dataset import FILE, acquaint, held, matching_columns
from softrl.run.fields import override
from softrl.run.saved import read
from softrl.run.seed import derive
from softrl.types import Spec, Step

SMALL = {"steps": 60, "eval.every": 60, "eval.episodes": 1, "train.warmup": 20, "video.every": "never", "threads": 1}


def train(path, recipe="sac", env="CartPole-v1", **options):
    api.train(env, f"{recipe}+tiny", run=path, **{**SMALL, **options})
    return path


@pytest.fixture(scope="module")
def donor(tmp_path_factory):
    """A finished run whose replay others learn from."""
    return train(tmp_path_factory.mktemp("donor") / "run", envs=2)


def weights(path):
    return read(path).parts["agent"]


def equal(left, right):
    return all(torch.equal(left[name], right[name]) for name in left)


def test_rows_of_another_run_are_kept_in_the_folder(tmp_path, donor):
    path = train(tmp_path / "run", steps=21, **{"replay.dataset": str(donor)})
    kept = load_file(path / FILE)
    stored = read(donor, only={"replay"}).parts["replay"]
    assert len(kept["reward"]) == stored["newest"] - stored["oldest"]
    torch.testing.assert_close(kept["reward"], stored["tail"]["reward"])
    assert kept["reward"].shape[1] == 2  # environments of the other run; this one has one
    drawn = read(path).parts["sampling"]["dataset"]["draws"]
    assert not torch.equal(drawn, torch.Generator().manual_seed(derive(0, "dataset")).get_state())


def test_a_run_that_has_not_begun_is_no_data_set(tmp_path, donor):
    begun = train(tmp_path / "begun", steps=20)
    shutil.rmtree(begun / "checkpoints" / "step_000000020")
    with pytest.raises(UserError, match="nothing in replay"):
        train(tmp_path / "run", **{"replay.dataset": str(begun)})


def test_it_is_resumed_exactly_also_when_the_source_is_gone(tmp_path, donor):
    source = shutil.copytree(donor, tmp_path / "donor")
    given = {"replay.dataset": str(source)}
    whole = train(tmp_path / "whole", steps=90, **given)
    path = train(tmp_path / "half", **given)
    shutil.rmtree(source)
    api.resume(path, steps=90)
    assert equal(weights(path), weights(whole))


@pytest.mark.parametrize("damage", ["cut", "altered", "copied from another"])
def test_a_data_set_that_is_another_is_refused(tmp_path, donor, damage):
    source = shutil.copytree(donor, tmp_path / "donor")
    path = train(tmp_path / "run", steps=21, **{"replay.dataset": str(source)})
    kept = path / FILE
    data = kept.read_bytes()
    if damage == "copied from another":
        kept.unlink()
        api.resume(source, steps=70)
    else:
        kept.write_bytes(data[:-5] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match=f"{FILE} is not what this run has learned from.*put back a copy"):
        api.resume(path, steps=40)
    kept.write_bytes(data)
    api.resume(path, steps=40)


def test_a_data_set_that_is_lost_is_copied_again(tmp_path, donor):
    path = train(tmp_path / "run", steps=21, **{"replay.dataset": str(donor)})
    data = (path / FILE).read_bytes()
    (path / FILE).unlink()
    api.resume(path, steps=40)
    assert (path / FILE).read_bytes() == data


def slow(*recipes):
    return [pytest.param(recipe, marks=pytest.mark.slow) for recipe in recipes]


@pytest.mark.parametrize("recipe", ["bc_best", *slow("qc_adaptive", "per", "n_step", "redq", "latent_sac+states")])
def test_recipes_learn_from_it(tmp_path, recipe):
    short = {"env.time_limit": 8, "env.repeat": 1}
    donor = train(tmp_path / "donor", env="Pendulum-v1", **short)
    path = train(tmp_path / "run", recipe, "Pendulum-v1", **short, **{"replay.dataset": str(donor)})
    assert all(value.isfinite().all() for value in weights(path).values())


def test_pictures_of_a_ring_that_was_overwritten_are_stacked_as_they_were(tmp_path):
    spec = Spec({"pixels": (9, 2, 2)}, continuous=1, stack=3)
    replay = Replay(ReplayConfig(capacity=26), spec, envs=2, gamma=0.9, seed=0)
    for row in range(30):
        pixels = torch.randint(0, 256, (2, 9, 2, 2), dtype=torch.uint8)
        last = torch.tensor([row % 7 == 6, row % 5 == 4])
        replay.add(Step({"pixels": pixels}, torch.rand(2, 1), torch.rand(2), torch.zeros(2), last))
    rows = matching_columns("", replay.rows(replay.oldest, replay.newest), spec)
    data = held("", rows, Run(device="cpu"), spec)
    starts = (~data.start_mask.invalid).flatten().nonzero()[:, 0]
    there = (starts + replay.oldest * 2) % len(replay.flat)
    assert set(there.tolist()) == set((~replay.start_mask.invalid).flatten().nonzero()[:, 0].tolist())
    ours, theirs = (which.window(cells, torch.ones(len(cells))) for which, cells in ((data, starts), (replay, there)))
    assert torch.equal(ours.obs["pixels"], theirs.obs["pixels"])
    assert torch.equal(ours.reward, theirs.reward)


def test_the_best_episodes_of_a_data_set_are_its_own(tmp_path):
    spec = Spec({"state": (1,)}, continuous=1, best=0.5)
    last = torch.tensor([0.0, 1, 0, 0, 1, 0, 0, 1])  # the first episode began before anybody recorded it
    columns = {"reward": torch.tensor([9.0, 0, 1, 1, 0, 2, 2, 0]), "last": last, "terminated": torch.zeros(8)}
    columns |= {"first": torch.tensor([0.0, 0, 1, 0, 0, 1, 0, 0])}
    rows = {name: value[:, None, None] for name, value in columns.items()}
    rows |= {"obs.state": torch.zeros(8, 1, 1), "action": torch.zeros(8, 1, 1)}
    data = held("", matching_columns("", rows, spec), Run(device="cpu"), spec)
    assert data.window(torch.tensor([0, 2, 3, 5, 6]), torch.ones(5)).best.tolist() == [False, False, False, True, True]


def test_arrays_are_learned_from(tmp_path):
    count = 30
    ends = np.arange(count) % 10 == 9
    arrays = {
        "observations": np.random.default_rng(0).normal(size=(count, 4)),
        "actions": np.arange(count) % 2,
        "rewards": np.ones(count),
        "terminals": ends,
        "timeouts": np.zeros(count, bool),
    }
    np.savez(tmp_path / "data.npz", **arrays)
    path = train(tmp_path / "run", **{"replay.dataset": str(tmp_path / "data.npz")})
    assert load_file(path / FILE)["obs.state"].shape == (33, 1, 4)


def test_an_array_says_nothing_of_repeated_actions(tmp_path):
    with pytest.raises(UserError, match=r"decisions of one frame, and env\.repeat is 2"):
        train(tmp_path / "run", **{"replay.dataset": "any.npz", "env.repeat": 2})


@pytest.mark.parametrize(("part", "width"), [("obs.state", 3), ("action", 2)])
def test_rows_of_other_widths_are_one_sentence(part, width):
    spec = Spec({"state": (4,)}, continuous=1)
    shapes = {"obs.state": 4, "action": 1, "reward": 1, "terminated": 1, "first": 1, "last": 1, part: width}
    with pytest.raises(UserError, match=f"data set x has .{width},. {part} where this run has"):
        matching_columns("x", {name: torch.zeros(5, 1, size) for name, size in shapes.items()}, spec)


def test_its_rows_lie_where_those_of_replay_do():
    spec = Spec({"pixels": (3, 2, 2)}, continuous=1)
    widths = dict.fromkeys(("action", "reward", "terminated", "first", "last", "age"), (1,))
    rows = {name: torch.zeros(9, 1, *shape) for name, shape in widths.items()}
    rows["obs.pixels"] = torch.zeros(9, 1, 3, 2, 2, dtype=torch.uint8)
    for config in (ReplayConfig(host=True), ReplayConfig(memory_map=True)):
        assert held("x", rows, Run(device="meta", replay=config), spec).place.type == "cpu"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"replay.dataset": "nowhere"}, "cannot be read"),
        ({"env": "Acrobot-v1"}, "recorded with env.name CartPole-v1, and this run has Acrobot-v1"),
        ({"env.repeat": 2}, "recorded with env.repeat 1, and this run has 2"),
        ({"env.arguments": {"sutton_barto_reward": True}}, "recorded with env.arguments none, and this run has"),
        ({"replay.dataset_share": 1.0}, "must lie in"),
        ({"train.batch": 1}, "at least two windows"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_no_folder(tmp_path, donor, options, sentence):
    with pytest.raises(UserError, match=sentence):
        train(tmp_path / "run", **{"replay.dataset": str(donor), **options})
    assert not (tmp_path / "run").exists()


class Powered(gymnasium.Env):
    """Its action is a power in watts, up to `most`."""

    def __init__(self, most=1.0):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,))
        self.action_space = gymnasium.spaces.Box(0, most, (1,))

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.zeros(2, np.float32), 0.0, False, self.time == 5, {}


def test_actions_of_other_bounds_are_other_actions(tmp_path):
    donor = train(tmp_path / "donor", env=Powered)
    with pytest.raises(UserError, match=r"recorded with actions Box\(0.0, 1.0.*this run has Box\(0.0, 100.0"):
        train(tmp_path / "run", env=partial(Powered, 100.0), **{"replay.dataset": str(donor), "env.name": "Powered"})


def test_normalisers_are_told_of_it_once(tmp_path):
    """Episodes of rewards 1, 1 and of 4, with returns 1, 1.5 and 4 at a discount of a half; no row of a run beside."""
    agent = override(apply("simbav2", Run()), {"agent.reward_scale.largest": 2.0}).agent.build(
        Spec({"state": (2,)}, 1, gamma=0.5)
    )
    rows = {
        "reward": torch.tensor([1.0, 1, 0, 4, 0]),
        "last": torch.tensor([0.0, 0, 1, 0, 1]),
        "first": torch.tensor([0.0, 0, 0, 1, 0]),  # whatever came before the first row was cut
    }
    rows = {name: value[:, None, None] for name, value in rows.items()}
    seen = torch.tensor([[0.0, 3], [1, 3], [2, 3], [3, 3], [4, 8]])
    acquaint(agent, rows | {"obs.state": seen[:, None], "action": torch.zeros(5, 1, 1)}, "cpu")
    of_states, of_returns = agent.encoder.normalizer.moments, agent.reward_scale.moments
    assert (int(of_states.count), int(of_returns.count)) == (5, 3)
    torch.testing.assert_close(of_states.mean.float(), torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(of_states.variance.float(), torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(of_returns.mean.float(), torch.tensor([6.5 / 3]))
    assert float(agent.reward_scale.extreme) == 4.0


def test_a_run_knows_its_data_set_before_its_own_first_row(tmp_path, donor):
    path = train(tmp_path / "run", "normalize", steps=40, **{"replay.dataset": str(donor)})
    rows = load_file(path / FILE)["reward"].shape[:2].numel()
    count = "encoder.normalizer.moments.count"
    assert [int(read(path, step).parts["agent"][count]) for step in (0, 40)] == [rows, rows + read_rows(path)]
    api.resume(path, steps=41)
    assert int(weights(path)[count]) <= rows + read_rows(path)


def read_rows(path):
    return read(path).parts["collector"]["rows"]
