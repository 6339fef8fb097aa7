"""What the notebooks and docs ask: each study measures, and writes its results to data/results/.

`by_hand`, `experiments`, `convolution`, `tracing` and `comparison` are for the notebooks on the networks; `sweep`
searches hyperparameters, and `screening` compares networks. `real_recordings` and `youtube_test` judge the released
model, `instruments` tries eleven classes, and `mixtures` measures when a piano with something else is Other. `scale`
times the `workloads` for its `scale_page`.
"""
