"""Benchmarks, their floor programs, and the generator of schools."""
