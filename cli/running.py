"""`preau run SERVICE`: one service as this process."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


_ELSEWHERE = {"relay": "chassis.relay_app", "mailbox": "infra.mailbox.app"}


def module_of(service: str) -> str:
    """The module whose `main()` runs the service."""
    return _ELSEWHERE.get(service, f"services.{service}.app")


def run_service(service: str) -> None:
    """Run one service until it is told to stop; it takes its settings from the environment."""
    if not service.isidentifier() or not _exists(module_of(service)):
        sys.exit(f"there is no service named {service!r}")
    _die_with_supervisor()
    # Imports make no garbage, and looking for it is a tenth of a start.
    gc.disable()
    main = importlib.import_module(module_of(service)).main
    gc.enable()
    main()


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _die_with_supervisor() -> None:
    """Ask Linux to end this process with its supervisor; elsewhere the next start ends it."""
    supervisor = os.environ.get("PREAU_SUPERVISOR")
    if supervisor is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have died before the request was made.
    if os.getppid() != int(supervisor):
        sys.exit("the supervisor has ended")
