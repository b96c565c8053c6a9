"""`softrl bench loop` on a small task."""

import json

from softrl.bench import loop


def test_loop_says_where_the_time_of_a_step_goes() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=60, settle=5, threads=1, compile="off")
    (line,) = loop.report(loop.Options(**{**vars(options), "json": True}))
    result = json.loads(line)
    assert tuple(result["ms"]) == loop.PARTS
    assert min(result["ms"].values()) > 0
    assert 0 < result["outside"] < 1
    assert result["steps_per_second"] > 0
    assert 0.95 < result["updates_per_step"] <= 1  # the step that resets the environment owes none
    assert result["evaluation_seconds"] > 0


def test_the_waiting_for_worker_processes_is_told() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=40, settle=4, envs=2, threads=1, compile="off")
    result = loop.measure(loop.configured(options), options)
    assert result["ms"]["environment"] > 0
