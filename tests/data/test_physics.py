"""A MuJoCo simulation goes on bit for bit in another one of the same model."""

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from softrl.data import physics

XML = """
<mujoco>
  <option gravity="0 0 -9"/>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 1"/>
    <body name="box" pos="0 0 .3"><freejoint/><geom name="box" type="box" size=".1 .1 .1"/></body>
    <body pos="1 0 .3"><joint name="hinge" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 .2 0 0" size=".05"/></body>
  </worldbody>
  <actuator><motor joint="hinge"/></actuator>
  <sensor><framepos objtype="body" objname="box"/></sensor>
</mujoco>
"""


class Simulation:
    """A model with its data and an untouched copy."""

    def __init__(self) -> None:
        self.model: Any = mujoco.MjModel.from_xml_string(XML)
        self.data: Any = mujoco.MjData(self.model)
        self.original = physics.compiled(self.model)

    def run(self, steps: int) -> np.ndarray:
        """Positions and sensors after each step."""
        rows = []
        for i in range(steps):
            self.data.ctrl[0] = np.sin(i)
            mujoco.mj_step(self.model, self.data)
            rows.append(np.concatenate([self.data.qpos, self.data.sensordata, self.data.xpos.ravel()]))
        return np.array(rows)

    def capture(self) -> physics.State:
        return physics.capture(self.model, self.data, self.original)

    def apply(self, state: physics.State) -> None:
        physics.apply(self.model, self.data, self.original, state)


@pytest.mark.parametrize("steps", [0, 1, 130, 600])  # falling, touching, resting
def test_goes_on(steps: int) -> None:
    first, second = Simulation(), Simulation()
    first.run(steps)
    second.run(77)
    state = first.capture()
    second.apply(state)
    assert first.data.time == second.data.time
    np.testing.assert_array_equal(second.data.xpos, first.data.xpos)  # which lags behind qpos after mj_step
    np.testing.assert_array_equal(second.run(300), first.run(300))


def test_the_state_does_not_move() -> None:
    simulation = Simulation()
    state = simulation.capture()
    kept = {name: array.copy() for name, array in state["buffer"].items()}
    simulation.run(10)
    assert all(np.array_equal(array, kept[name]) for name, array in state["buffer"].items())


def test_what_was_written_into_the_model_comes_back() -> None:
    first, second = Simulation(), Simulation()
    first.model.geom_size[1] = 0.2
    first.model.opt.gravity[:] = (0, 0, -3)
    first.model.opt.timestep = 0.004
    first.run(20)
    second.model.body_mass[1] = 50.0  # this one was changed in a way the other was not
    second.model.opt.viscosity = 1.0
    state = first.capture()
    assert set(state["model"]) == {"geom_size"}
    assert set(state["options"]) == {"gravity", "timestep"}
    second.apply(state)
    np.testing.assert_array_equal(second.run(50), first.run(50))
    assert second.model.body_mass[1] == first.model.body_mass[1]
    assert second.model.opt.viscosity == 0.0


def test_the_buffer_holds_what_does_not_change_size() -> None:
    simulation = Simulation()
    before = {name: array.shape for name, array in physics.buffer(simulation.data).items()}
    simulation.run(400)
    assert simulation.data.ncon > 0
    assert {name: array.shape for name, array in physics.buffer(simulation.data).items()} == before
    assert {"qpos", "qvel", "xpos", "cfrc_ext", "sensordata", "qacc_warmstart", "energy"} <= before.keys()
    assert not {name for name in before if name.startswith("efc_")}


def test_warnings_stay_out_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    physics.quiet()
    simulation = Simulation()
    simulation.data.qpos[0] = np.nan
    mujoco.mj_step(simulation.model, simulation.data)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
