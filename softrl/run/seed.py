"""Randomness: independent seeds from one integer, and the global generators as a part with a state."""

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softrl.math.generators import forked_generators

PURPOSES = ("environment", "evaluation", "replay", "agent", "explore", "dataset")


def derive(seed: int, purpose: str, *indices: int) -> int:
    """Seed in [0, 2^31) for one of PURPOSES, a function of its arguments alone, by numpy's SeedSequence.

    Streams of different purposes or indices are independent; 31 bits leave room for `seed + environment index` in
    every generator that wants 32.
    """
    assert purpose in PURPOSES, f"unknown purpose '{purpose}'"
    words = (zlib.crc32(purpose.encode()), *indices)
    state = np.random.SeedSequence(seed, spawn_key=words).generate_state(1, np.uint32)
    return int(state[0]) >> 1


def evaluation_seed(seed: int, env_steps: int, episode: int) -> int:
    """Seed of one evaluation episode, the same whether or not the run was cut before it."""
    return derive(seed, "evaluation", env_steps, episode)


def repeatable() -> None:
    """Let convolutions on a GPU give the same numbers every time, in full float32 unless bfloat16 is asked for."""
    cudnn: Any = torch.backends.cudnn
    cudnn.deterministic = True
    cudnn.allow_tf32 = False  # which leaves the newer switches to what holds for all of torch
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "ieee"


def convolution_switches() -> list[tuple[Any, str, Any]]:
    """What torch holds of numbers in convolutions: object, name and value of each switch, in the order to set them."""
    cudnn: Any = torch.backends.cudnn
    switches = [(part, "fp32_precision", part.fp32_precision) for part in (cudnn.conv, cudnn.rnn)]
    # Where only newer switches were set, torch refuses to read the older one, whose value nothing asks for then.
    with suppress(RuntimeError):
        switches.insert(0, (cudnn, "allow_tf32", cudnn.allow_tf32))
    return [(cudnn, "deterministic", cudnn.deterministic), *switches]


class Generators:
    """The global generators of python, numpy and torch (CPU and the CUDA device in use, if any)."""

    def seed(self, seed: int) -> None:
        """Start all of them from one seed."""
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)

    def state_dict(self) -> dict[str, Any]:
        """Their states; reading them draws nothing."""
        version, words, gauss = random.getstate()
        name, key, position, has_gauss, cached = np.random.get_state(legacy=True)
        # Where nothing was done on a GPU, asking for its state would set one up for this process.
        cuda = {torch.cuda.current_device(): torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else {}
        return {
            "python": {"version": version, "words": list(words), "gauss": gauss},
            "numpy": {"name": name, "key": key, "position": position, "has_gauss": has_gauss, "cached": cached},
            "torch": torch.get_rng_state(),
            "cuda": {str(device): state for device, state in cuda.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set all of them; states of CUDA devices that this machine lacks are left out."""
        python, numpy = state["python"], state["numpy"]
        random.setstate((python["version"], tuple(python["words"]), python["gauss"]))
        np.random.set_state((numpy["name"], numpy["key"], numpy["position"], numpy["has_gauss"], numpy["cached"]))
        torch.set_rng_state(state["torch"])
        for device, numbers in state["cuda"].items():
            if int(device) < torch.cuda.device_count():
                torch.cuda.set_rng_state(numbers, int(device))


@contextmanager
def isolated_generators(seed: int, like: Tensor) -> Iterator[None]:
    """Global draws inside come from a seed of their own and change none outside, also where the tensor `like` lies."""
    python, numpy = random.getstate(), np.random.get_state()
    with forked_generators(like):
        try:
            Generators().seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
