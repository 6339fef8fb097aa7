"""The demo, in the notebook and as a web page: `app` joins the `form`, the `stage` with its animation and the `player`.

A `job` does the work, `session` keeps the answers, `upload` takes a file, and `recording` is what the player shows of a
song. Scripts and styles are in `web/`.
"""
