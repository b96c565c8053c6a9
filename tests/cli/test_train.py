import fcntl
import json
import re

import pytest

from softrl.cli.main import main
from softrl.errors import UserError
from softrl.recipes import RECIPES, apply, find
from softrl.run.config import Run
from softrl.run.fields import fields


@pytest.fixture
def tiny(small):
    return ["--recipe", "sac+tiny", *small]


def flags_in(page: str) -> list[str]:
    return re.findall(r"^  --(\S+)", page, re.MULTILINE)


@pytest.mark.parametrize("name", RECIPES)
def test_help_after_a_recipe_shows_exactly_its_fields(name, capsys):
    recipe = find(name).complete_name
    assert main(["train", "cheetah_run", "--recipe", recipe, "--help"]) == 0
    own = ["recipe", "run", "init", "config", "print", "quiet", "help", "debug"]
    known = fields(apply(recipe, Run()))
    settable = [field.path for field in known if not hasattr(field.value, "__dataclass_fields__")]
    settable = [path for path in settable if path != "env.pixels"]  # a part, absent from recipes for states
    shown = flags_in(capsys.readouterr().out)
    assert sorted(shown) == sorted({*own, *settable} - {"env.name"})


def test_help_tells_switches_from_fields_that_are_true_or_false(capsys):
    assert main(["train", "Pendulum-v1", "--help"]) == 0
    page = capsys.readouterr().out
    assert "--replay.memory_map  (true or false; default false)\n" in page
    assert "--quiet\n" in page


def test_help_shows_kind_default_and_sentence_of_the_recipe(capsys):
    main(["train", "Humanoid-v5", "--recipe", "sac_v1", "--help"])
    page = capsys.readouterr().out
    assert "agent.lookahead (StateTarget): " in page
    assert "  --agent.reward_scale.factor  (a number; default 20.0)\n        What rewards are multiplied with" in page
    assert "agent.temperature.initial" not in page


def test_a_run_is_written_where_it_says_and_as_it_was_asked(here, tiny, capsys):
    words = [
        "train",
        "dmc_cheetah_run",
        *tiny,
        "--seed",
        "3",
        "--agent.critic.members=1",
        "--agent.actor.log_std_min",
        "-4",
    ]
    assert main(words) == 0
    assert capsys.readouterr().out == "runs/cheetah_run/sac+tiny/seed3\n"
    run = here / "runs/cheetah_run/sac+tiny/seed3"
    config = json.loads((run / "config.json").read_text())
    assert (config["steps"], config["seed"], config["recipe"]) == (60, 3, "sac+tiny")
    assert config["agent"]["critic"]["members"] == 1
    assert config["agent"]["actor"]["log_std_min"] == -4.0
    assert (run / "command.txt").read_text().split() == ["softrl", *words]
    assert (run / "curve.png").exists()


def test_quiet_is_said_by_those_who_mean_it(here, tiny, capsys, recwarn):
    assert main(["train", "Pendulum-v1", *tiny, "--train.warmup", "60"]) == 0  # nothing will be learned
    assert capsys.readouterr() == ("runs/Pendulum-v1/sac+tiny/seed0\n", "")
    assert not recwarn.list


def test_the_end_of_a_run_says_where_everything_is(here, tiny, capsys):
    words = [word for word in tiny if word != "--quiet"]
    assert main(["train", "Pendulum-v1", *words, "--run", "mine"]) == 0
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split()[0] for line in lines] == ["run", "curve", "video", "return"]
    assert lines[0].split()[1] == "mine"
    assert lines[2] == "video  none: not asked for"


@pytest.mark.parametrize("env", ["CartPole-v1", "softrl/Gears-v0"])
@pytest.mark.parametrize("recipe", ["fast", "flashsac", "bro"])
def test_an_explorer_of_numbers_does_not_keep_a_recipe_from_choices(here, small, capsys, recipe, env):
    words = [{"60": "33"}.get(word, word) for word in small if word != "--quiet"]  # three updates
    assert main(["train", env, "--recipe", f"{recipe}+tiny", *words]) == 0
    assert "moves continuous actions, and this action space has choices: the policy explores" in capsys.readouterr().out


def test_a_video_that_could_not_be_made_is_explained(here, tiny, capsys, monkeypatch):
    def blind(*_, **__):
        raise UserError("pygame is not installed")

    monkeypatch.setattr("softrl.run.trainer.filmed", blind)
    words = [word for word in tiny if word not in ("--quiet", "--video.every", "never")]
    assert main(["train", "Pendulum-v1", *words, "--video.every", "auto"]) == 0
    assert "video  none: pygame is not installed" in capsys.readouterr().out.splitlines()


def test_weights_of_another_run_are_the_start(here, finished, tiny):
    assert main(["train", "cartpole_swingup", *tiny, "--init", str(finished), "--run", "second"]) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "a word is missing; write softrl train ENV"),
        (["cheetah_run", "walker_walk"], "'walker_walk' is a word too many; write softrl train ENV"),
        (["cheeta_run"], "unknown environment 'cheeta_run'; did you mean 'cheetah_run'?"),
        (["HalfCheeta-v5"], "unknown environment 'HalfCheeta-v5'; did you mean 'HalfCheetah-v5'?"),
        (["CartPole-v1", "--recipe", "gsde"], "the GSDE actor is for continuous actions"),
        (["cheetah_run", "--recipe", "sacc"], "there is no recipe 'sacc'; did you mean 'sac'?"),
        (
            ["cheetah_run", "--recipe", "sac_v1+sac_yarats"],
            "cannot be stacked, because agent.temperature of the first has no initial, which the second",
        ),
        (
            ["cheetah_run", "--agent.critic.memberz", "3"],
            "there is no flag '--agent.critic.memberz'; did you mean",
        ),
        (["cheetah_run", "--members", "3"], "there is no flag '--members'; did you mean '--agent.critic.members'?"),
        (
            ["cheetah_run", "--agent.critic.head.bins", "51"],
            "no flag '--agent.critic.head.bins', which belongs to a part of other recipes: c51, hl_gauss, two_hot, ",
        ),
        (
            ["cheetah_run", "--agent.encoder.particles.count", "4"],
            "belongs to a part of other recipes: dreamer, dreamer_discrete, latent_sac, smac",
        ),
        (["cheetah_run", "--quite"], "there is no flag '--quite'; did you mean '--quiet'?"),
        *(
            (
                ["cheetah_run", name, "x"],
                f"there is no flag '{name}': the environment is the first word, softrl train ENV",
            )
            for name in ("--env", "--env.name", "--env-id")
        ),
        (["cheetah_run", "--track"], "there is no flag '--track': every run writes TensorBoard files and CSV tables"),
        (["cheetah_run", "--policy", "MlpPolicy"], "there is no flag '--policy': networks come with a recipe"),
        (["cheetah_run", "--exp-name", "x"], "there is no flag '--exp-name'; did you mean '--run'?"),
        (["cheetah_run", "--agent.critic", "x"], "'agent.critic' is a part: choose it with a recipe"),
        (
            ["cheetah_run", "--agent.critic.trunk", "own_trunk:Sines"],
            "agent.critic.trunk.unit_norm); one of your own comes with a recipe of your own, --recipe module:name",
        ),
        (["cheetah_run", "--recipe", "qqqq"], "'qqqq'; softrl recipes lists them (one of your own is module:name)"),
        (["cheetah_run", "--agent.critic.members"], "--agent.critic.members needs a value"),
        (["cheetah_run", "--recipe"], "--recipe needs a value"),
        (["cheetah_run", "--steps", "many"], "steps takes a whole number, got 'many'"),
        (["cheetah_run", "--steps", "0"], "steps is 0: it must be at least 1"),
        (["cheetah_run", "--train.gamma", "2"], "train.gamma is 2.0: a discount lies in [0, 1]"),
        (["cheetah_run", "--device", "gpu"], "device takes auto, cpu or cuda, got 'gpu'"),
        (["cheetah_run", "--agent.update", "sac_v1"], "agent.update 'sac_v1' needs a lookahead with"),
        (["cheetah_run", "--agent.critic.members", "0"], "agent.critic.members is 0"),
        (["cheetah_run", "--env.repeat", "0"], "env.repeat is 0"),
        (["cheetah_run", "--init", "nowhere"], "nowhere"),
        (["cheetah_run", "--batch-size", "64"], "there is no flag '--batch-size'; did you mean '--train.batch'?"),
        (
            ["cheetah_run", "--recipe", "drq", "--learning_rate", "1e-3"],
            "there is no flag '--learning_rate'; did you mean '--agent.optim.value.learning_rate', "
            "'--agent.optim.actor.learning_rate' or '--agent.optim.temperature.learning_rate'?",
        ),
        (
            ["cheetah_run", "--activation", "relu"],
            "did you mean '--agent.actor.trunk.activation' or '--agent.critic.trunk.activation'?",
        ),
        (
            ["cheetah_run", "--ent_coef", "0.2"],
            "did you mean '--agent.temperature.initial' (its first value, then it is learned; recipe fixed_temperature",
        ),
        (
            ["cheetah_run", "--target-entropy", "-6"],
            "'--agent.temperature.target_per_action' (for each action component, not their sum)?",
        ),
        (["cheetah_run", "--env.pixels", "Pixels"], "'env.pixels' is a part, and none here: choose it with a recipe"),
        (["cheetah_run", "--config", "nowhere.toml"], "cannot read nowhere.toml: No such file or directory"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(refused, words, sentence):
    assert sentence in refused("train", *words)


def test_a_folder_that_exists_is_never_overwritten(refused, here, tiny):
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("precious")
    assert "mine exists and is no run folder" in refused("train", "Pendulum-v1", *tiny, "--run", "mine")
    assert (here / "mine" / "notes.txt").read_text() == "precious"


@pytest.mark.slow
def test_a_second_run_of_the_same_name_gets_a_number(here, tiny, capsys):
    for _ in range(2):
        assert main(["train", "Pendulum-v1", *tiny]) == 0
    assert capsys.readouterr().out.split() == ["runs/Pendulum-v1/sac+tiny/seed0", "runs/Pendulum-v1/sac+tiny/seed0-1"]


@pytest.mark.parametrize("command", ["resume", "evaluate", "play", "plot"])
def test_a_run_that_is_missing_or_none_is_said_so(refused, here, command):
    (here / "empty").mkdir()
    assert "nowhere" in refused(command, "nowhere")
    assert "empty" in refused(command, "empty")


@pytest.mark.parametrize("command", ["resume", "evaluate", "play"])
def test_a_run_of_a_newer_version_is_said_so(refused, here, command):
    (here / "future").mkdir()
    (here / "future" / "config.json").write_text(json.dumps({"format": 99, "type": "Run"}))
    assert "newer" in refused(command, "future")


@pytest.mark.parametrize("command", ["resume", "evaluate", "play"])
def test_a_torn_configuration_is_said_so(refused, here, command):
    (here / "torn").mkdir()
    (here / "torn" / "config.json").write_text('{"format": 1, "type": "Ru')
    assert "torn" in refused(command, "torn")


def test_a_run_in_use_is_said_so(refused, here, tiny):
    assert main(["train", "Pendulum-v1", *tiny, "--run", "mine"]) == 0
    with (here / "mine" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "in use" in refused("resume", "mine")
