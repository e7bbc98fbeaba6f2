"""Train image classifiers that look at the right thing and keep looking there."""

__version__ = "0.1.0"
