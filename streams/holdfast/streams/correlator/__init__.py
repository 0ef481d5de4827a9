"""The correlator's shell: its rows, its table, its batches, and the agent that folds them. The core decides."""
