"""Which waiting task is next: fair shares, priorities with ageing, limits. Pure; time is an argument."""
