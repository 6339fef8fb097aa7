"""What training has seen: loss and accuracy of every batch and every epoch."""


class History:
    """Two growing lists of rows; as tables they are `batches` and `epochs`."""

    def __init__(self, batch_rows=(), epoch_rows=()):
        self.batch_rows, self.epoch_rows = list(batch_rows), list(epoch_rows)

    @property
    def batches(self):
        """DataFrame: epoch, batch, loss, accuracy of each batch as it was trained on."""
        import pandas as pd

        return pd.DataFrame(self.batch_rows, columns=["epoch", "batch", "loss", "accuracy"])

    @property
    def epochs(self):
        """DataFrame, indexed by epoch from 1: mean training loss and accuracy, seconds, and the validation's."""
        import pandas as pd

        return pd.DataFrame(self.epoch_rows, index=pd.RangeIndex(1, len(self.epoch_rows) + 1, name="epoch"))

    def __repr__(self):
        return repr(self.epochs)

    def _repr_html_(self):
        return self.epochs.to_html()
