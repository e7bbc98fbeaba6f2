"""Intervals, exact bounds and paired tests."""
