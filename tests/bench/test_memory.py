"""The peak is of one process, and stays when memory is given back."""

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = "from softrl.bench.memory import peak; before = peak(); x = b'x' * 2**26; del x; print(before, peak())"
PARENT = f"x = b'x' * 2**28; import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}], check=True)"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="elsewhere a process inherits its parent's peak")
@pytest.mark.slow
def test_nothing_of_what_the_parent_held_is_counted_and_what_was_given_back_is() -> None:
    done = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert 1 < before < 256
    assert after > before + 50
