"""softrl: the Soft Actor-Critic toolkit."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "train": "softrl.api",
    "resume": "softrl.api",
    "load": "softrl.api",
    "evaluate": "softrl.api",
    "play": "softrl.api",
    "make": "softrl.api",
    "spec": "softrl.api",
    "recipe": "softrl.api",
    "Policy": "softrl.api",
    "Progress": "softrl.api",
    "RunResult": "softrl.api",
    "Agent": "softrl.agent.agent",
    "Run": "softrl.run.config",
    "Pixels": "softrl.data.pixels",
    "Partial": "softrl.data.partial",
    "UserError": "softrl.errors",
    "Caution": "softrl.errors",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    # Names are imported when they are first used, so that the command line can answer without loading torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'softrl' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
