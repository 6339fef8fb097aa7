"""The demo, in the notebook and as a web page: `app` joins the `form`, the `stage` with its animation and the `player`.

A `job` does the work, `session` keeps the answers; scripts and styles are in `web/`.
"""
