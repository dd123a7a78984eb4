"""Ways through a latent space, each of which yields the engine's ordinary requests: maps, walks, and back from a picture."""
