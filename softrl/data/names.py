"""Names of environments: DeepMind Control tasks under all their aliases, and Gymnasium ids."""

from collections.abc import Mapping
from fnmatch import fnmatch
from importlib import import_module
from typing import TYPE_CHECKING

from softrl.errors import UserError, import_errors, nearest

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

# A table, because importing dm_control to list its tasks would take half a second; a test holds it to the suite.
SUITE = {
    "acrobot": "swingup swingup_sparse",
    "ball_in_cup": "catch",
    "cartpole": "balance balance_sparse swingup swingup_sparse two_poles three_poles",
    "cheetah": "run",
    "dog": "stand walk trot run fetch",
    "finger": "spin turn_easy turn_hard",
    "fish": "upright swim",
    "hopper": "stand hop",
    "humanoid": "stand walk run run_pure_state",
    "humanoid_CMU": "stand walk run",
    "lqr": "lqr_2_1 lqr_6_2",
    "manipulator": "bring_ball bring_peg insert_ball insert_peg",
    "pendulum": "swingup",
    "point_mass": "easy hard",
    "quadruped": "walk run escape fetch",
    "reacher": "easy hard",
    "stacker": "stack_2 stack_4",
    "swimmer": "swimmer6 swimmer15",
    "walker": "stand walk run",
}
TASKS = {f"{domain}_{task}": (domain, task) for domain, tasks in SUITE.items() for task in tasks.split()}
PREFIXES = ("dm_control/", "dmc_", "dmc-", "dmc/")
# Registered by Gymnasium, yet they are adapters or have moved out of it: no one can make them by name alone.
HIDDEN = ("GymV21Environment-*", "GymV26Environment-*", "*-v2", "*-v3")
SHOWN = ("BipedalWalker*-v3", "CarRacing-v3", "LunarLander*-v3")
GEARS, VALVES, MANY_VALVES = "softrl/Gears-v0", "softrl/Valves-v0", "softrl/ManyValves-v0"
OWN = {
    GEARS: "softrl.data.gears:Gears",
    VALVES: "softrl.data.valves:Valves",
    MANY_VALVES: "softrl.data.valves:many_valves",
}
"""The tasks of this library, with episodes of 50 steps, and what makes them."""
MOST = 10
"""Ids of a module that a sentence lists."""


def control_task(name: str) -> tuple[str, str] | None:
    """Domain and task of a DeepMind Control name in any spelling, or None."""
    prefix = next((prefix for prefix in PREFIXES if name.lower().startswith(prefix)), "")
    plain = name[len(prefix) :].removesuffix("-v0").replace("-", "_").lower()
    return {known.lower(): task for known, task in TASKS.items()}.get(plain)


def aliases(name: str) -> list[str]:
    """Other spellings of a canonical name."""
    if name not in TASKS:
        return []
    domain, task = TASKS[name]
    return [f"{domain}-{task}", f"dmc_{name}", f"dm_control/{domain}-{task}-v0"]


def canonical(name: str) -> str:
    """The one name of an environment: `cheetah_run` for every spelling of that task, a Gymnasium id as it is.

    Raises UserError for an unknown name, with the nearest known one.
    """
    found = control_task(name)
    if found:
        return "_".join(found)
    identifier = imported_id(name)
    if identifier in registry():
        return name
    if module := name.rpartition(":")[0]:
        raise UserError(f"unknown environment '{name}'{of_module(module, identifier)}")
    namespace, slash, _ = identifier.rpartition("/")
    if slash and not known(f"{namespace}/*"):
        raise UserError(
            f"no imported package registers '{namespace}/' environments: install the package that does, and put its "
            f"module in front as in module:{identifier}"
        )
    hint = nearest(name, known()) or ": softrl envs list names them all"
    raise UserError(
        f"unknown environment '{name}'{hint} (one of another package, or of your own, is MODULE:ID, as in "
        "my_envs:Mine-v0)"
    )


def of_module(module: str, identifier: str) -> str:
    """The end of a sentence about an id that a module does not register: those that it does, and the nearest."""
    package = module.partition(".")[0]
    own = [name for name, spec in registry().items() if home(spec).partition(".")[0] == package]
    listed = f": {module} registers {', '.join(own[:MOST])}{', ...' * (len(own) > MOST)}" if own else ""
    near = nearest(identifier, own or known()).replace("'", f"'{module}:", 1)
    return listed + near or f": let {module} call gymnasium.register with that id"


def home(spec: "EnvSpec") -> str:
    """The module of what makes an environment, a name or a class."""
    made_by = spec.entry_point
    return made_by.partition(":")[0] if isinstance(made_by, str) else getattr(made_by, "__module__", "")


def registry() -> Mapping[str, "EnvSpec"]:
    """The ids that Gymnasium knows, with their specs, among them the tasks of this library."""
    import gymnasium

    for name, entry_point in OWN.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=entry_point, max_episode_steps=50)
    return gymnasium.registry


def imported_id(name: str) -> str:
    """The Gymnasium id in `name`, after importing the module of a `module:Id-v0` name, which registers it."""
    module, colon, identifier = name.rpartition(":")
    if not colon:
        return name
    with import_errors(f"'{name}'", module):
        import_module(module)
    return identifier


def known(pattern: str = "*") -> list[str]:
    """Canonical names that match a shell pattern, DeepMind Control first; a plain word matches anywhere in a name."""
    wanted = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    shown = [
        name
        for name in sorted(registry())
        if any(fnmatch(name, kept) for kept in SHOWN) or not any(fnmatch(name, hidden) for hidden in HIDDEN)
    ]
    return [name for name in [*TASKS, *shown] if fnmatch(name.lower(), wanted.lower())]
