import fnmatch
from dataclasses import replace

import pytest

from softrl.agent.lookahead import Split, StateTarget
from softrl.agent.penalty import EntropyPenalty
from softrl.agent.temperature import Fixed, Learned
from softrl.data.envs import repeats
from softrl.errors import UserError
from softrl.nn.trunks.mlp import MLP
from softrl.recipes import RECIPES, apply, find
from softrl.recipes.recipe import Recipe, stack
from softrl.run.config import Run
from softrl.run.fields import difference, flat, get, override
from softrl.types import Spec

CHOICES = Spec(obs={"state": (3,)}, continuous=0, choices=(4,))
PIXELS = Spec(obs={"pixels": (9, 84, 84)}, continuous=2, stack=3)
FRAME = PIXELS._replace(obs={"pixels": (3, 64, 64)}, stack=1)
SPACES = {
    **dict.fromkeys(("sac_discrete", "sd_sac", "ddsac"), CHOICES),
    **dict.fromkeys(("dreamer", "dreamer_discrete", "latent_sac", "smac", "discrete_latents"), FRAME),
    **dict.fromkeys(("sac_ae", "sac_pixels", "drq"), PIXELS),
    "sac_hybrid": CHOICES._replace(continuous=2),
    "curl": PIXELS._replace(obs={"pixels": (9, 100, 100)}),
}
SHRUNK = ("dreamer", "soft_moe", "simba", "curl", "smac")
"""Recipes with whatever `tiny` makes smaller."""


def run_in(name: str) -> Run:
    return override(Run(), {"env.name": name})


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_short_has_a_paper_and_a_sentence_and_builds(name):
    recipe = find(name)
    assert recipe.name == name
    assert len(recipe.changes) <= 15 or name == "tiny"  # which is no paper's
    assert recipe.about.endswith(".")
    assert recipe.arxiv is None if name in ("tiny", "states") else len(recipe.arxiv.split(".")) == 2
    run = apply(recipe.complete_name, Run())
    run.agent.build(SPACES.get(name, Spec(obs={"state": (3,)}, continuous=2)))
    assert run.recipe == recipe.complete_name


@pytest.mark.parametrize("name", RECIPES)
def test_every_entry_does_something_somewhere(name):
    recipe = find(name)
    paths = set().union(*(flat(apply(each, Run())) for each in (SHRUNK if name == "tiny" else (recipe.complete_name,))))
    for pattern in (*recipe.changes, *(path for changes in recipe.tasks.values() for path in changes)):
        assert fnmatch.filter(sorted(paths), pattern), f"{pattern} matches no field"
    for path in recipe.defines:  # a value that the recipe sets, or one inside a part that it brings
        assert any(f"{path}.".startswith(f"{changed}.") for changed in recipe.changes), path


def test_sac_is_the_defaults():
    assert apply("sac", Run()) == Run()
    assert get(Run(), "agent.lookahead") == Split(tau=0.005)
    assert get(Run(), "agent.temperature") == Learned(initial=1.0, target_per_action=-1.0)
    assert get(Run(), "agent.optim.value.learning_rate") == 3e-4


def test_sac_v1_is_the_paper_of_2018():
    run = apply("sac_v1", run_in("Hopper-v4"))
    assert run.agent.update == "sac_v1"
    assert isinstance(run.agent.lookahead, StateTarget)
    assert run.agent.lookahead.value.trunk.init == run.agent.actor.trunk.init == run.agent.critic.trunk.init == "xavier"
    assert run.agent.temperature == Fixed(1.0)
    values = flat(run)
    assert values["agent.lookahead.tau"] == "0.005"
    assert values["agent.optim.value.learning_rate"] == values["agent.optim.actor.learning_rate"] == "0.0003"
    assert (values["train.target_every"], values["train.updates_per_decision"]) == ("1", "1.0")
    assert (values["agent.actor.log_std_bound"], values["agent.actor.log_std_min"]) == ("clamp", "-20.0")


@pytest.mark.parametrize(
    ("env", "scale", "warmup", "hard_updates"),
    [
        ("Hopper-v4", 5, 1_000, 4),
        ("Walker2d-v5", 5, 1_000, 4),
        ("HalfCheetah-v4", 5, 10_000, 4),
        ("Ant-v5", 5, 10_000, 4),
        ("Humanoid-v4", 20, 1_000, 1),
        ("HumanoidStandup-v5", 100, 1_000, 1),
        ("rllab:Humanoid-v1", 10, 1_000, 1),
        ("rllab:Swimmer-v1", 25, 1_000, 4),
        ("mine:Humanoid-v5", 20, 1_000, 1),
    ],
)
def test_sac_v1_scales_rewards_by_environment(env, scale, warmup, hard_updates):
    soft, hard = apply("sac_v1", run_in(env)), apply("sac_v1_hard", run_in(env))
    assert soft.agent.reward_scale.factor == hard.agent.reward_scale.factor == scale
    assert soft.train.warmup == hard.train.warmup == warmup
    assert (soft.train.updates_per_decision, hard.train.updates_per_decision) == (1, hard_updates)


def test_sac_v1_hard_copies_its_target():
    changes = {path: new for path, _, new in difference(apply("sac_v1", Run()), apply("sac_v1_hard", Run()))}
    assert changes == {
        "recipe": "sac_v1_hard",
        "agent.lookahead.tau": "1.0",
        "train.target_every": "1000",
        "train.updates_per_decision": "4.0",
    }


def test_discrete_latents_are_those_of_dreamer_discrete():
    changes = difference(apply("dreamer_discrete", Run()), apply("dreamer+discrete_latents", Run()))
    assert changes == [("recipe", "dreamer_discrete", "dreamer+discrete_latents")]


def test_discrete_latents_keep_the_particles_of_smac():
    values = flat(apply("smac+discrete_latents", Run()))
    assert values["agent.encoder.dynamics.latent"] == "OneHot"
    assert values["agent.encoder.particles.count"] == "32"


def test_sac_yarats_has_the_settings_of_pytorch_sac():
    values = flat(apply("sac_yarats", Run()))
    expected = {
        "agent.actor.trunk.hidden": "1024,1024",
        "agent.critic.trunk.hidden": "1024,1024",
        "agent.critic.trunk.init": "orthogonal",
        "agent.optim.value.learning_rate": "0.0001",
        "agent.optim.actor.learning_rate": "0.0001",
        "agent.optim.temperature.learning_rate": "0.0001",
        "agent.actor.log_std_min": "-5.0",
        "agent.actor.log_std_max": "2.0",
        "agent.actor.log_std_bound": "tanh",
        "agent.temperature.initial": "0.1",
        "agent.lookahead.tau": "0.005",
        "train.target_every": "2",
        "train.batch": "1024",
        "train.warmup": "5000",
    }
    assert {path: values[path] for path in expected} == expected


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "tiny"])
def test_tiny_shrinks_every_recipe_and_reports_what_it_takes_over(name):
    said: list[str] = []
    run = apply(f"{find(name).complete_name}+tiny", Run(), said.append)
    widths = {value for path, value in flat(run).items() if path.endswith((".hidden", ".width", "expert_hidden"))}
    assert widths <= {"32,32", "32"}
    assert widths
    assert run.steps < 1_000
    assert run.recipe == f"{find(name).complete_name}+tiny"
    taken = {path for path in find(name).changes if path in find("tiny").changes and "*" not in path}
    assert taken <= {sentence.split()[3] for sentence in said}


def test_reports_name_both_recipes_and_both_values():
    said: list[str] = []
    apply("sac_v1+tiny", Run(), said.append)
    assert "recipe 'tiny' changes train.warmup from 1000, set by 'sac_v1', to 100" in said


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("sacc", "there is no recipe 'sacc'; did you mean 'sac'?"),
        ("sac+tinny", "there is no recipe 'tinny'; did you mean 'tiny'?"),
        ("sac+", "there is no recipe ''; softrl recipes lists them"),
        ("sac_v1_hard+sac_v1", "recipes 'sac_v1_hard' and 'sac_v1' cannot be stacked, because agent.lookahead.tau is"),
        (
            "sac_v1+sac_yarats",
            "recipes 'sac_v1' and 'sac_yarats' cannot be stacked, because agent.temperature of the first has no "
            "initial, which the second sets: use one of them",
        ),
        (
            "dreamer+tqc",
            "recipes 'dreamer' and 'tqc' cannot be stacked, because agent.critic of the first has no members",
        ),
        *(
            (names, "recipe 'discrete_latents' changes parts that are not there: stack it on a recipe that has them")
            for names in ("discrete_latents", "sac+discrete_latents", "discrete_latents+smac")
        ),
    ],
)
def test_unknown_and_impossible_recipes_are_refused_with_a_sentence(names, sentence):
    with pytest.raises(UserError) as refusal:
        apply(names, Run())
    assert str(refusal.value).startswith(sentence)


def test_the_update_of_2018_takes_one_latent_of_a_row():
    with pytest.raises(UserError, match="judges actions at one latent of a row"):
        apply("smac+sac_v1+states", Run()).agent.build(Spec({"state": (4,)}, 2))


def test_recipes_of_another_package(tmp_path, monkeypatch):
    (tmp_path / "extra_recipes.py").write_text(
        "from softrl.recipes import RECIPES\n"
        "from softrl.recipes.recipe import Recipe\n"
        "RECIPES['patient'] = Recipe('patient', 'A long view.', None, {'train.gamma': 0.995})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(RECIPES, "patient", None)  # so that it is taken out again
    run = apply("tqc+extra_recipes:patient", Run())
    assert (run.train.gamma, run.recipe) == (0.995, "tqc+extra_recipes:patient")
    with pytest.raises(UserError, match="recipe 'nowhere:patient' cannot be imported"):
        apply("nowhere:patient", Run())


def test_a_later_recipe_cannot_change_what_defines_an_earlier_one():
    small = Recipe("small", "", None, changes={"train.batch": 8, "train.gamma": 0.9}, defines=("train.batch",))
    other = Recipe("other", "", None, changes={"train.gamma": 0.5})
    clash = Recipe("clash", "", None, changes={"train.batch": 9})
    same = Recipe("same", "", None, changes={"train.batch": 8})
    said: list[str] = []
    assert stack([small, other], Run(), said.append).train.gamma == 0.5
    assert said == ["recipe 'other' changes train.gamma from 0.9, set by 'small', to 0.5"]
    assert stack([small, same], Run()).train.batch == 8
    with pytest.raises(UserError, match="recipes 'small' and 'clash' cannot be stacked"):
        stack([small, clash], Run())


def test_a_misspelt_entry_fails_with_the_nearest_path():
    with pytest.raises(
        UserError,
        match=r"recipe 'typo' cannot be used .*: there is no field 'train.batchh'; did you mean 'train.batch'\?$",
    ):
        stack([Recipe("typo", "", None, changes={"train.batchh": 8})], Run())


def test_the_first_task_that_matches_holds():
    recipe = Recipe("r", "", None, tasks={"walker_*": {"train.batch": 7}, "*": {"train.batch": 8}})
    assert recipe.entries(run_in("walker_run")) == {"train.batch": 7}
    assert recipe.entries(run_in("Ant-v5")) == {"train.batch": 8}


def test_dreamer_refuses_a_penalty_that_its_update_would_not_add() -> None:
    agent = replace(apply("dreamer", Run()).agent, penalty=EntropyPenalty())
    with pytest.raises(UserError, match=r"to which it adds no agent\.penalty"):
        agent.check(FRAME)


@pytest.mark.parametrize(
    "recipes", ["simba+drq", "drq+simba", "simbav2+sac_ae", "sac_ae+simbav2", "xqc+curl", "curl+xqc"]
)
def test_from_pixels_action_repeat_and_critics_are_those_of_the_recipes_for_pixels(recipes: str) -> None:
    """What the others change for tasks of DeepMind Control is for states."""
    run = apply(recipes, run_in("cartpole_swingup"))
    assert repeats(run.env.name, run.env) == 8
    assert (run.agent.critic.members, run.train.warmup) == (2, 8_000)
    assert run.train.updates_per_decision == 2.0  # no value of a task


@pytest.mark.parametrize("other", ["sac_ae", "sac_pixels", "drq", "curl", "simba"])
@pytest.mark.parametrize("policy", ["sac_hybrid", "beta", "mixture", "gsde", "smac_state"])
def test_a_policy_of_another_kind_keeps_the_network_in_either_order(policy: str, other: str) -> None:
    agent = apply(f"{other}+{policy}", Run()).agent
    assert agent == apply(f"{policy}+{other}", Run()).agent
    assert agent.actor.trunk == apply(other, Run()).agent.actor.trunk
    bound = getattr(agent.actor, "log_std_bound", "tanh")
    assert (bound, getattr(agent.actor, "log_std_min", -10.0)) == ("tanh", -10.0)


@pytest.mark.parametrize("pixels", ["sac_ae", "sac_pixels", "drq", "curl"])
@pytest.mark.parametrize("policy", ["sac_discrete", "sd_sac", "ddsac", "deterministic"])
def test_policies_from_pixels_are_as_wide_as_their_critics(policy: str, pixels: str) -> None:
    for names in (f"{policy}+{pixels}", f"{pixels}+{policy}"):
        agent = apply(names, Run()).agent
        assert type(agent.actor) is type(find(policy).changes["agent.actor"])
        assert agent.actor.trunk == agent.critic.trunk
        assert agent.actor.trunk.hidden == (1024, 1024)


def test_norms_leave_a_perceptron_its_layers() -> None:
    for recipes in ("drq+layer_norm", "layer_norm+drq", "tqc+layer_norm"):
        trunk = apply(recipes, Run()).agent.critic.trunk
        assert trunk.norm == "layer"
        assert trunk.hidden == ((1024, 1024) if "drq" in recipes else (512, 512, 512))


def test_what_a_recipe_keeps_is_reported_as_set_by_the_one_before_it() -> None:
    said: list[str] = []
    apply("drq+beta+tiny", Run(), said.append)
    assert "recipe 'tiny' changes agent.actor.trunk.hidden from 1024,1024, set by 'drq', to 32,32" in said
    assert not [line for line in said if "agent.actor.trunk" in line and line.startswith("recipe 'beta'")]


@pytest.mark.parametrize("second", ["mixture", "smac"])
def test_dreamer_refuses_what_its_imagination_would_not_use(second: str) -> None:
    with pytest.raises(UserError, match=r"dreamer|imagination"):
        apply(f"dreamer+{second}", Run()).agent.check(FRAME)


def test_who_set_a_value_last_is_named() -> None:
    """A part that takes another's place brings values of its own."""
    first = Recipe("first", "", None, changes={"agent.critic.trunk.hidden": (8,)})
    second = Recipe("second", "", None, changes={"agent.critic.trunk": MLP((16,))})
    third = Recipe("third", "", None, changes={"agent.critic.trunk.hidden": (4,)})
    said: list[str] = []
    stack([first, second, third], Run(), said.append)
    assert said == [
        "recipe 'second' changes agent.critic.trunk.hidden from 8, set by 'first', to 16",
        "recipe 'third' changes agent.critic.trunk.hidden from 16, set by 'second', to 4",
    ]


def test_no_name_is_no_recipe() -> None:
    with pytest.raises(UserError, match="recipe is None: give names joined by"):
        apply(None, Run())  # type: ignore[arg-type]


def test_an_own_recipe_takes_no_name_of_softrls(tmp_path, monkeypatch):
    (tmp_path / "clashing.py").write_text(
        "from softrl.recipes import RECIPES\nfrom softrl.recipes.recipe import Recipe\n"
        "RECIPES['redq'] = Recipe('redq', 'Mine.', None)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    before = find("redq")
    with pytest.raises(UserError, match="recipe 'redq' is softrl's own: give the one in clashing another name"):
        find("clashing:redq")
    assert find("redq") is before


def test_the_other_order_is_advised_where_it_fits() -> None:
    with pytest.raises(UserError, match=r"use one of them, or try them in the other order$"):
        apply("fixed_temperature+c51", Run())
    assert apply("c51+fixed_temperature", Run()).recipe == "c51+fixed_temperature"
