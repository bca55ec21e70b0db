"""Entry of `python -m cli`: services start without loading what only people need."""

import sys


def main() -> None:
    """Run a service at once, or the command line."""
    if len(sys.argv) == 3 and sys.argv[1] == "run":
        from cli.running import run_service

        run_service(sys.argv[2])
    else:
        from cli import main as line

        line.main()


if __name__ == "__main__":
    main()
