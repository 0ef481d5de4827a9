"""Published events and the waits that want them: who gets which event, once. Pure; time and order are arguments.

An event stays with the correlator until the wait that it was handed to is over: then the wait has taken it, or it goes
to the next one. So it is never lost and never ends two waits, whoever crashes in between.
"""
