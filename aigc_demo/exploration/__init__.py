"""Ways through a latent space, each of which yields the engine's requests: maps, walks, contact sheets, and back from a picture."""
