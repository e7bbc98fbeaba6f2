"""Memory that runs out: half as many images, however the system says it, and nothing else."""

import subprocess
import sys

import pytest
import torch

from lookright.errors import UserError
from lookright.memory import BatchSize


def room_for(holds, error):
    """Work that fits so many images, and the numbers that were asked of it."""
    asked = []

    def work(count):
        asked.append(count)
        if count > holds:
            raise error
        return count

    return work, asked


GONE = torch.OutOfMemoryError("CUDA out of memory.")


def test_what_was_halved_stays_so_and_no_more_than_are_left_are_asked_for():
    size = BatchSize(16)
    work, asked = room_for(5, GONE)
    with pytest.warns(UserWarning, match="going on with") as warned:
        assert size.fit(work, 100) == 4
    assert [str(each.message).split()[-3] for each in warned] == ["8", "4"]
    assert size.fit(work, 100) == 4
    assert size.fit(work, 3) == 3
    assert asked == [16, 8, 4, 4, 3]


def test_of_a_last_batch_half_of_what_is_left_is_next():
    work, asked = room_for(5, GONE)
    with pytest.warns(UserWarning, match="of 6 images; going on with 3"):
        assert BatchSize(64).fit(work, 6) == 3
    assert asked == [6, 3]


@pytest.mark.parametrize(
    "error",
    [
        GONE,
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate"
                     " memory: you tried to allocate 8 bytes."),
        RuntimeError("could not create a primitive"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory"),
    ],
)  # fmt: skip
def test_however_the_system_says_it(error):
    with pytest.warns(UserWarning, match="of 2 images; going on with 1"):
        assert BatchSize(2).fit(room_for(1, error)[0], 9) == 1


def test_memory_for_no_image_is_one_clear_line_with_the_systems_words():
    work, asked = room_for(0, RuntimeError("could not create a primitive"))
    with (
        pytest.warns(UserWarning, match="going on with"),
        pytest.raises(UserError, match=r"for a single image \(could not create a primitive\): ch"),
    ):
        BatchSize(4).fit(work, 4)
    assert asked == [4, 2, 1]


def test_another_error_is_not_taken_for_it():
    with pytest.raises(RuntimeError, match="shapes"):
        BatchSize(4).fit(room_for(0, RuntimeError("shapes do not fit"))[0], 4)


def test_a_batch_of_none_is_refused():
    with pytest.raises(UserError, match="batch_size must be 1 or more, got 0"):
        BatchSize(0)


FULL = """
import re, resource, torch
from lookright.memory import BatchSize

def work(count):
    torch.ones(count, 5 * 2**20)  # 20 MiB an image
    return count

held = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 2**10
resource.setrlimit(resource.RLIMIT_AS, (held + 200 * 2**20,) * 2)
print(BatchSize(64).fit(work, 64))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory as Linux does")
def test_a_memory_that_is_really_full():
    ended = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("8\n", 0), ended.stderr
    assert ended.stderr.count("is too small for a batch of") == 3
