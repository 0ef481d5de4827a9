"""The commands of `holdfast`, one module per subject. Each has `register(app)`."""
