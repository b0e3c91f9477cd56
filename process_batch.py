"""`python process_batch.py`: one bounded pass of health without streaming, as `pulse batch`."""

from __future__ import annotations

from own_python import take_own_python

if __name__ == "__main__":
    take_own_python()

import sys
from functools import partial

import typer

from commands.batch import batch
from commands.common import guarded
from monitoring.logs import mask_uncaught

app = typer.Typer(add_completion=False)
app.command()(batch)

if __name__ == "__main__":
    mask_uncaught()
    sys.exit(guarded(partial(app, standalone_mode=False)))
