"""The home folder of one embedded Préau: its data, logs, keys and passwords."""

import fcntl
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
OWN_FOLDERS = ("postgres", "kafka", "mailbox", "keys", "logs", "run")
CURSOR_SECRET_BYTES = 32


def default_cache() -> Path:
    """The folder for what is downloaded once for all homes."""
    if chosen := os.environ.get("PREAU_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).expanduser().absolute() / "preau"


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f"{path.name}.{os.getpid()}.new")
    staged.unlink(missing_ok=True)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        # A password lost to a power cut would lock its owner out of the data it opens.
        os.fsync(file.fileno())
    staged.replace(path)


def make_token_keys(private: Path, public: Path) -> None:
    """Make the pair of keys of the gateway's internal tokens, as PEM files."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pair = Ed25519PrivateKey.generate()
    whole = pair.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    half = pair.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_private(private, whole.decode())
    # The public half is written last: its presence says that the pair is whole.
    write_private(public, half.decode())


class HomeTaken(Exception):
    """Another process runs this home."""


@dataclass(frozen=True)
class Home:
    """Where one embedded Préau keeps everything; two homes never meet."""

    root: Path

    @classmethod
    def default(cls) -> "Home":
        chosen = os.environ.get("PREAU_HOME")
        return cls(Path(chosen).expanduser().absolute() if chosen else CHECKOUT / ".preau")

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def servers(self) -> Path:
        """The file that says where the data are."""
        return self.root / "servers.json"

    @property
    def private_key(self) -> Path:
        return self.keys / "token-private.pem"

    @property
    def public_key(self) -> Path:
        return self.keys / "token-public.pem"

    def create(self) -> None:
        """Make the folders and, once, the keys."""
        # PostgreSQL refuses to run as root, and its own account has to pass through the home.
        self.root.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        if self.root.stat().st_uid != os.geteuid():
            raise PermissionError(f"{self.root} belongs to another user")
        for folder in (self.logs, self.run, self.keys):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not self.public_key.exists():
            make_token_keys(self.private_key, self.public_key)

    def cursor_secret(self) -> str:
        """The secret that signs cursors, made on first use."""
        return self._kept_secret(self.keys / "cursor", lambda: secrets.token_hex(CURSOR_SECRET_BYTES))

    def database_password(self, role: str) -> str:
        """The password of one database role, made on first use."""
        return self._kept_secret(self.keys / f"database-{role}", lambda: secrets.token_urlsafe(24))

    @staticmethod
    def _kept_secret(path: Path, make: Callable[[], str]) -> str:
        if not path.exists():
            write_private(path, make())
        return path.read_text(encoding="utf-8")

    def take(self) -> "Hold":
        """Hold the home for this process, or raise HomeTaken; the kernel lets go when it ends."""
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise HomeTaken(str(self.root)) from None
        return Hold(descriptor)

    def taken(self) -> bool:
        """Whether a process holds the home."""
        if not (self.run / "lock").exists():
            return False
        try:
            self.take().release()
        except HomeTaken:
            return True
        return False

    def wipe(self) -> None:
        """Remove what Préau made here, and nothing a stranger put beside it."""
        for name in OWN_FOLDERS:
            if (self.root / name).exists():
                shutil.rmtree(self.root / name)
        self.servers.unlink(missing_ok=True)
        if self.root.exists() and not any(self.root.iterdir()):
            self.root.rmdir()


@dataclass
class Hold:
    """A held home."""

    descriptor: int

    def release(self) -> None:
        os.close(self.descriptor)


def read_state(path: Path) -> dict[str, object]:
    """A small JSON state file, empty where it is absent or torn."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def let_pass(path: Path) -> list[Path]:
    """Let other accounts pass through the folders above a path; names those it had to change."""
    changed = []
    for folder in [*reversed(path.parents), path]:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            changed.append(folder)
    return changed
