"""Pages of a freed block are there again for the next one, where the C library is glibc."""

import ctypes
import subprocess
import sys

import pytest

from softrl.run import heap

FAULTS = """
import ctypes, resource
from softrl.run.heap import keep_freed

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for size in (60_000_000, 20_000_000, 60_000_000):
        block = libc.malloc(size)
        libc.memset(block, 1, size)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
keep_freed()
faults()
print(faults())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_a_freed_block_keeps_its_pages() -> None:
    told = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True).stdout
    before, after = map(int, told.split())
    assert before > 5_000
    assert after < 500


GIVEN_BACK = """
import ctypes
from softrl.run.heap import give_back, keep_freed

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]

def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

def grown():
    before = resident()
    block, wall = libc.malloc(60_000_000), libc.malloc(100)
    libc.memset(block, 1, 60_000_000)
    libc.free(block)
    return resident() - before

keep_freed()
print(grown())
give_back()
print(grown())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_what_is_kept_can_be_given_back() -> None:
    """Between two blocks in use, a large one in the heap stays; one outside of it goes."""
    told = subprocess.run([sys.executable, "-c", GIVEN_BACK], check=True, capture_output=True, text=True).stdout
    kept, given_back = map(int, told.split())  # KiB
    assert kept > 50_000
    assert given_back < 10_000


def test_another_c_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: object())
    heap.keep_freed()
    heap.give_back()
