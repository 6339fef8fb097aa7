"""From sources of sound to a dataset of clips of one second.

Sources: `catalogue` says what to take from the packages that `packages` fetches; `recordings` fetches real recordings,
`playlists` names songs of YouTube; `fingerprint` compares files. Sound: `scores` are played by sound fonts
(`render`) or recorded notes (`sampler`, `gus_patches`, `instruments` of one's own); these, `noises` and files are
`sounds`, which `performances` combines; `audibility` says where one is heard beside another. Clips: `collection`
gathers all as labelled recordings; `dataset` cuts them and applies `augment` with its `devices` and `codecs`; `tiny`
makes a small dataset of the sample songs.
"""
