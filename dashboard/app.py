"""The dashboard: `streamlit run dashboard/app.py`, or `script/dashboard`, which sets it up first.

`streamlit run dashboard/app.py -- --demo` shows simulated people instead of an installation's data, with
`--pipeline stock` a simulated shop, with `--pipeline esports` a simulated season.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    """Draw the page that the address names. Streamlit calls it again for every interaction."""
    import streamlit as st

    from contracts import ConfigurationError
    from dashboard import navigation
    from dashboard.setup import open_pages
    from dashboard.text import plain

    st.set_page_config(layout="wide")
    named = arguments[-1] if "--pipeline" in arguments[:-1] else None
    try:
        pages = open_pages("--demo" in arguments, named)
    except ConfigurationError as error:
        st.error(plain(error))
        st.stop()
    navigation.run(pages)


if __name__ == "__main__":
    # Streamlit puts this file's folder on the path, not the checkout's, and runs the file again and again.
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:
        sys.path.insert(0, root)
    main(sys.argv[1:])
