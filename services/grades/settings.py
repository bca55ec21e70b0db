"""Settings of the grades service."""

from __future__ import annotations

from chassis.settings import DatabaseSettings, HttpSettings, TokenSettings
from roster.settings import RosterSettings


class GradesSettings(HttpSettings, DatabaseSettings, RosterSettings, TokenSettings):
    """What the grades service is told; every field is documented where it is defined."""
