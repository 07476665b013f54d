"""open_clip models as embedders: local folders, hubs, and the names that open_clip lists.

A local model is a folder in the format that open_clip 3.3 reads through its `local-dir:` schema:

    open_clip_config.json        {"model_cfg": {"embed_dim", "vision_cfg": {...}, "text_cfg": {...}},
                                  "preprocess_cfg": {"size", "mean", "std", "interpolation", "resize_mode"}}
    open_clip_model.safetensors  `model.state_dict()`; float16 weights are allowed, computing is in float32
    tokenizer.json               optional, Hugging Face `tokenizers` format

When the vocabulary of tokenizer.json holds <|pad|>, <|start|> and <|end|> it is used: a text becomes
<|start|>, its tokens, <|end|>, cut to `text_cfg.context_length` and filled up with <|pad|>. <|end|> must be
the largest id, since open_clip's text tower pools there, and every id below `text_cfg.vocab_size`; lower
casing and the like belong to the tokenizer's normaliser, and it adds no special tokens itself. Without these
tokens, or without the file, open_clip chooses the tokenizer (`text_cfg.hf_tokenizer_name`, else CLIP's own).
A Hugging Face text tower whose `text_cfg.hf_model_name` is "." is described by the folder's config.json.

Only safetensors are ever read, and no code that a folder brings or names is ever run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imagescope_agent.common.model_loading import LOADING
from imagescope_agent.errors import BackendUnavailable, BadInput, shorten
from imagescope_agent.retrieval.embedders.open_clip_folder import (
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    checkpoint_hash,
    damaged,
    is_own,
    needs_timm,
    needs_transformers,
    read_config,
)
from imagescope_agent.retrieval.embedders.open_clip_import import import_open_clip
from imagescope_agent.retrieval.embedders.open_clip_tokens import image_tokens, text_tokens
from imagescope_agent.retrieval.embedders.tokens import Tokens
from imagescope_agent.retrieval.vectors import Vectors, unit_rows

BATCH = 32
SMALL_BATCH = (
    4  # of timm's image towers on a CPU: what passes between layers then stays in the processor's cache
)
FEW = 4  # texts of a query: its own words and three descriptions
WIDEST = 64  # sides of a picture, longer to shorter, that is embedded whole


def open_model(place: str, *, device: str | None = None) -> OpenClipEmbedder:
    """A local folder, or open_clip's `NAME/PRETRAINED`; raises as `open_embedder`."""
    folder = Path(place) if Path(place).is_dir() else _from_hub(_published(place), None)
    return OpenClipEmbedder(folder, device=device)


def open_from_hub(place: str, *, device: str | None = None) -> OpenClipEmbedder:
    """`OWNER/REPO[@REVISION]`; raises as `open_embedder`."""
    repo, _, revision = place.partition("@")
    return OpenClipEmbedder(_from_hub(repo, revision or None), device=device)


class OpenClipEmbedder:
    """An open_clip model from a local folder (format: top of this file), computing in float32.

    Raises:
        BadInput: a file is missing or damaged, or the tokenizer does not fit the model.
    """

    def __init__(self, folder: Path, *, device: str | None = None, batch: int | None = None) -> None:
        import torch

        config = read_config(folder)
        open_clip = import_open_clip(transformers=needs_transformers(config), timm=needs_timm(config))
        self.weights = checkpoint_hash(folder)
        self._torch = torch
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        small = needs_timm(config) and self._device == "cpu"
        self._batch = batch or (SMALL_BATCH if small else BATCH)
        try:
            with LOADING:
                self.model, _, self._preprocess = open_clip.create_model_and_transforms(
                    f"local-dir:{folder}",
                    precision="fp32",
                    device=self._device,
                    pretrained_text=False,
                    **_own_tower(folder, config["text_cfg"]),
                )
                self._tokenize = _tokenizer(folder, config["text_cfg"])
        except BadInput:
            raise
        except Exception as error:  # open_clip passes on whatever reading a damaged file raises
            raise damaged(folder, f"{type(error).__name__}: {shorten(str(error))}") from error
        self.model.eval()
        self.dimension = int(config["embed_dim"])

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """RGB pictures -> (n, d) float32, unit length.

        Raises:
            BackendUnavailable: the model gave something that is not a number.
        """
        rows = [
            self._unit(self.model.encode_image, [self._preprocess(middle(image)) for image in chunk])
            for chunk in _chunks(images, self._batch)
        ]
        return np.concatenate(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Texts -> (n, d) float32, unit length; what exceeds the model's context is cut off.

        Raises:
            BackendUnavailable: the model gave something that is not a number.
        """
        with self._few_threads(len(texts)):
            rows = [
                self._unit(self.model.encode_text, list(self._tokenize(list(chunk))))
                for chunk in _chunks(texts, self._batch)
            ]
        return np.concatenate(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def image_tokens(self, images: Sequence[Image.Image]) -> Tokens:
        """RGB pictures with the states of their patches."""
        pixels = self._torch.stack([self._preprocess(middle(image)) for image in images])
        with self._torch.no_grad():
            return image_tokens(self.model, pixels.to(self._device))

    def text_tokens(self, texts: Sequence[str]) -> Tokens:
        """Texts with the states of their tokens."""
        with self._few_threads(len(texts)), self._torch.no_grad():
            return self.read_ids(self.text_ids(texts))

    def text_ids(self, texts: Sequence[str]) -> Any:
        """Texts -> (n, context) token ids."""
        return self._tokenize(list(texts))

    def read_ids(self, ids: Any) -> Tokens:
        """Token ids, as `text_ids` gives them, with the states of their tokens."""
        return text_tokens(self.model, ids.to(self._device), int(self._tokenize([""])[0, -1]))

    def with_own_text(self) -> OpenClipEmbedder:
        """The same embedder with a copy of the text tower that may be changed; the image tower is shared."""
        other = copy(self)
        other.model = deepcopy(self.model, {id(self.model.visual): self.model.visual})
        return other

    @contextmanager
    def _few_threads(self, count: int) -> Iterator[None]:
        """One thread for a few texts: others would wait longer, at the cost of a core, than they work.

        The number of threads belongs to the calling thread; only what starts in this moment takes it over.
        """
        before = self._torch.get_num_threads()
        if count > FEW or before == 1:
            yield
            return
        self._torch.set_num_threads(1)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)

    def _unit(self, encode: Callable[..., Any], inputs: list[Any]) -> Vectors:
        with self._torch.inference_mode():
            return unit_rows(encode(self._torch.stack(inputs).to(self._device)).float().cpu().numpy())


class FolderTokenizer:
    """The folder's own tokenizer.json as open_clip wants it: texts -> (n, context_length) int64 tensor."""

    def __init__(self, folder: Path, context_length: int, vocab_size: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.encode_special_tokens = True  # "<|end|>" typed by a user is plain text
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        self._length = context_length
        self.usable = vocabulary.keys() >= {"<|pad|>", "<|start|>", "<|end|>"}
        if self.usable:
            self._pad, self._start = vocabulary["<|pad|>"], vocabulary["<|start|>"]
            self._end = vocabulary["<|end|>"]
            if self._end != max(vocabulary.values()) or self._end >= vocab_size:
                raise damaged(folder, "<|end|> must be the tokenizer's largest id and below vocab_size")

    def __call__(self, texts: Sequence[str]) -> Any:
        """Texts -> (n, context_length) token ids."""
        import torch

        rows = torch.full((len(texts), self._length), self._pad, dtype=torch.long)
        for row, text in zip(rows, texts, strict=True):
            inner = self._tokenizer.encode(text, add_special_tokens=False).ids[: self._length - 2]
            ids = [self._start, *inner, self._end]
            row[: len(ids)] = torch.tensor(ids)
        return rows


def middle(image: Image.Image) -> Image.Image:
    """The picture, of one that is extremely long its middle: preprocessing that scales the shorter side to the model's
    size and then cuts out the middle would make hundreds of megabytes of the rest.
    """
    long = WIDEST * min(image.size)
    if max(image.size) <= long:
        return image
    left, top = (max(0, (side - long) // 2) for side in image.size)
    return image.crop((left, top, image.width - left, image.height - top))


def _own_tower(folder: Path, text_cfg: dict[str, Any]) -> dict[str, Any]:
    """The override of a text tower's place, which open_clip would look for in the working directory."""
    if not is_own(text_cfg.get("hf_model_name")):
        return {}
    return {"text_cfg": {**text_cfg, "hf_model_name": str(folder), "hf_model_pretrained": False}}


def _tokenizer(folder: Path, text_cfg: dict[str, Any]) -> Callable[[list[str]], Any]:
    if (folder / TOKENIZER).is_file():
        length, size = text_cfg.get("context_length", 77), text_cfg.get("vocab_size", 49408)
        own = FolderTokenizer(folder, length, size)
        if own.usable:
            return own
    import open_clip

    # without a word of ours transformers would ask the terminal whether to run the folder's code
    options = {"trust_remote_code": False} if text_cfg.get("hf_tokenizer_name") else {}
    tokenizer: Callable[[list[str]], Any] = open_clip.get_tokenizer(f"local-dir:{folder}", **options)
    return tokenizer


def _published(text: str) -> str:
    """The hub repository behind open_clip's NAME/PRETRAINED."""
    import open_clip

    name, _, tag = text.partition("/")
    known = open_clip.get_pretrained_cfg(name, tag) if tag else {}
    repo = str(known.get("hf_hub", "")).rstrip("/")
    if not repo:
        raise BadInput(
            f"there is no embedding model {text!r}; give a folder with {CONFIG} and {WEIGHTS}, "
            "hf-hub:OWNER/REPO, or a NAME/PRETRAINED that open_clip lists"
        )
    return repo


def _from_hub(repo: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    data = [f"{name}*.{ending}" for name in ("tokenizer", "vocab") for ending in ("json", "txt", "model")]
    wanted = [CONFIG, WEIGHTS, *data, "special_tokens_map.json", "merges.txt", "*.model"]
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
    except HFValidationError as error:
        raise BadInput(f"{repo!r} is no name of a model on a hub; write hf-hub:OWNER/REPO") from error
    except OSError as error:  # every failure of the hub client but a malformed name
        raise BackendUnavailable(
            f"the weights of {repo!r} are not on this machine and no hub gives them; "
            "download them where there is a hub, or use the profile 'mini'"
        ) from error


def _chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
