"""The engine in one process and virtual time: its real parts, a small world around them, and every fault on purpose.

Everything that happens is drawn from a seed, so a run can be made again. What is real and what is stood in for stands
in docs/simulation.md.
"""
