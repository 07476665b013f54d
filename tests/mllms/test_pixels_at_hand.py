"""Pictures that are decoded already are not decoded again, and are the same as if they were."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.mllms.engine.conversation import ImageInput, MessageParser
from imagescope_agent.mllms.request import EncodedPixels, ImageRef, Request
from imagescope_agent.retrieval.images import LOSSLESS_PIXELS, LoadedImage, load


@pytest.fixture
def picture(tmp_path: Path) -> LoadedImage:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    return load(tmp_path / "noise.png")


def shown(ref: ImageRef) -> Image.Image:
    """What a local model is shown of it in a request."""
    [image] = MessageParser().parse(Request(text="What is this?", images=(ref,)).messages()).images
    return image.pixels()


def test_pixels_at_hand_are_those_of_decoding(picture: LoadedImage) -> None:
    ref = picture.ref()
    decoded = ImageInput(ref.key, str.__str__(ref.base64)).pixels()
    assert isinstance(ref.base64, EncodedPixels) and shown(ref) is picture.image
    assert decoded is not picture.image
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(shown(ref)))


def test_who_holds_no_pixels_decodes(picture: LoadedImage) -> None:
    expected = np.asarray(picture.image)
    ref = LoadedImage(image=picture.image.copy(), key=picture.key).ref()  # nobody holds this copy
    np.testing.assert_array_equal(np.asarray(shown(ref)), expected)


def test_what_encoding_changes_is_decoded() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3), dtype=np.uint8)
    large = LoadedImage(image=Image.fromarray(noise), key="large")
    assert large.image.width * large.image.height > LOSSLESS_PIXELS
    assert large.ref().pixels is None and shown(large.ref()) is not large.image


def test_copies_and_other_processes_get_the_text(picture: LoadedImage) -> None:
    ref = picture.ref()
    sent = ImageRef(*ref.__reduce__()[1])
    assert sent == ref and sent.pixels is None and sent.base64 == ref.base64
    text = ref.base64
    assert isinstance(text, EncodedPixels) and copy.deepcopy(text) is text
    kind, parts = text.__reduce__()
    assert kind is str and type(parts[0]) is str
    assert json.loads(json.dumps(text)) == parts[0] == sent.base64
