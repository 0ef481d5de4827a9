"""`holdfast demo`: a support ticket on everything real, and a crash of every process on the way."""
