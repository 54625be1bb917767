"""Parts of the blend, a file each; what one has to offer is `models.recommender.part.Part`.

How to add a part
-----------------
Write `models/recommender/parts/<name>.py` and bind `PART` in it to a class; no other file changes. The file's name is the part's:
in `model.parts` of the configuration, in answers, in metrics (`<name>.ndcg_at_10`) and in bundles.

- Its values are a pydantic model in the same file, named by `config`; they become the section `model.<name>`.
- `label`, `reason` and `sentence` say what reports call it and how it explains an item to a person. A kind of reason is a word of
  the HTTP API: one that no part has yet is added to `models.recommender.answers.ReasonKind`.
- `possible` says which purchases it needs: an order, content, not too many items.
- `fit` makes it from training purchases, and chooses among its own values by `choice.best`; what was chosen is kept in fields.
  `refit` makes it again from more purchases with these fields.
- `read` scores. `models.recommender.bases` has it ready for a sparse matrix from item to item (`SparsePart`) and for vectors
  (`DensePart`, of which `query` and `targets` remain to be written).
- A dataclass is stored and restored by its fields: arrays, sparse matrices and floats. Anything else overrides `state` and
  `restore`.

`popularity.py` is the shortest example, `co_purchase.py` one that chooses, `sequence.py` one with a network of its own.
"""
