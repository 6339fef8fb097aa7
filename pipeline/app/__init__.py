"""The demo in the notebook and on its web page: `app` joins the `form`, the `stage` with its animation and the `player`.

A `job` does the work behind them, `session` keeps what was asked; their scripts and styles are in `web/`.
"""
