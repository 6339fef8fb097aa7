"""What a reader moves in a notebook: `votes` sets the threshold and the number of voting clips."""
