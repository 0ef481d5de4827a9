"""Pictures of workflows: what is drawn (`diagram`), where it stands (`layout`), and how it looks (`text`, `svg`).

Everything here is pure. `flow` makes a diagram of a definition, with a run on it that `run` reads from a journal.
"""
