"""What an agent may do: tools, their manifests and effect classes."""
