"""Makes the secrets of a composed platform once: `python -m infra.containers.secrets FOLDER`.

The folder is its owner's alone and holds the gateway's key pair and `compose.env`, which `docker compose --env-file` reads.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from infra.local.home import make_token_keys, write_private

PASSWORDS = ("POSTGRES", "DIRECTORY", "GRADES", "FEED", "NOTIFY", "GATEWAY")


def make(folder: Path) -> Path:
    """Make what is missing; returns the file of variables."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    private, public, variables = folder / "token-private.pem", folder / "token-public.pem", folder / "compose.env"
    if not public.exists():
        make_token_keys(private, public)
        # Inside a container another account reads it; here the folder keeps everybody out.
        private.chmod(0o644)
        public.chmod(0o644)
    if not variables.exists():
        lines = [f"{name}_PASSWORD={secrets.token_urlsafe(24)}" for name in PASSWORDS]
        lines += [f"CURSOR_SECRET={secrets.token_hex(32)}", f"KEYS={folder.resolve()}"]
        write_private(variables, "\n".join(lines) + "\n")
    return variables


if __name__ == "__main__":
    os.umask(0o077)
    sys.stdout.write(f"{make(Path(sys.argv[1]))}\n")
