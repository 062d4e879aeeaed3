"""The README of a weights folder: what the Hub reads from it, and what people read."""

import pytest
from huggingface_hub import ModelCard

from vgzoo import card

CONFIG = {
    "name": "tiny",
    "arch": "r3gan",
    "family": "gan",
    "tasks": ["generate"],
    "dataset": "mnist",
    "clip": {"frames": 16, "height": 64, "width": 64, "channels": 1, "fps": 8},
    "params": 1234567,
    "license": {"code": "MIT", "weights": "CC-BY-4.0", "data": "CC-BY-SA-3.0"},
    "tensors": {"model.safetensors": {"sha256": "0" * 64, "size": 3 * 2**20}},
    "references": ["arXiv:2501.05441", "A book"],
}
METRICS = {
    "protocol": "FVD of 16 frames",
    "n": 2048,
    "seed": 3,
    "values": {"fvd": 12.345678, "speed": 1},
    "floors": {"fvd": 0.5},
}


def test_the_front_matter_is_what_the_hub_reads():
    data = ModelCard(card.render(CONFIG)).data
    assert (data.license, data.library_name) == ("cc-by-4.0", "keras")
    assert {"vgzoo", "video", "gan", "generate"} <= set(data.tags)


@pytest.mark.parametrize("name", ["my own: #1", 'a "quote"', "a\nline"])
def test_any_license_name_keeps_the_front_matter_valid(name):
    config = CONFIG | {"license": CONFIG["license"] | {"weights": name}}
    data = ModelCard(card.render(config)).data
    assert (data.license, data.license_name) == ("other", name)


def test_figures_stand_with_their_protocol_and_floor():
    text = card.render(CONFIG, METRICS, {"steps": 100, "hardware": "2 cores", "wall_s": 60.5})
    assert "Protocol: FVD of 16 frames, N: 2048, seed: 3" in text
    assert "| fvd | 12.346 | 0.5 |" in text
    assert "| Hardware | 2 cores |" in text and "| Wall time (s) | 60.5 |" in text
    assert "[arXiv:2501.05441](https://arxiv.org/abs/2501.05441)" in text
    assert "| Weights | CC-BY-4.0 |" in text


def test_nothing_is_said_that_is_not_known():
    text = card.render(CONFIG)
    assert "Metrics" not in text and "Training" not in text
    assert "Floor" not in card.render(CONFIG, METRICS | {"floors": {}})


def test_the_snippet_loads_this_model():
    assert 'vgzoo.load("tiny")' in card.render(CONFIG)
    assert 'vgzoo.load("hf://a/b@v1")' in card.render(CONFIG, source="hf://a/b@v1")


def test_a_field_can_break_neither_table_nor_page():
    text = card.render(CONFIG | {"dataset": "a | b\n# <script>"})
    assert "| Trained on | a \\| b # &lt;script> |" in text
