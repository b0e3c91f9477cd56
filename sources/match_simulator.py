"""The earlier name of the command `python -m simulation.esports.messages`, for one release."""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.stderr.write("This command is now called python -m simulation.esports.messages\n")
    runpy.run_module("simulation.esports.messages", run_name="__main__", alter_sys=True)
