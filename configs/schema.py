"""Configuration shared by all models. A model extends `RunConfig` in `models/<name>/config.py`.

Every value has one default, here or beside its owner; YAML files only override. Unknown keys and
wrong values are refused by `configs.load` with the path of the key, the value and what is allowed.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
Optimizer = Literal["adamw", "muon"]


FaultKind = Literal[
    "mismatched_image",
    "truncated_description",
    "swapped_description",
    "wrong_category",
    "wrong_price",
    "blurred_image",
    "dark_image",
    "missing_attributes",
]
"""Faults that `catalog.corruption` puts into good listings."""


class StrictModel(BaseModel):
    """Frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class SplitConfig(StrictModel):
    """How products are divided into train, validation and test."""

    by: Literal["hash", "time"] = Field("hash", description="hash of product_id (stable when rows are added) or listed_at")
    validation: Share = Field(0.1, description="share of products on which choices are made")
    test: Share = Field(0.1, description="share of products that is touched once, at the end")
    salt: str = Field("vitrina", description="changes the hash split; keep it fixed for a catalogue's life")

    @model_validator(mode="after")
    def _leaves_training_data(self) -> Self:
        if self.validation + self.test >= 1.0:
            raise ValueError(f"validation + test is {self.validation + self.test:g}; it must stay below 1")
        return self


class ValidationConfig(StrictModel):
    """What a delivery must satisfy before anything is trained on it."""

    min_products: PositiveInt = Field(100, description="fewer usable products stop the run")
    min_categories: PositiveInt = Field(2, description="fewer article types stop the run, where there are any")
    max_lone_classes: Share = Field(0.5, description="a larger share of categories with a single product is a warning")
    max_classes_a_product: Share = Field(
        0.5, description="more categories than this share of the products is a warning: a column of names, not of classes"
    )
    max_price_spread: float = Field(
        10_000.0,
        ge=1.0,
        description="a larger ratio between the prices that 99.9 % and 0.1 % of products are below is a warning",
    )
    max_quarantined: Share = Field(0.2, description="a larger share of rows in quarantine stops the run")
    max_missing_images: Share = Field(0.5, description="a larger share of products without a decodable image is a warning")
    max_title_length: PositiveInt = Field(500, description="characters; a longer title is quarantined")
    max_description_length: PositiveInt = Field(20_000, description="characters; a longer description is a warning")
    max_price: PositiveFloat = Field(1e7, description="a higher price is quarantined")
    max_review_length: PositiveInt = Field(10_000, description="characters; a longer review is a warning")
    max_user_purchases: PositiveInt = Field(5000, description="rows of a user with more purchases are quarantined, as a bot's")
    max_user_events: PositiveInt = Field(50_000, description="rows of a user with more events are quarantined, as a bot's")
    min_bot_rows: PositiveInt = Field(200, description="a user with fewer purchases or events is no bot by their number")
    bot_distance: float = Field(
        6.0,
        gt=0.0,
        le=20.0,
        description="a user is a bot whose number of rows lies more than so many times as far above the median as the 90th "
        "percentile does, on a log scale",
    )
    max_purchases_a_minute: int = Field(
        20,
        ge=1,
        lt=60,
        description="more purchases of a user within a minute are quarantined; those of one second are one basket",
    )
    max_events_a_minute: int = Field(
        45, ge=1, lt=60, description="more events of a user within a minute are quarantined; those of one second count once"
    )


class BackTranslationConfig(StrictModel):
    """Rewording by translation into another language and back (Sennrich et al. 2016), with two transformers seq2seq models."""

    forward: str = Field(min_length=1, description="folder, or id on the Hugging Face hub, of the model that translates away")
    backward: str = Field(min_length=1, description="folder or id of the model that translates back")
    forward_prefix: str = Field("", description="put before each text, as T5 expects: 'translate English to German: '")
    backward_prefix: str = Field("", description="put before each translated text")
    share: Share = Field(0.2, description="share of training listings that get a reworded copy")
    batch_size: PositiveInt = Field(16, description="sentences a forward pass")
    beams: PositiveInt = Field(1, description="beams of the search; 1 takes the likeliest token each time")
    max_new_tokens: PositiveInt = Field(192, description="a sentence whose translation gets longer stays as it is")


class AugmentationConfig(StrictModel):
    """What the training loader changes in a listing before the model sees it. Probabilities per listing unless said."""

    word_dropout: Share = Field(0.05, description="probability that a word of the text is left out")
    word_swap: Share = Field(0.05, description="probability that two neighbouring words change places")
    typo: Share = Field(0.02, description="probability that a word gets a typing error")
    attribute_dropout: Share = Field(0.2, description="probability that an attribute is hidden")
    flip: Share = Field(0.5, description="probability that the photo is mirrored")
    crop: Share = Field(0.5, description="probability that the photo is cropped by up to `crop_margin`")
    crop_margin: Share = Field(0.1, description="largest share of each side that a crop removes")
    colour_jitter: Share = Field(0.1, description="largest relative change of brightness and contrast")
    erase: Share = Field(0.25, description="probability that noise covers a rectangle of the photo")
    erase_area: Share = Field(0.2, description="largest share of the photo that is erased")
    back_translation: BackTranslationConfig | None = Field(None, description="off unless two models are given")
    min_class_rows: int = Field(
        0, ge=0, description="article types with fewer training rows get augmented copies up to this many"
    )


class CorruptionConfig(StrictModel):
    """Which faults are put into good listings, to learn and to measure what a fault looks like."""

    share: Share = Field(0.3, description="probability that a training listing gets a fault")
    held_out: tuple[FaultKind, ...] = Field(
        ("swapped_description",),
        description="faults never shown in training: what finding them says about faults nobody thought of",
    )

    @model_validator(mode="after")
    def _leaves_kinds_to_learn(self) -> Self:
        if len(set(self.held_out)) >= len(get_args(FaultKind)):
            raise ValueError("held_out holds every kind of fault; at least one must be left for training")
        return self

    @property
    def trained(self) -> tuple[str, ...]:
        """Kinds shown in training, in the order of `FaultKind`."""
        return tuple(kind for kind in get_args(FaultKind) if kind not in self.held_out)


class StopRule(StrictModel):
    """When one metric ends training."""

    metric: str = Field("validation/loss", description="metric as logged after each epoch")
    mode: Literal["min", "max"] = Field("min", description="direction that is better")
    patience: PositiveInt = Field(3, description="validations without improvement before training stops")
    min_delta: float = Field(0.0, ge=0.0, description="a smaller change is no improvement, in the metric's own unit")


class TrainerConfig(StrictModel):
    """How the shared Lightning module trains."""

    epochs: PositiveInt = Field(4, description="passes over the training split")
    max_minutes: PositiveFloat | None = Field(
        None, description="stops training after this much wall time; encoders that are fitted before count"
    )
    batch_size: PositiveInt = Field(128, description="listings a step, divided between the devices")
    accumulate: PositiveInt = Field(1, description="steps whose gradients are added before an update")
    learning_rate: PositiveFloat = Field(1e-3, description="peak of the schedule")
    optimizer: Optimizer = Field(
        "adamw", description="muon: Muon for weights of linear layers and convolutions, AdamW for the rest; not with fsdp"
    )
    schedule: Literal["onecycle", "cosine", "plateau"] = Field(
        "onecycle",
        description="onecycle; cosine: linear warm-up, then cosine to 0; plateau: lower when validation/loss no longer falls",
    )
    plateau_factor: float = Field(0.5, gt=0.0, lt=1.0, description="the plateau schedule multiplies the learning rate by this")
    plateau_patience: int = Field(1, ge=0, description="validations without improvement that the plateau schedule bears")
    weight_decay: float = Field(0.05, ge=0.0, description="AdamW decay of matrices; vectors are not decayed")
    warmup: Share = Field(0.1, description="share of all updates before the peak; the plateau schedule has none")
    clip_norm: PositiveFloat = Field(1.0, description="gradient norm is clipped to this")
    ema_decay: float = Field(
        0.999, ge=0.0, lt=1.0, description="decay of the weight average that is evaluated and saved; 0 turns it off"
    )
    early_stopping: tuple[StopRule, ...] = Field(
        (StopRule(),), description="training stops when any of these says so; none: after all epochs"
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16 on GPUs and CPUs that multiply it in hardware, else fp16 on a GPU and fp32 on a CPU"
    )
    devices: PositiveInt = Field(1, description="GPUs to train on, or processes where there is no GPU")
    strategy: Literal["auto", "ddp", "fsdp"] = Field(
        "auto", description="fsdp divides weights and optimizer state between devices; auto: ddp where there are several devices"
    )
    compile: bool = Field(False, description="torch.compile the parts of the model that it names")
    gradient_checkpointing: bool = Field(
        False, description="compute activations again in the backward pass: less memory, more time"
    )
    workers: int = Field(1, ge=0, description="loader processes a device that decode images; 0 decodes in the training process")
    seed: int = Field(17, ge=0, description="seeds weights, order and augmentation")
    tensorboard: bool = Field(True, description="write TensorBoard events beside MLflow's metrics")
    wandb: Literal["off", "offline", "online"] = Field(
        "off", description="Weights & Biases run beside them; offline writes files only, online needs WANDB_API_KEY"
    )
    wandb_project: str = Field("vitrina", min_length=1, description="Weights & Biases project")
    checkpoint_minutes: PositiveFloat = Field(2.0, description="a resumable checkpoint is written this often")

    @field_validator("wandb", mode="before")
    @classmethod
    def _off_is_no_boolean(cls, value: object) -> object:
        return "off" if value is False else value  # YAML reads a bare off as false

    @field_validator("early_stopping")
    @classmethod
    def _one_rule_a_metric(cls, rules: tuple[StopRule, ...]) -> tuple[StopRule, ...]:
        names = [rule.metric for rule in rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} has several early_stopping rules; one each")
        return rules

    @model_validator(mode="after")
    def _devices_fit_the_strategy(self) -> Self:
        if self.batch_size < self.devices:
            raise ValueError(f"batch_size {self.batch_size} cannot be divided between {self.devices} devices")
        if self.strategy == "fsdp" and self.devices < 2:
            raise ValueError("strategy fsdp divides the model between devices: it needs devices of 2 or more")
        if self.strategy == "fsdp" and self.ema_decay:
            raise ValueError(f"strategy fsdp keeps no weight average: set ema_decay to 0, not {self.ema_decay:g}")
        if self.strategy == "fsdp" and self.optimizer == "muon":
            raise ValueError("strategy fsdp divides each matrix, and optimizer muon needs it whole: set optimizer to adamw")
        return self


class EvaluationConfig(StrictModel):
    """How a version is measured."""

    bootstrap_samples: int = Field(500, ge=50, description="resamples behind each 95 % interval")
    batch_size: PositiveInt = Field(256, description="listings a forward pass")
    retrieval_pool: PositiveInt = Field(4000, description="products among which a title must find its photo")
    neighbours: PositiveInt = Field(5, description="k of the nearest-neighbour classifier")
    latency_calls: PositiveInt = Field(50, description="single predictions timed for the latency figure")
    min_slice_rows: PositiveInt = Field(20, description="smaller slices are not reported")
    worst: PositiveInt = Field(24, description="errors shown with their photos in the report")


class Threshold(StrictModel):
    """One absolute bound on a metric; `at_least` or `at_most` declares its direction."""

    metric: str = Field(description="name as printed by `vitrina evaluate --json`")
    at_least: float | None = Field(None, description="lowest value that passes")
    at_most: float | None = Field(None, description="highest value that passes")
    clearly: bool = Field(
        False,
        description="fails only where the whole 95 % interval lies beyond the bound: for bounds that a catalogue of few rows "
        "would miss by chance",
    )

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"threshold on {self.metric!r} needs exactly one of at_least, at_most")
        return self


class BetterThan(StrictModel):
    """The version must beat a baseline clearly: the 95 % interval of the difference lies on the better side of `margin`."""

    metric: str = Field(description="name as printed by `vitrina evaluate --json`")
    baseline: str = Field(description="metric of the same evaluation, such as majority_accuracy")
    better: Literal["higher", "lower"] = Field(description="direction of the metric")
    margin: float = Field(0.0, ge=0.0, description="improvement that the interval must exceed, in the metric's own unit")


class NotWorseThan(StrictModel):
    """The version must not be clearly worse than a baseline: it fails where the whole 95 % interval of the difference is."""

    metric: str = Field(description="name as printed by `vitrina evaluate --json`")
    baseline: str = Field(description="metric of the same evaluation, such as linear_title_accuracy")
    better: Literal["higher", "lower"] = Field(description="direction of the metric")
    tolerance: float = Field(0.0, ge=0.0, description="loss that is borne besides, in the metric's own unit")


class NoRegression(StrictModel):
    """The challenger may be worse than the champion by at most `tolerance` on `metric`."""

    metric: str = Field(description="name as printed by `vitrina evaluate --json`")
    better: Literal["higher", "lower"] = Field(description="direction of the metric")
    tolerance: float = Field(0.0, ge=0.0, description="absolute slack, in the metric's own unit")


class GateConfig(StrictModel):
    """What a version must reach to become `challenger`; a gate on what the version has no task for is not applicable."""

    better_than: tuple[BetterThan, ...] = Field((), description="baselines on the same rows that must be beaten clearly")
    not_worse_than: tuple[NotWorseThan, ...] = Field((), description="baselines on the same rows that must be held")
    no_regression: tuple[NoRegression, ...] = Field((), description="comparisons with the current champion on the same rows")
    thresholds: tuple[Threshold, ...] = Field((), description="absolute bounds: what a shop asks of its own catalogue")


class DriftConfig(StrictModel):
    """When monitoring says that what is served no longer looks like what was trained on."""

    min_rows: PositiveInt = Field(200, description="fewer rows in the window give the verdict 'not enough data'")
    window_rows: PositiveInt = Field(2000, description="newest predictions that are compared")
    alpha: Share = Field(0.01, description="family-wise false-alarm rate over all columns (Holm correction)")
    min_effect: Share = Field(0.1, description="smallest effect size that counts, whatever the p-value: guards large windows")
    max_error_increase: Share = Field(0.1, description="rise in error rate, where feedback came, that counts as drift")
    max_hit_rate_loss: Share = Field(
        0.25, description="share of a list prediction's hit rate whose loss, where feedback came, counts as drift"
    )


class Dimension(StrictModel):
    """One value that a study varies: a range, or a list of choices."""

    low: int | float | None = Field(None, description="smallest value of a range; two whole bounds give whole numbers")
    high: int | float | None = Field(None, description="largest value of a range")
    log: bool = Field(False, description="draw from the range evenly by ratio instead of by difference")
    choices: tuple[bool | int | float | str | None, ...] | None = Field(
        None, description="values to choose from, instead of a range"
    )

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        if self.choices is not None:
            if not self.choices or (self.low, self.high, self.log) != (None, None, False):
                raise ValueError("needs either low and high, or a list of choices that is not empty")
        elif self.low is None or self.high is None:
            raise ValueError("needs either low and high, or a list of choices")
        elif not self.low < self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        elif self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} must be above 0 on a logarithmic scale")
        return self


class TuningConfig(StrictModel):
    """How `vitrina tune` searches; every choice is made on the validation split."""

    space: dict[str, Dimension] = Field({}, description="dotted path of each value that varies, and between what")
    metric: str = Field("validation/loss", pattern="^validation/.+", description="what the trainer logs after each epoch")
    direction: Literal["minimize", "maximize"] = Field("minimize", description="which way `metric` gets better")
    trials: PositiveInt = Field(20, description="trials of the study in all, over all workers that share it")
    epochs: PositiveInt = Field(2, description="passes over the training rows a trial")
    rows: PositiveInt | None = Field(None, description="training rows of a trial, drawn at random; all of them without it")
    timeout_minutes: PositiveFloat | None = Field(None, description="a worker begins no trial after this much wall time")
    startup_trials: PositiveInt = Field(5, description="trials drawn at random and never pruned, before the study learns")
    pruner: Literal["median", "hyperband", "none"] = Field("median", description="what ends trials that do badly early")
    heartbeat_seconds: PositiveInt = Field(60, description="a worker silent for twice as long counts as killed")
    retries: int = Field(1, ge=0, description="how often a trial whose worker was killed is run again")
    seed: int = Field(17, ge=0, description="seeds the draws of each trial and of its rows")

    @field_validator("space", mode="before")
    @classmethod
    def _dotted(cls, space: Any) -> Any:
        """Sections may be nested, as `--set tuning.space.trainer.learning_rate={...}` makes them."""
        return dict(_flatten(space)) if isinstance(space, dict) else space


def _flatten(space: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in space.items():
        if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


class IndexConfig(StrictModel):
    """How the products of a delivery are laid out so that those like another are found."""

    exact: PositiveInt = Field(
        10_000, description="products up to which every one is compared, with no lists: that takes 1 to 2 ms of a core"
    )
    lists_a_root: PositiveFloat = Field(
        2.0, description="inverted lists, as a multiple of the square root of the number of products; 4 were built twice as long"
    )
    sample_a_list: PositiveInt = Field(64, description="products a list by which the centres of the lists are found")
    probed: PositiveInt = Field(
        48, description="lists that a search looks through; more where a filter leaves few products of each list"
    )
    ranked_again: PositiveInt = Field(
        8, description="candidates for each place of an answer, compared again exactly: vectors in lists are of 8 bits a number"
    )
    exact_filtered: PositiveInt = Field(
        1000, description="products up to which those that a filter leaves are each compared, without the lists"
    )
    seed: int = Field(17, ge=0, description="seeds the centres of the lists")
    photo_side: int = Field(
        160,
        ge=0,
        le=1024,
        description="pixels of the longer side of the photo that is kept of each product to be shown, as a JPEG of about 4 kB a "
        "product at 160 pixels, in files that are mapped; smaller JPEGs are kept as they are; 0 keeps none",
    )


class ScoringConfig(StrictModel):
    """How a table is answered in bulk; a model's own extends it in `models/<name>/scoring.py`."""

    shard_rows: PositiveInt = Field(
        4096, description="rows of an output file: what a kill costs at most, and whose encoded photos a worker holds at once"
    )
    batch_size: PositiveInt = Field(64, description="rows that the model answers together")


NOT_FITTED = ("validation", "evaluation", "gates", "drift", "tuning", "index")
"""Sections of a `RunConfig` that do not change the trained model."""


class RunConfig(StrictModel):
    """Everything a training run depends on; a model's own config adds `model` and what else it needs."""

    split: SplitConfig = SplitConfig()
    validation: ValidationConfig = ValidationConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    trainer: TrainerConfig = TrainerConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    gates: GateConfig = GateConfig()
    drift: DriftConfig = DriftConfig()
    tuning: TuningConfig = TuningConfig()
    index: IndexConfig = IndexConfig()

    def fitted(self) -> Self:
        """What the trained model depends on: the sections `NOT_FITTED` have their defaults."""
        return self.model_copy(update={name: type(self).model_fields[name].get_default() for name in NOT_FITTED})


class TasksConfig(StrictModel):
    """How large the tasks of few-shot models may grow, and how many a worker holds."""

    max_classes: int = Field(100, ge=2, description="classes of a task at most, all requests together")
    max_examples: PositiveInt = Field(
        100, description="examples a class at most, all requests together; each version stores the features of all again"
    )
    cache_bytes: int = Field(
        256 * 1024 * 1024,
        ge=0,
        description="stored tasks that each worker keeps ready in memory; the largest allowed, of 2048 features each, is 82 MB",
    )


Screen = Literal["sexual", "minors", "violence", "hate", "real_person"]
"""Lists of words that come with the service, by what they are about; `serving.screens` holds them."""
SCREENS: tuple[Screen, ...] = get_args(Screen)


class PromptsConfig(StrictModel):
    """Which prompts of images are refused.

    An entry is words, such as "severed head", which are found whatever their case and between word ends; a `*` at the end of a
    word stands for any ending. An entry between slashes is a regular expression on the text as `serving.prompts` reads it: small
    ASCII letters where a letter has such a twin, single spaces, no signs.
    """

    max_characters: int = Field(
        1000, ge=1, le=10_000, description="characters of a prompt, and of a negative prompt, at most; longer ones get 400"
    )
    screens: tuple[Screen, ...] = Field(
        SCREENS, description="lists that come with the service and are applied; [] leaves the words of `blocked` alone"
    )
    blocked: dict[str, tuple[str, ...]] = Field(
        {}, description="further entries, by the reason that a client is told, such as a shop's own or the names of persons"
    )
    allowed: tuple[str, ...] = Field(
        (), description="entries that are let through although an entry is found in them, such as a name that holds such a word"
    )

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for reason, entries in [*self.blocked.items(), ("allowed", self.allowed)]:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", reason):
                raise ValueError(f"blocked: {reason!r} is no reason; it is small letters, digits and _, such as house_rules")
            for entry in entries:
                _readable_entry(entry)
        return self


def _readable_entry(entry: str) -> None:
    if not any(character.isalnum() for character in entry):
        raise ValueError(f"entry {entry!r} holds no letter or digit, so it would refuse every prompt")
    if len(entry) > 2 and entry[0] == entry[-1] == "/":
        try:
            found = re.compile(entry[1:-1]).search("")
        except re.error as error:
            raise ValueError(f"entry {entry!r} is no regular expression: {error}") from error
        if found:
            raise ValueError(f"entry {entry!r} is found in every text, so it would refuse every prompt")


class ImagesConfig(StrictModel):
    """How images are drawn on request."""

    seconds: PositiveFloat = Field(
        60.0, description="a drawing that takes longer, its waiting included, ends at its next step and gets 504"
    )
    max_waiting: PositiveInt = Field(
        4, description="prompts that wait for their turn in a worker, which draws one at a time; beyond it requests get 503"
    )
    max_candidates: PositiveInt = Field(8, description="images drawn for a prompt at most; a version may offer fewer")
    prompts: PromptsConfig = Field(PromptsConfig(), description="which are refused")


class JobsConfig(StrictModel):
    """Work that clients leave with the service: what they may leave, and how a worker does it."""

    max_items: PositiveInt = Field(1000, description="items a job at most")
    max_waiting: PositiveInt = Field(100, description="jobs that wait or run; beyond it a further one gets 429")
    streams: PositiveInt = Field(100, description="clients that watch jobs at once in a process; beyond it one gets 503")
    heartbeat_seconds: PositiveFloat = Field(
        15.0, description="longest silence on such a connection; proxies close those that are silent for 30 s or more"
    )
    attempts: PositiveInt = Field(
        3,
        description="how often an item is tried before it is given up and named; one over which workers died, after three times"
        " as many, since they may have been killed for other reasons",
    )
    retry_seconds: PositiveFloat = Field(
        0.5, description="wait before an item is tried again, doubled each time: long enough for memory to be freed"
    )
    patience_seconds: PositiveFloat = Field(
        600.0, description="how long a worker waits for a database, disk or registry that is away or full before a job fails"
    )
    idle_seconds: PositiveFloat = Field(600.0, description="a worker that had no job for so long frees the model it holds")
    keep_days: PositiveFloat = Field(7.0, description="after so long a job that has ended is forgotten, with its results")
    poll_seconds: PositiveFloat = Field(0.25, description="how often an idle worker looks for new jobs")
    watch_seconds: PositiveFloat = Field(300.0, description="seconds between two looks of the worker at each champion")


class SearchConfig(StrictModel):
    """How products that are like another are found."""

    max_results: PositiveInt = Field(100, description="products a search answers at most")
    max_products: PositiveInt = Field(
        20_000,
        description="products that clients may put over those of the index; beyond it a put gets 429: each search compares all "
        "of them, and a new version embeds all of them before it answers",
    )
    kept_bytes: PositiveInt = Field(
        32 * 1024 * 1024,
        description="of the answers that a worker keeps until the catalogue changes; one of ten products has 2 kB",
    )


class AccessConfig(StrictModel):
    """Who may ask, and how much."""

    requests_a_minute: PositiveInt = Field(
        120_000,
        description="of one key, or of one address where keys are not asked for; beyond it requests get 429. 2,000 a second is "
        "more than two cores answer, so that it keeps out what runs wild; a key may have a number of its own",
    )
    refusals_a_minute: PositiveInt = Field(
        60, description="requests without a valid key that an address may send; beyond it it gets 429 for a while"
    )
    reread_seconds: PositiveFloat = Field(1.0, description="after so long a process sees a key that was made or revoked")
    keep_seconds: PositiveFloat = Field(
        60.0, description="so long the keys that are known stay good while the database cannot be read; then requests get 503"
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses or networks of reverse proxies whose X-Forwarded-For is believed; nobody's by default"
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ValueError(f"{proxy!r} is no address or network, such as 10.0.0.7 or 10.0.0.0/8") from error
        return proxies


class ResultsConfig(StrictModel):
    """Answers that are kept, so that the same content is not computed twice by one version."""

    max_bytes: int = Field(256 * 1024 * 1024, ge=0, description="of the answers in the database; the longest unused go first")


class PlaygroundConfig(StrictModel):
    """The page where people see what the models do."""

    enabled: bool = Field(False, description="whether it is there, at /playground, behind the same keys as the API (scope read)")
    pages: PositiveInt = Field(64, description="open pages at once; of each the service holds a connection")
    at_once: PositiveInt = Field(8, description="questions of one kind that are answered at the same time")
    waiting: PositiveInt = Field(64, description="questions that wait beyond these; one more is told to come back")
    keep_minutes: PositiveInt = Field(30, description="so long a visitor's photo lies on the disk; at the end none does")


Precision = Literal["fp32", "bf16"]
Launch = Literal["none", "cuda_graphs", "compile"]


class ServingConfig(StrictModel):
    """How the HTTP service runs."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(3000, ge=1, le=65535, description="port to listen on")
    models: tuple[str, ...] = Field(
        ("product",),
        description="models to serve, 503 until each has a champion; where they are not named, `vitrina serve` takes all",
    )
    unpromoted: tuple[str, ...] = Field(
        (), description="of these, models that /readyz does not wait for until they have a champion; `vitrina serve` fills it in"
    )
    poll_seconds: PositiveFloat = Field(2.0, description="how often each worker asks the registry where champion points")
    max_batch_size: PositiveInt = Field(32, description="listings, reviews or queries a forward pass at most")
    max_batch_wait_ms: PositiveFloat = Field(5.0, description="longest wait for company before a batch runs")
    max_queue: PositiveInt = Field(512, description="waiting listings, reviews or queries beyond which requests get 503")
    max_body_bytes: PositiveInt = Field(8 * 1024 * 1024, description="larger request bodies get 413")
    max_items: PositiveInt = Field(64, description="listings, reviews or events a request at most")
    max_image_pixels: PositiveInt = Field(25_000_000, description="larger images are refused before decoding")
    log_queue: PositiveInt = Field(
        10_000, description="predictions waiting to be written; beyond it they are counted and dropped"
    )
    drain_seconds: PositiveFloat = Field(30.0, description="longest wait for requests in flight on a version that was replaced")
    request_seconds: PositiveFloat = Field(
        30.0, description="a body that takes longer to arrive gets 408, an answer that takes longer 504"
    )
    workers: PositiveInt = Field(1, description="processes that answer; each holds its own copy of the models")
    log: Literal["text", "json"] = Field(
        "text",
        description="text: lines for people of what goes wrong; json: the same, and each request, as one JSON object a line",
    )
    upstreams: dict[str, str] = Field(
        {},
        description="models that services of their own hold, and where, such as {product: 'http://10.0.0.7:3000'}: their routes "
        "are passed on, and nothing of them is loaded here",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="what computes; auto is a GPU where there is one")
    precision: Precision = Field("fp32", description="of a model's products; models that offer one alone refuse the other")
    compile: Launch = Field(
        "none",
        description="how a forward pass is launched: kernel by kernel, as CUDA graphs recorded of each size of batches, or as "
        "torch.compile makes it; models that are launched in one way alone refuse the others",
    )
    tasks: TasksConfig = Field(TasksConfig(), description="of few-shot models")
    images: ImagesConfig = Field(ImagesConfig(), description="of the image generator")
    jobs: JobsConfig = Field(JobsConfig(), description="work that clients leave with the service")
    search: SearchConfig = Field(SearchConfig(), description="of products that are like another")
    access: AccessConfig = Field(AccessConfig(), description="keys and rates")
    results: ResultsConfig = Field(ResultsConfig(), description="answers that are kept")
    mlflow_ui: str = Field(
        "",
        description="address at which a browser reaches MLflow's page, such as https://mlflow.example, for links to versions and "
        "reports; empty: the tracking address, where that is one",
    )
    challengers: bool = Field(
        False,
        description="whether requests with the header Vitrina-Alias: challenger are answered by the version that a reviewer may "
        "promote next; it is loaded beside the champion, where a model has one, and takes as much memory again",
    )
    playground: PlaygroundConfig = Field(PlaygroundConfig(), description="the page where people see what the models do")

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        for model, url in self.upstreams.items():
            if not re.fullmatch(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", url):
                raise ValueError(f"upstreams.{model}: {url!r} is no address of a service; it is such as http://10.0.0.7:3000")
        return self

    @field_validator("mlflow_ui")
    @classmethod
    def _page(cls, address: str) -> str:
        if address and not re.fullmatch(r"https?://[^\s/?#]+(?:/[^\s?#]*)?", address):
            raise ValueError(f"{address!r} is no address of a page; it is such as https://mlflow.example")
        return address.rstrip("/")

    @property
    def net_seconds(self) -> float:
        """After so long whoever stands before the application gives up: every limit of its own has answered before."""
        return 4 * max(self.request_seconds, self.images.seconds)
