"""A stand-in for a model server: OpenAI-compatible HTTP, answers out of a script.

It shows that transport and control flow work; it says nothing about the quality of any model. Every answer carries
the header `x-holdfast-provider: scripted`, which ends up in the events.
"""
