"""What launchers and workers have agreed on."""

from typing import Final

DONE: Final = 0
"""A worker exits so: the job is done."""
FAILED: Final = 1
"""The job has failed."""
HELD: Final = 75
"""Another process does the job."""
LOST: Final = 76
"""The cluster on which the job ran is gone."""
FULL: Final = 77
"""The memory did not suffice."""
STOPPED: Final = 130
"""The worker was asked to stop."""
KILLED: Final = 137
"""The job's process on a cluster has died more often than Ray tries."""

FIRST: Final = "LOOKRIGHT_FIRST_WORKER"
"""In the environment of a training's further processes: which one began them; otherwise empty."""
