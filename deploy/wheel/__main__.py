"""`python -m pulse`."""

from __future__ import annotations

from . import main

main()
