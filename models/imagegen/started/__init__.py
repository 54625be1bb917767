"""A generator that starts from a pipeline of Stable Diffusion's class, instead of from nothing.

pipeline.py   reads such a folder, and says what does not fit
words.py      prompts to states of its text encoder
data.py       photos as latents of its autoencoder, stored once
task.py       what its U-Net learns, whole or by low-rank adapters
fitting.py    `train`
bundle.py     `save` and `load`
painter.py    draws
"""
