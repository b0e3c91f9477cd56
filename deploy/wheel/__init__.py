"""What pip installs: this package, whose folder holds the modules as they lie in the repository."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the command line's command."""
    # Only here, so that they are no names of anybody else's programs.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from commands.pulse import main as run

    sys.exit(run())
