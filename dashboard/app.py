"""The entry: `streamlit run dashboard/app.py`, port 3000. Streamlit finds `app` and serves it."""

from __future__ import annotations

import site
from pathlib import Path

import streamlit as st

# Streamlit puts this folder on the path; the packages lie in its parent.
site.addsitedir(str(Path(__file__).resolve().parent.parent))

from dashboard.serving import list_middleware
from dashboard.settings import ServerSettings
from db.settings import load_settings

app = st.App("navigation.py", middleware=list_middleware(load_settings(ServerSettings)))
