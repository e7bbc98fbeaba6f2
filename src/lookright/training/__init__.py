"""Training: Lightning round a method, and the folder that a run leaves."""

from lookright.training.fit import fit
from lookright.training.presets import Preset, preset
from lookright.training.run import Run

__all__ = ["Preset", "Run", "fit", "preset"]
