"""Pixels and world models from the command line: flags that reach their sizes, and what is refused in a sentence."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.classic_control import PendulumEnv

import softrl
from softrl.agent.agent import Agent
from softrl.cli.flags import split
from softrl.cli.main import main
from softrl.cli.train import configured, understood
from softrl.data import graphics
from softrl.data.names import GEARS
from softrl.errors import UserError
from softrl.nn.dreamer_cnn import Pictures
from softrl.nn.latents import OneHot
from softrl.run.config import Run
from softrl.run.fields import from_json, override, to_json
from softrl.types import Spec

PIXELS = Spec({"pixels": (3, 16, 16)}, 2, sequence=50)
STATE = Spec({"state": (5,)}, 2, sequence=50)
drawing = pytest.mark.skipif(graphics.missing() is not None, reason="no OpenGL here")


def run_of(line: str, **values: object) -> Run:
    """The configuration that the words after `softrl train` mean."""
    found = split(line.split(), {"help"})
    return override(configured(found), understood(found)[1] | values)


def agent_of(line: str, spec: Spec, **values: object) -> Agent:
    return run_of(line, **values).agent.build(spec)


def test_flags_reach_the_sizes_of_both_encoders_of_a_world_model() -> None:
    flags = "--agent.encoder.sight.pictures.depth 4 --agent.encoder.sight.vectors.encoder.hidden 12,7"
    from_pixels = agent_of(f"cartpole_swingup --recipe dreamer {flags}", PIXELS).encoder.sight
    assert [layer.weight.shape[0] for layer in from_pixels.encoder] == [4, 8]
    from_states = agent_of(
        f"cartpole_swingup --recipe smac+states {flags} --agent.encoder.sight.vectors.decoder.hidden 9", STATE
    ).encoder.sight
    assert from_states.width == 7
    assert [layer.weight.shape[-1] for layer in from_states.decoder.modules() if hasattr(layer, "weight")] == [9, 5]


def test_help_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "cartpole_swingup", "--recipe", "dreamer", "--help"]) == 0
    page = capsys.readouterr().out
    for name, default in (("pictures.depth", "32"), ("vectors.encoder.hidden", "300,300")):
        assert f"  --agent.encoder.sight.{name}  (" in page
        assert default in page.split(f"--agent.encoder.sight.{name}  (")[1].splitlines()[0]


def test_flags_reach_the_sizes_of_the_encoder_of_images() -> None:
    line = "cartpole_swingup --recipe sac_ae --agent.encoder.convolutions.channels 5 --agent.encoder.features 6"
    encoder = agent_of(line, PIXELS._replace(sequence=0)).encoder
    assert encoder.width == 6
    assert encoder.body.convolutions.first.weight.shape[0] == 5


def test_discrete_latents_have_flags_of_their_own() -> None:
    """The part is chosen from Python or by a recipe; its sizes are then flags as all others."""
    chosen = {"agent.encoder.dynamics.latent": OneHot()}
    assert agent_of("cartpole_swingup --recipe dreamer", PIXELS, **chosen).encoder.dynamics.latent.width == 32 * 32
    smaller = {**chosen, "agent.encoder.dynamics.latent.groups": 4, "agent.encoder.dynamics.latent.classes": 5}
    run = run_of("cartpole_swingup --recipe dreamer", **smaller)
    assert run.agent.build(PIXELS).encoder.dynamics.latent.width == 4 * 5
    assert from_json(Run, to_json(run)) == run


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("Pendulum-v1 --recipe sac_ae+states", "'sac_ae' and 'states' cannot be stacked, because env.pixels is Pixels"),
        ("Pendulum-v1 --recipe smac+states --agent.encoder.particles.count -1", "particles.count is -1"),
        ("Pendulum-v1 --recipe smac_state --agent.actor.particles -1", "-1 extra latents"),
        ("Pendulum-v1 --recipe dreamer+states --agent.lookahead.horizon 0", "horizon is 0"),
        ("CartPole-v1 --recipe dreamer+states", "this action space has choices"),
        ("CartPole-v1 --recipe latent_sac+states", "this action space has choices"),
        ("CartPole-v1 --recipe smac+states", "this action space has choices"),
        ("cartpole_swingup --recipe sac_ae --env.pixels.stack 0", "env.pixels.stack is 0"),
        (
            "cartpole_swingup --recipe dreamer --agent.encoder.sight.depth 16",
            "did you mean '--agent.encoder.sight.pictures.depth'",
        ),
        ("cartpole_swingup --recipe dreamer --agent.encoder.sight Vectors", "sight.pictures.depth"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(refused, line: str, sentence: str) -> None:
    assert sentence in refused("train", *line.split(), "--quiet")


@pytest.mark.parametrize(
    ("recipe", "sight", "sentence"),
    [
        ("sac_ae", {}, "a decoder with it, needs images"),
        ("dreamer", {"agent.encoder.sight": Pictures()}, "the observations are states: use Vectors"),
    ],
)
def test_a_decoder_of_images_on_states(here: Path, recipe: str, sight: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        softrl.train("Pendulum-v1", recipe, **{"env.pixels": None, **sight})
    assert list(here.iterdir()) == []


@drawing
def test_pictures_too_small_for_the_convolutions_are_refused(refused) -> None:
    words = ("train", "cartpole_swingup", "--recipe")
    assert "14x14 where" in refused(*words, "sac_ae", "--env.pixels.size", "14")
    assert "pictures are 3x3" in refused(*words, "dreamer", "--env.pixels.size", "3")


@pytest.mark.usefixtures("without_opengl")
@pytest.mark.parametrize("recipe", ["sac_ae", "dreamer"])
def test_without_opengl_the_packages_are_named(refused, recipe: str) -> None:
    assert "apt-get install libegl1 libgl1 libosmesa6" in refused("train", "cartpole_swingup", "--recipe", recipe)


class Blind(PendulumEnv):
    """Takes no arguments, so that none can ask it for pictures."""

    def __init__(self) -> None:
        super().__init__()


def test_an_environment_without_pictures_is_refused(refused, recwarn) -> None:
    gymnasium.register("SoftrlBlind-v1", entry_point=Blind, max_episode_steps=7)
    try:
        assert "gives no pictures" in refused("train", "SoftrlBlind-v1", "--recipe", "sac_pixels")
        assert not [one for one in recwarn if "render_mode" in str(one.message)]  # the sentence says it
    finally:
        del gymnasium.registry["SoftrlBlind-v1"]


def test_a_disk_without_room_for_the_frames_is_one_sentence(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    more = "--replay.memory_map true --env.workers sync --collect sync --steps 3000 --threads 1 --quiet"
    sentence = refused(*f"train {GEARS} --recipe sac_ae --env.pixels.size 16 {more}".split())
    assert "the disk is full: make room, lower replay.capacity" in sentence
