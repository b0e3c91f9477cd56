"""The earlier name of the command `python -m simulation.ecommerce.events`, for one release."""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.stderr.write("This command is now called python -m simulation.ecommerce.events\n")
    runpy.run_module("simulation.ecommerce.events", run_name="__main__", alter_sys=True)
