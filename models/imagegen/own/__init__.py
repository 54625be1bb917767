"""A generator that is trained from nothing.

captions.py   what photos are learned under
prompts.py    prompts to tokens and features of the product model
text.py       the text transformer
prior.py      the mean image of a prompt, by ridge regression
denoiser.py   the U-Net around that mean
data.py       batches
task.py       the loss
fitting.py    `train`
pipeline.py   the pipeline of diffusers, `save` and `load`
painter.py    draws
"""
