"""`softrl bench loop` on a small task."""

import json

import pytest

from softrl.bench import loop
from softrl.run.fields import override


def test_loop_says_where_the_time_of_a_step_goes() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=60, settle=5, threads=1, compile="off")
    (line,) = loop.report(loop.Options(**{**vars(options), "json": True}))
    result = json.loads(line)
    assert tuple(result["ms"]) == loop.PARTS
    assert result["ms"].pop("transfer") == 0  # nothing leaves the host
    assert min(result["ms"].values()) > 0
    assert 50 < result["peak_mib"] < 100_000
    assert 0 < result["outside"] < 1
    assert result["steps_per_second"] > 0
    assert 0.95 < result["updates_per_step"] <= 1  # the step that resets the environment owes none
    assert result["evaluation_seconds"] > 0


@pytest.mark.slow
def test_the_waiting_for_worker_processes_is_told() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=40, settle=4, envs=2, threads=1, compile="off")
    result = loop.measure(loop.configured(options), options)
    assert result["ms"]["environment"] > 0


def test_updates_are_there_however_long_a_window_is_in_coming() -> None:
    """A sequence of ten rows in many environments begins after the warm-up and what was to settle."""
    options = loop.Options(
        env="Pendulum-v1", recipe="latent_sac+states+tiny", steps=200, settle=1, envs=64, threads=1, compile="off"
    )
    run = override(loop.configured(options), {"train.updates_per_decision": 0.01})
    assert loop.measure(run, options)["updates_per_step"] > 0


def test_products_can_be_in_bfloat16() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=5, settle=1, threads=1, compile="off")
    assert loop.configured(options).precision == "float32"
    assert loop.configured(loop.Options(**{**vars(options), "precision": "bfloat16"})).precision == "bfloat16"


@pytest.mark.gpu
def test_copies_to_and_from_a_device_are_told() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=40, settle=4, threads=1, device="cuda")
    result = loop.measure(loop.configured(loop.Options(**{**vars(options), "compile": "off"})), options)
    assert result["ms"]["transfer"] > 0
