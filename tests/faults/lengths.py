"""How long faults last and how often they come: for seconds once, or as an operator would meet them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lengths:
    """Seconds and numbers of a run."""

    rounds: int
    """How often each fault comes."""
    posts: int
    """How many posts go on before and after a fault, at the least."""
    away: float
    """How long a server is stopped, in seconds."""
    frozen: float
    """How long a process is frozen: past the session of a consumer, which is 10 s."""
    pause: float
    """Between two of several kills."""


SHORT = Lengths(rounds=1, posts=3, away=2, frozen=11, pause=0.2)
FULL = Lengths(rounds=3, posts=20, away=60, frozen=30, pause=3)
