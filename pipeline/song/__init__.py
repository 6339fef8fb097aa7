"""From a link or a file to a label.

A link: `links` reads it, `ytdlp` and `download` fetch it, `refusals` explains why not. A song: `audio` decodes it
with what `containers` tells of its file, `cleaning` cuts it into clips of one second, `recognition` asks the model,
`segments` smooths its answers to ranges. `sources` finds the songs of a folder or list.
"""
