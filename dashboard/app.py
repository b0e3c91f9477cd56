"""The dashboard: `streamlit run dashboard/app.py`, or `script/dashboard`, which sets it up first.

`streamlit run dashboard/app.py -- --demo` shows simulations of all pipelines instead of an installation's
data, with `--pipeline NAME` that of one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def options(arguments: Sequence[str]) -> tuple[bool, str | None]:
    """Whether a demo is asked for, and of which pipeline.

    Raises ConfigurationError for what is no option of this program.
    """
    from contracts import ConfigurationError

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--pipeline")
    try:
        given, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ConfigurationError(f"The dashboard's option {error}.") from None
    if rest or (given.pipeline and not given.demo):
        raise ConfigurationError("The dashboard's own options are --demo, and --pipeline NAME beside it.")
    return given.demo, given.pipeline


def main(arguments: Sequence[str]) -> None:
    """Draw the page that the address names. Streamlit calls it again for every interaction."""
    import streamlit as st

    from contracts import ConfigurationError
    from dashboard import navigation
    from dashboard.setup import open_rooms
    from dashboard.text import plain

    st.set_page_config(page_title="Pulse", page_icon="📈", layout="wide")
    try:
        lookout = open_rooms(*options(arguments))
    except ConfigurationError as error:
        st.error(plain(error))
        st.stop()
    navigation.run(lookout)


if __name__ == "__main__":
    # Streamlit puts this file's folder on the path, not the checkout's, and runs the file again and again.
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:
        sys.path.insert(0, root)
    main(sys.argv[1:])
