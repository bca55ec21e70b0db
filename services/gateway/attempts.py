"""Guessing made slow: failed attempts are counted by account, by known device and by address, and waits grow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chassis.database import Connection
from chassis.problems import Problem
from services.gateway import store
from services.gateway.domain import counted, fold, network

LONGEST_WAIT = 3600.0
LONGEST_ADDRESS_WAIT = 300.0
"""An address is a whole school's, perhaps: nobody there waits longer for what one of them does."""


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How many failed attempts a window takes before each next one has to wait, `first_wait` to begin with; in seconds."""

    window: float = 900.0
    account: int = 10
    address: int = 200
    first_wait: float = 60.0


@dataclass(frozen=True, slots=True)
class Counted:
    """Under which names one attempt is counted: `guessed` is what is guessed at, None where only the address says who."""

    address: bytes
    guessed: bytes | None = None
    counts_address: bool = True


def of_account(login: str) -> bytes:
    """The name under which attempts at a login are counted, whether it has an account or not."""
    return counted("account", fold(login))


def of_sign_in(login: str, address: str, device: str | None) -> Counted:
    """An attempt at a login; from a device that has signed in to it before, it is the device's own.

    So whoever hammers an account, or a neighbour behind the same address, does not lock its owner's phone out
    (OWASP's device cookies).
    """
    place = counted("address", network(address))
    if device is not None:
        return Counted(place, counted("device", device), counts_address=False)
    return Counted(place, of_account(login))


def of_activation(address: str) -> Counted:
    """An attempt at an activation code, which belongs to nobody that we know."""
    return Counted(counted("activation", network(address)))


def next_wait(attempts: int, free: int, first: float, longest: float) -> float:
    """Seconds the attempt after so many has to wait: none while some are free, then `first`, then twice as long each."""
    if attempts < free:
        return 0.0
    return min(longest, first * 2.0 ** min(attempts - free, 30))


async def count(connection: Connection, who: Counted, limits: AttemptLimits) -> int:
    """Count an attempt before it is looked at; returns the seconds it comes too early, 0 when it may go on.

    Commit it whatever follows: attempts that run at the same time count too. Addresses come before accounts, so that
    two attempts cannot wait for each other and a blocked address makes no new rows.
    """
    wait = 0.0
    if who.counts_address:
        wait = await _counted(connection, who.address, limits.address, limits, LONGEST_ADDRESS_WAIT)
    if not wait and who.guessed is not None:
        wait = await _counted(connection, who.guessed, limits.account, limits, LONGEST_WAIT)
    return math.ceil(wait)


def check(wait: int) -> None:
    """Raise a 429 `Problem` for an attempt that comes too early."""
    if wait:
        headers = {"Retry-After": str(wait)}
        raise Problem(429, "too-many-attempts", "Too many attempts to sign in", headers=headers)


async def _counted(connection: Connection, subject: bytes, free: int, limits: AttemptLimits, longest: float) -> float:
    attempts, early = await store.count_attempt(connection, subject, limits.window)
    if early:
        return early
    wait = next_wait(attempts, free, limits.first_wait, longest)
    if wait:
        await store.hold_attempts(connection, subject, wait, limits.window)
    return 0.0


async def succeeded(connection: Connection, who: Counted) -> None:
    """It was no guess: what was guessed at is counted anew, and the address gets its attempt back."""
    if who.counts_address:
        await store.forgive_attempt(connection, who.address)
    if who.guessed is not None:
        await store.forget_attempts(connection, who.guessed)
