"""What was chosen for the priors, and why."""

from pydantic import Field

from configs.schema import PositiveFloat, PositiveInt, StrictModel


class LinearPriorConfig(StrictModel):
    """Values of `priors.linear`."""

    min_documents: PositiveInt = Field(2, description="n-grams of fewer rows are not read: one row's say nothing about another")
    ridge_alpha: PositiveFloat = Field(0.3, description="penalty of ridge regression")
    logistic_c: PositiveFloat = Field(2.0, description="inverse penalty of logistic regression")
    rating_share: PositiveFloat = Field(
        0.5, description="of the rating in what is said of a review; 0.25, 1 and 2 were worse on validation reviews"
    )


class TitlePriorConfig(StrictModel):
    """Values of `priors.title`."""

    bits: int = Field(
        14, ge=8, le=22, description="log2 of the hashed features of each block, at most; twice as many are no better"
    )
    cost: PositiveFloat = Field(0.5, description="C of the support vector machines")


class PriorsConfig(StrictModel):
    """Values of all priors."""

    linear: LinearPriorConfig = LinearPriorConfig()
    title: TitlePriorConfig = TitlePriorConfig()
