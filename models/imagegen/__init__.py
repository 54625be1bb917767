"""Product images by text-conditioned diffusion."""
