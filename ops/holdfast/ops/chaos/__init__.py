"""Killing a whole project under load, again and again, and counting afterwards what was lost or done twice."""
