"""Learners, a file each; what one has to offer is `models.fewshot.learner.Learner`.

How to add a learner
--------------------
Write `models/fewshot/learners/<name>.py` and bind `LEARNER` in it to a class; no other file changes. The file's name is the
learner's: in `model.learners` of the configuration, in requests (`learner`), in metrics (`<name>.accuracy_5way_1shot`) and in
bundles.

- Its values are a pydantic model in the same file, named by `config`; they become the section `model.<name>`.
- `reads` says whether it sees the features of `product` or the photos themselves.
- `fit` makes it from episodes of the meta-train types and chooses by those of the meta-validation types. What is arithmetic alone
  has nothing to fit but its temperature, by which its softmax becomes a probability (`models.fewshot.calibration`).
- `adapt` makes a classifier of a support set; `left_out` may be overridden where leaving one out is arithmetic.
"""
