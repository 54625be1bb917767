"""Tiny models learn a dictionary of seven words there and back; what comes back are synonyms."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from bundles import tiny_catalogue, tiny_config

from catalog.catalogue import Catalogue
from configs.errors import VitrinaError
from configs.schema import AugmentationConfig, BackTranslationConfig
from models.pretrained import back_translation
from models.pretrained.back_translation import FILE, PIECE_WORDS, back_translate
from models.product.family import FAMILY

AWAY = {"red": "rot", "shirt": "hemd", "nice": "nett", "shoes": "schuhe", "for": "für", "men": "herren", ".": "."}
HOME = {"rot": "crimson", "hemd": "top", "nett": "pleasant", "schuhe": "footwear", "für": "for", "herren": "gents", ".": "."}


SPECIAL = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}


def save_tokenizer(folder: Path, words: set[str]) -> int:
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {token: i for i, token in enumerate(["<pad>", "</s>", "<unk>", *sorted(words)])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **names).save_pretrained(folder)
    return len(vocabulary)


def teach(model: Any, folder: Path, dictionary: dict[str, str], longest: int = 2) -> None:
    """Word by word translation of up to `longest` words, learnt in a second."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    codes = {word: tokenizer.convert_tokens_to_ids(word) for word in [*dictionary, *dictionary.values()]}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(3)
    words = list(dictionary)
    for step in range(150):
        length = step % longest + 1
        drawn = torch.randint(len(words), (64, length), generator=generator).tolist()
        source = torch.tensor([[codes[words[i]] for i in row] + [1] for row in drawn])
        target = torch.tensor([[codes[dictionary[words[i]]] for i in row] + [1] for row in drawn])
        loss = model(input_ids=source, labels=target).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.1
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Marian models that translate away and back."""
    from transformers import MarianConfig, MarianMTModel

    there, back = tmp_path_factory.mktemp("there"), tmp_path_factory.mktemp("back")
    sizes = {f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in (("layers", 1), ("ffn_dim", 48))}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "dropout": 0.0, "max_position_embeddings": 64}
    for folder, dictionary in ((there, AWAY), (back, HOME)):
        torch.manual_seed(0)
        size = save_tokenizer(folder, {*dictionary, *dictionary.values()})
        marian = MarianConfig(vocab_size=size, d_model=32, init_std=0.1, forced_eos_token_id=1, **sizes, **heads, **SPECIAL)
        teach(MarianMTModel(marian), folder, dictionary)
    return there, back


@pytest.fixture
def config(pair: tuple[Path, Path]) -> BackTranslationConfig:
    return BackTranslationConfig(forward=str(pair[0]), backward=str(pair[1]), max_new_tokens=12, batch_size=2)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each call of `generate`."""
    from transformers import MarianMTModel

    rows: list[int] = []
    original = MarianMTModel.generate

    def counted(self: Any, **options: Any) -> Any:
        rows.append(len(options["input_ids"]))
        return original(self, **options)

    monkeypatch.setattr(MarianMTModel, "generate", counted)
    return rows


def test_texts_come_back_in_other_words(config: BackTranslationConfig, tmp_path: Path) -> None:
    texts = ["red shirt", "nice shoes", "", "for  men", "red shirt"]
    found = ["crimson top", "pleasant footwear", "", "for gents", "crimson top"]
    assert back_translate(texts, config, tmp_path) == found
    assert back_translate([], config, tmp_path) == []


@pytest.mark.slow
def test_models_of_another_kind_do_as_well(config: BackTranslationConfig, tmp_path: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    folder = tmp_path / "t5"
    size = save_tokenizer(folder, {*HOME, *HOME.values()})
    t5 = T5Config(vocab_size=size, d_model=32, d_kv=16, d_ff=48, num_layers=1, num_heads=2, dropout_rate=0.0, **SPECIAL)
    teach(T5ForConditionalGeneration(t5), folder, HOME, longest=1)
    found = back_translate(["shirt", "men"], config.model_copy(update={"backward": str(folder)}), tmp_path / "cache")
    assert found == ["top", "gents"]


def test_a_second_run_translates_nothing(config: BackTranslationConfig, tmp_path: Path, calls: list[int]) -> None:
    first = back_translate(["red shirt", "nice shoes", "red shirt", "men"], config, tmp_path)
    assert calls == [2, 1, 2, 1]  # three texts in batches of two, there and back
    assert back_translate(["nice shoes", "red shirt", "red shirt", "men"], config, tmp_path) == [first[1], first[0], *first[2:]]
    assert calls == [2, 1, 2, 1]
    back_translate(["nice shoes", "red shoes"], config, tmp_path)
    assert calls == [2, 1, 2, 1, 1, 1]  # the new text alone


def test_a_second_run_needs_no_model(config: BackTranslationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = back_translate(["red shirt"], config, tmp_path)
    monkeypatch.setattr(back_translation, "_Translator", None)
    assert back_translate(["red shirt"], config, tmp_path) == first


@pytest.mark.parametrize("change", [{"max_new_tokens": 11}, {"beams": 2}, {"forward_prefix": "nice "}, {"share": 0.9}])
def test_what_changes_a_translation_is_translated_again(
    config: BackTranslationConfig, tmp_path: Path, calls: list[int], change: dict[str, Any]
) -> None:
    back_translate(["red shirt"], config, tmp_path)
    back_translate(["red shirt"], config.model_copy(update=change), tmp_path)
    assert len(calls) == (2 if "share" in change else 4)


def test_a_folder_with_other_weights_is_another_model(
    config: BackTranslationConfig, pair: tuple[Path, Path], tmp_path: Path, calls: list[int]
) -> None:
    copy = shutil.copytree(pair[0], tmp_path / "copy")
    moved = config.model_copy(update={"forward": str(copy)})
    back_translate(["red shirt"], moved, tmp_path / "cache")
    (copy / "model.safetensors").touch()
    back_translate(["red shirt"], moved, tmp_path / "cache")
    assert len(calls) == 4


def test_sentences_are_translated_once_and_put_together_again(
    config: BackTranslationConfig, tmp_path: Path, calls: list[int]
) -> None:
    found = back_translate(["nice. red shoes", "red  shoes"], config, tmp_path)
    assert found[0].replace(" .", ".") == "pleasant. crimson footwear"
    assert found[1] == "crimson footwear"
    assert calls == [2, 2]


def test_a_translation_without_an_end_leaves_the_sentence_as_it_is(config: BackTranslationConfig, tmp_path: Path) -> None:
    short = config.model_copy(update={"max_new_tokens": 3})
    assert back_translate(["nice", "red shirt"], short, tmp_path) == ["pleasant", "red shirt"]


def test_long_texts_lose_nothing(config: BackTranslationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Echo:
        def __init__(self, *_: Any) -> None:
            pass

        def translate(self, texts: list[str]) -> list[str]:
            seen.extend(texts)
            return texts

    monkeypatch.setattr(back_translation, "_Translator", Echo)
    text = " ".join(f"word{i}" for i in range(3 * PIECE_WORDS - 7))
    assert back_translate([text], config, tmp_path) == [text]
    assert sorted(len(piece.split()) for piece in seen) == [PIECE_WORDS - 7] * 2 + [PIECE_WORDS] * 4


def test_what_is_translated_survives_a_crash(
    config: BackTranslationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(back_translation, "_PIECES_A_COMMIT", 1)
    original = back_translation._Translator.translate

    def breaks(self: Any, texts: list[str]) -> list[str]:
        if "shirt" in " ".join(texts):
            raise KeyboardInterrupt
        return original(self, texts)

    monkeypatch.setattr(back_translation._Translator, "translate", breaks)
    with pytest.raises(KeyboardInterrupt):
        back_translate(["men", "red shirt"], config, tmp_path)
    with sqlite3.connect(tmp_path / FILE) as store:
        assert store.execute("SELECT text FROM translations").fetchall() == [("gents",)]


def test_a_missing_model_is_one_line(config: BackTranslationConfig, tmp_path: Path) -> None:
    absent = config.model_copy(update={"forward": str(tmp_path / "nowhere")})
    with pytest.raises(VitrinaError, match=r"there is no folder .*nowhere; allowed: a folder of a seq2seq model") as error:
        back_translate(["red shirt"], absent, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_folder_without_a_file_is_one_line(
    config: BackTranslationConfig, pair: tuple[Path, Path], tmp_path: Path, file: str
) -> None:
    broken = shutil.copytree(pair[1], tmp_path / "broken")
    (broken / file).unlink()
    with pytest.raises(VitrinaError, match=r"cannot read a seq2seq model with its tokenizer from .*broken: ") as error:
        back_translate(["red shirt"], config.model_copy(update={"backward": str(broken)}), tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_pickled_weights_are_refused(config: BackTranslationConfig, pair: tuple[Path, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    pickled = shutil.copytree(pair[1], tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(VitrinaError, match=r"pickled: .*safetensors"):
        back_translate(["red shirt"], config.model_copy(update={"backward": str(pickled)}), tmp_path / "cache")


def test_weights_that_lack_a_part_are_refused(config: BackTranslationConfig, pair: tuple[Path, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(pair[1], tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    lacking = next(name for name in sorted(weights) if "self_attn.q_proj" in name)
    weights.pop(lacking)
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(VitrinaError, match=rf"broken lack {lacking}"):
        back_translate(["red shirt"], config.model_copy(update={"backward": str(broken)}), tmp_path / "cache")


def test_a_damaged_store_is_one_line(config: BackTranslationConfig, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("no database " * 100)
    with pytest.raises(VitrinaError, match=r"cannot keep translations in .*back_translation\.sqlite: "):
        back_translate(["red shirt"], config, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(VitrinaError, match="cannot keep translations in"):
        back_translate(["red shirt"], config, tmp_path / "file")


@pytest.mark.parametrize("ids", ["int64", "str"])
def test_a_share_of_the_training_rows_is_reworded(
    config: BackTranslationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: str
) -> None:
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path / "home"))
    root = tiny_catalogue(tmp_path / "catalogue", products=60, images=False, reviews=0)
    products = pd.read_parquet(root / "products.parquet").astype({"product_id": ids})
    products = products.assign(title="red shirt", description="<p>nice&nbsp;<b>shoes</b></p>")
    products.loc[::3, "description"] = None
    products.to_parquet(root / "products.parquet", index=False)
    catalogue = Catalogue.open(root)
    run = tiny_config().model_copy(
        update={
            "augmentation": AugmentationConfig(
                back_translation=config.model_copy(update={"share": 0.5}),
                min_class_rows=14,
                word_dropout=0.0,
                word_swap=0.0,
                typo=0.0,
                attribute_dropout=0.0,
            )
        }
    )
    split = FAMILY.split(catalogue, run)
    copies = FAMILY.augment(catalogue, split, run)
    training = products[products["product_id"].isin(split.loc[split["split"] == "train", "product_id"])]
    reworded = copies[copies["title"] == "crimson top"]
    assert len(reworded) == round(0.5 * len(training))
    lacking = 14 - training["article_type"].value_counts()
    assert len(copies) - len(reworded) == lacking.clip(lower=0).sum() > 0
    assert reworded["source_product_id"].is_unique
    sources = training.set_index("product_id").loc[reworded["source_product_id"]]
    told = ["pleasant footwear" if text else None for text in sources["description"].notna()]
    assert reworded["description"].where(reworded["description"].notna(), None).tolist() == told
    for column in ("brand", "price", "article_type", "attributes"):
        assert reworded[column].tolist() == sources[column].tolist()
    assert pd.concat([products["product_id"], copies["product_id"]]).is_unique
    assert copies["product_id"].dtype == products["product_id"].dtype
    assert (tmp_path / "home" / "translations" / FILE).is_file()
    monkeypatch.setattr(back_translation, "_Translator", None)  # kept from the first time
    pd.testing.assert_frame_equal(copies, FAMILY.augment(catalogue, split, run))
