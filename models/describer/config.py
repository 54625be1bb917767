"""Everything that a describer's training depends on."""

from typing import Self

from pydantic import Field, model_validator

from configs.schema import PositiveFloat, PositiveInt, RunConfig, Share, StrictModel


class WriterConfig(StrictModel):
    """The causal transformer, its tokens, and how a brief is read."""

    init_from: str | None = Field(
        None,
        min_length=1,
        description="folder of a causal language model of transformers in safetensors, with its tokenizer, to start from; "
        "without it a transformer of the sizes below starts anew",
    )
    width: PositiveInt = Field(256, description="channels of a token's state")
    layers: PositiveInt = Field(4, description="blocks")
    heads: PositiveInt = Field(4, description="heads of the queries of each block")
    kv_heads: PositiveInt = Field(2, description="heads of keys and values, which several heads of queries share")
    mlp_hidden: PositiveInt = Field(704, description="channels inside the gated layer of each block")
    vocab_size: int = Field(4096, ge=300, description="byte pairs, learnt from the texts that it is trained on")
    context: PositiveInt = Field(384, description="tokens of a brief and one of its texts together, at most")
    min_slot_rows: PositiveInt = Field(
        20, description="training listings that give a fact of a name before it has a slot of its own; rarer ones share slots"
    )
    shared_slots: PositiveInt = Field(8, description="slots for facts with names that have none of their own")
    value_tokens: PositiveInt = Field(16, description="tokens of a fact's value that are read; the copied value is whole")
    title_tokens: PositiveInt = Field(32, description="tokens of a listing's title that are read")
    prompt_tokens: PositiveInt = Field(200, description="tokens of a brief; facts beyond are stated in further sentences")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads or self.heads % self.kv_heads:
            raise ValueError(f"width {self.width} must divide by heads {self.heads}, and these by kv_heads {self.kv_heads}")
        if self.prompt_tokens >= self.context:
            raise ValueError(f"prompt_tokens {self.prompt_tokens} must leave room for a text in the context of {self.context}")
        return self


class LessonsConfig(StrictModel):
    """What training changes in a brief in every epoch, so that the writer states what it is given and nothing else."""

    unsaid_facts: Share = Field(
        0.15,
        description="probability that a fact which no text of the listing states stays in its brief; with most of them gone, "
        "the writer learns to state all that it is given",
    )
    shared_slot: Share = Field(0.1, description="probability that a fact takes a shared slot, as those with unknown names do")
    audience: Share = Field(0.7, description="probability that the brief names the audience")
    tone: Share = Field(0.8, description="probability that the brief names the tone; else it is neutral")
    keywords: Share = Field(0.3, description="probability that words of the texts are asked for as keywords")
    max_keywords: PositiveInt = Field(3, description="of them, at most")
    title: Share = Field(0.85, description="probability that the listing's title is read")


class GenerationConfig(StrictModel):
    """How candidates are drawn, and which is taken."""

    title_candidates: PositiveInt = Field(4, description="SEO titles that are drawn")
    meta_candidates: PositiveInt = Field(4, description="meta descriptions that are drawn")
    description_candidates: PositiveInt = Field(4, description="descriptions that are drawn")
    bullet_candidates: PositiveInt = Field(3, description="lists of bullets that are drawn")
    temperature: PositiveFloat = Field(0.7, description="logits are divided by it; lower is safer and more alike")
    top_p: float = Field(0.9, gt=0.0, le=1.0, description="the likeliest tokens that hold this probability are drawn from")
    title_tokens: PositiveInt = Field(24, description="tokens of an SEO title, at most")
    meta_tokens: PositiveInt = Field(48, description="tokens of a meta description, at most")
    description_tokens: PositiveInt = Field(120, description="tokens of a description, at most")
    bullets_tokens: PositiveInt = Field(80, description="tokens of all bullets, at most")
    rounds: int = Field(
        2, ge=0, description="how often bullets are drawn once more for facts that are still unsaid, each of which needs one"
    )
    bullet_tokens: PositiveInt = Field(20, description="tokens of such a bullet, at most")
    most_bullets: PositiveInt = Field(14, description="bullets of a description, at most")
    most_sentences: PositiveInt = Field(8, description="sentences of a description, at most")
    slot_uses: PositiveInt = Field(2, description="how often a text may copy one fact, at most")
    missing: float = Field(1.0, ge=0.0, description="what a given fact that a candidate does not state costs, in nats")
    unused_keyword: float = Field(2.0, ge=0.0, description="what a usable keyword that a candidate does not hold costs")
    alike: float = Field(
        4.0, ge=0.0, description="what a candidate costs whose trigrams are all in the last texts of its type; less in proportion"
    )
    unfinished: float = Field(3.0, ge=0.0, description="what a candidate costs that did not end by itself")


class DescriberModelConfig(StrictModel):
    """The writer, its lessons, and how it answers."""

    writer: WriterConfig = WriterConfig()
    lessons: LessonsConfig = LessonsConfig()
    generation: GenerationConfig = GenerationConfig()
    chosen_by: PositiveInt = Field(1000, description="validation products, at most, by whose texts the best weights are chosen")
    measured: PositiveInt = Field(1000, description="unseen products, at most, that a version is measured on")


class DescriberRunConfig(RunConfig):
    """Everything that a describer's training depends on; batch sizes are listings, each with all of its texts."""

    model: DescriberModelConfig = DescriberModelConfig()
