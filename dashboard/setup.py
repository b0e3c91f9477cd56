"""Makes the things that all sessions share, once a process: settings, logs, each pipeline's pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from contracts import ConfigurationError
from dashboard.page import Page
from monitoring import logs
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from settings import load


@st.cache_resource(show_spinner="Starting; a demo takes about half a minute")
def open_pages(demo: bool, named: str | None) -> Mapping[str, Sequence[Page]]:
    """The pages by the title of their pipeline: an installation's, or with `demo` those of a demo.

    The demo is that of the pipeline `named`, else of the default one.
    Raises ConfigurationError when the settings are wrong, or there is no such demo.
    """
    if demo:
        name = named or DEFAULT_PIPELINE
        pipeline = PIPELINES.get(name)
        if pipeline is None or pipeline.demo_pages is None:
            raise ConfigurationError(
                f"{name} has no demo in the dashboard: docs/dashboard.md tells how to see it."
            )
        return {pipeline.title: pipeline.demo_pages()}
    settings = load()
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    return {one.title: one.pages(settings) for one in PIPELINES.values() if one.pages}
