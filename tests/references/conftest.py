"""The line that says how many published facts are asserted, and how many are not reached."""

from collections import Counter

from tests.references.page import FACTS, MISSED


def pytest_terminal_summary(terminalreporter):
    """The counts."""
    tags = Counter(f.tag for f in FACTS)
    line = (
        f"references: {tags['M']} measured and {tags['P']} printed facts asserted, {len(MISSED)} listed as not reached"
    )
    terminalreporter.write_line(line)
