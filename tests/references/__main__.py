"""Writes docs/references.md."""

from pathlib import Path

from tests.references.page import page

Path("docs/references.md").write_text(page())
