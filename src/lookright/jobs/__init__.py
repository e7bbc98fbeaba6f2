"""Jobs: trainings and evaluations that are described by specs, done once, and resumed.

Workers import this package, so that it leaves torch to the jobs that need it.
"""

from lookright.jobs.job import Job, Place
from lookright.jobs.launch import Failure, launch
from lookright.jobs.launcher import Launcher
from lookright.jobs.launchers import InProcess, choose
from lookright.jobs.on_ray import OnRay
from lookright.jobs.workers import Workers

__all__ = [
    "Failure",
    "InProcess",
    "Job",
    "Launcher",
    "OnRay",
    "Place",
    "Workers",
    "choose",
    "launch",
]
