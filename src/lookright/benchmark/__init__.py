"""Benchmarks: tables over methods, domains and seeds, and what they cost."""
