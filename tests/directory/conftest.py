"""The directory's own database, an import in one call, and its API behind a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import uvicorn
from packages import Package

from chassis.database import Database
from chassis.idempotency import Writes
from chassis.identity import TokenSigner
from chassis.process import listen
from chassis.settings import HttpSettings
from infra.local.home import Home
from services.directory.app import MIGRATIONS, http
from services.directory.importing.report import Report
from services.directory.importing.usecase import Options, import_oneroster
from tests.conftest import open_database

Import = Callable[..., Awaitable[Report]]
