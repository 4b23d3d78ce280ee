"""The first page."""

from __future__ import annotations

from flask import render_template


def index() -> str:
    return render_template("admin/index.html")
