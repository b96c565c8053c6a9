"""Every test runs on one thread and from the same seeds."""

import gc
import os
import random

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and numpy are imported

import numpy as np
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
# What thousands of tests leave behind is walked through at every collection, which costs more than what it frees.
gc.set_threshold(50_000, 20, 100)
# How fast a busy machine draws examples says nothing of the code.
settings.register_profile("softrl", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("softrl")


@pytest.fixture(autouse=True)
def seeded():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
