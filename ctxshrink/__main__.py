"""``python -m ctxshrink``: the command line, where the script is not on the path."""

from .cli import app

app(prog_name="ctxshrink")
