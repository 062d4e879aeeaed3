"""The r3gan networks in PyTorch, as one would write them there, and weights from Keras for them."""

import functools

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

leaky = functools.partial(F.leaky_relu, negative_slope=0.2)


class TimeConv(nn.Module):
    def __init__(self, filters):
        super().__init__()
        self.conv = nn.Conv2d(filters, filters, (3, 1), padding=(1, 0))

    def forward(self, x, frames):  # (B·T, C, H, W), all views since x is channels_last
        height, width = x.shape[2:]
        x = x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(3)  # (B, C, T, H·W)
        return self.conv(x).unflatten(3, (height, width)).transpose(1, 2).flatten(0, 1)


class Block(nn.Module):
    def __init__(self, filters, time, style=None):
        super().__init__()
        self.space = nn.Conv2d(filters, filters, 3, padding=1)
        self.time = TimeConv(filters) if time else None
        self.style = nn.Linear(style, filters) if style else None
        self.out = nn.Conv2d(filters, filters, 3, padding=1)

    def forward(self, x, frames, style=None):
        h = self.space(leaky(x))
        if self.style is not None:
            scale = 1 + self.style(style)[:, None, :, None, None]
            h = (h.unflatten(0, (-1, frames)) * scale).flatten(0, 1)
        if self.time is not None:
            h = h + self.time(leaky(h), frames)
        return x + self.out(leaky(h))


class Waves(nn.Module):
    def __init__(self, motion, count):
        super().__init__()
        self.hidden = nn.Linear(motion, 2 * count)
        self.wave = nn.Linear(2 * count, 3 * count)
        self.still = nn.Linear(2 * count, count)
        periods = torch.tensor(np.geomspace(64, 4, count), dtype=torch.float32)
        self.register_buffer("places", 2 * torch.pi / periods, persistent=False)
        self.register_buffer("height", periods / 16, persistent=False)

    def forward(self, motion, frames):
        h = leaky(self.hidden(motion))
        amplitude, frequency, phase = self.wave(h).float()[:, None].chunk(3, dim=-1)
        time = torch.arange(frames, dtype=torch.float32)[:, None] - (frames - 1) / 2
        angle = self.places * 2 ** frequency.tanh() * time + torch.pi * phase
        still = self.still(h)[:, None].expand(-1, frames, -1)
        waves = self.height * (1 + amplitude) * triangle(angle)
        return torch.cat([waves.to(still.dtype), still], dim=-1)


def triangle(angle):
    turn = angle / (2 * torch.pi) - 0.25
    return 4 * (turn - turn.floor() - 0.5).abs() - 1


class Trajectory(nn.Module):
    def __init__(self, motion, waves):
        super().__init__()
        self.waves = Waves(motion, waves)
        self.hidden_0 = nn.Linear(motion, 128)
        self.hidden_1 = nn.Linear(128, 128)
        self.start = nn.Linear(128, 2)
        self.heading = nn.Linear(128, 2)
        self.speed = nn.Linear(128, 1)
        self.bend = nn.Linear(2 * waves, 3)
        self.reach = nn.Parameter(torch.empty(2))

    def forward(self, motion, frames):
        h = leaky(self.hidden_1(leaky(self.hidden_0(motion))))
        heading = self.heading(h).float()
        heading = heading * (heading.square().sum(-1, keepdim=True) + 1e-6).rsqrt()
        time = torch.arange(frames, dtype=torch.float32)[:, None] - (frames - 1) / 2
        bend = self.bend(leaky(self.waves(motion, frames))).float()
        moved = (self.speed(h).float() * heading)[:, None] * time
        centre = self.start(h).float()[:, None] + moved + bend[..., :2]
        centre = self.reach * triangle(torch.pi / 2 * centre / self.reach)
        return torch.cat([centre, bend[..., 2:].tanh()], dim=-1)


def place(sprite, path, height, width):
    """As anyone would: an affine grid and a bilinear sample for each frame."""
    frames = path.shape[1]
    y, x, scale = path[..., 0], path[..., 1], 2 ** path[..., 2]
    rows, columns = sprite.shape[2:]
    theta = path.new_zeros(*path.shape[:2], 2, 3)
    theta[..., 0, 0] = width / columns / scale
    theta[..., 1, 1] = height / rows / scale
    theta[..., 0, 2] = -x * width / columns / scale
    theta[..., 1, 2] = -y * height / rows / scale
    grid = F.affine_grid(
        theta.flatten(0, 1), (len(path) * frames, 1, height, width), align_corners=False
    )
    sprite = sprite.float().repeat_interleave(frames, dim=0)
    return F.grid_sample(sprite, grid, padding_mode="zeros", align_corners=False)


class Generator(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths, channels, features = config["widths"], config["channels"], config["features"]
        self.config = config
        self.mapping_0 = nn.Linear(config["content"], 128)
        self.mapping_1 = nn.Linear(128, 128)
        self.code = nn.Linear(128, widths[0])
        self.trajectory = Trajectory(config["motion"], config["waves"])
        self.base = nn.Parameter(torch.empty(widths[0], 4, 4))
        for i, width in enumerate(widths):
            side = 4 * 2**i
            self.add_module(f"block_{side}", Block(width, time=False, style=128))
            if i + 1 < len(widths):
                self.add_module(f"to_{2 * side}", nn.Conv2d(width, widths[i + 1], 1))
        self.sprite = nn.Conv2d(widths[-1], features, 3, padding=1)
        self.pixels = nn.Conv2d(features, channels, 3, padding=1)
        self.scene = Block(4 * features, time=True)
        self.detail = nn.Conv2d(4 * features, 4 * channels, 3, padding=1)

    def forward(self, latents):
        config = self.config
        frames, objects = config["frames"], config["objects"]
        content, motion = latents.reshape(-1, config["content"] + config["motion"]).split(
            [config["content"], config["motion"]], dim=1
        )
        style = content * (content.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
        style = leaky(self.mapping_1(leaky(self.mapping_0(style))))
        code = self.code(style)
        x = self.base.to(code.dtype) * code[:, :, None, None]
        x = x.contiguous(memory_format=torch.channels_last)
        for i in range(len(config["widths"])):
            side = 4 * 2**i
            x = getattr(self, f"block_{side}")(x, 1, style)
            if hasattr(self, f"to_{2 * side}"):
                x = getattr(self, f"to_{2 * side}")(x)
            x = F.avg_pool2d(F.interpolate(x, scale_factor=2), 3, 1, padding=1)
        path = self.trajectory(motion, frames)
        x = place(self.sprite(leaky(x)), path, config["height"], config["width"])
        x = x.unflatten(0, (-1, objects, frames)).unbind(1)
        x = functools.reduce(torch.maximum, x).flatten(0, 1)
        x = x.contiguous(memory_format=torch.channels_last)
        h = self.scene(F.pixel_unshuffle(x, 2), frames)
        x = self.pixels(leaky(x)) + F.pixel_shuffle(self.detail(leaky(h)), 2)
        return x.unflatten(0, (-1, frames))  # (B, T, C, H, W)


class Discriminator(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths = config["discriminator_widths"]
        self.sides = [4 * 2**i for i in reversed(range(len(widths) - 1))]
        self.pixels = nn.Conv2d(4 * config["channels"], widths[-1], 3, padding=1)
        for i, side in enumerate(self.sides):
            width = widths[-2 - i]
            self.add_module(f"to_{side}", nn.Conv2d(widths[-1 - i], width, 1))
            self.add_module(f"block_{side}", Block(width, time=side <= 16))
        self.features = nn.Linear(16 * widths[0], 128)
        self.time = nn.Conv1d(128, 128, 4, stride=2)
        self.frame_score = nn.Linear(128, 1, bias=False)
        self.clip_score = nn.Linear(128, 1, bias=False)

    def forward(self, clip):  # (B, T, C, H, W)
        batch, frames = clip.shape[:2]
        x = F.pixel_unshuffle(clip.flatten(0, 1), 2)
        x = self.pixels(x.contiguous(memory_format=torch.channels_last))
        for side in self.sides:
            x = F.avg_pool2d(getattr(self, f"to_{side}")(leaky(x)), 2)
            x = getattr(self, f"block_{side}")(x, frames)
        x = leaky(x).permute(0, 2, 3, 1).reshape(batch, frames, -1)
        x = leaky(self.features(x))
        per_frame = self.frame_score(x)[..., 0]
        missing = 2 + frames % 2  # Keras' "same": the odd one at the end
        moving = leaky(self.time(F.pad(x.transpose(1, 2), (1, missing - 1))))
        return torch.cat([self.clip_score(moving.mean(-1)), per_frame], dim=1).float()


# Which dimensions of a layer's weights hold blocks of pixels: 0 is what comes out, 1 what goes in.
BLOCKED = {
    "discriminator/pixels": (1,),
    "generator/scene/space": (1,),
    "generator/scene/out": (0,),
    "generator/detail": (0, 1),
}


def copy_weights(net, weights, prefix):
    """Fills `net` from `{Keras path: array}`; every name and shape on both sides must match."""
    wanted = {}
    for name, parameter in net.named_parameters():
        path = f"{prefix}/{name.replace('.', '/')}"
        wanted[path.replace("/weight", "/kernel")] = parameter
    given = {path for path in weights if path.startswith(f"{prefix}/")}
    if wanted.keys() != given:
        raise SystemExit(f"weights that only one side has: {sorted(wanted.keys() ^ given)}")
    with torch.no_grad():
        for path, parameter in wanted.items():
            value = torch.from_numpy(weights[path])
            if path == "generator/trajectory/reach":
                pass
            elif path == "generator/base":
                value = value.permute(2, 0, 1)
            else:  # kernels: (..., in, out) → (out, in, ...)
                value = value.permute(*reversed(range(value.ndim)[-2:]), *range(value.ndim - 2))
            # Keras' blocks of 2×2 pixels are channels (y, x, C), PyTorch's are (C, y, x).
            for dimension in BLOCKED.get(path.rpartition("/")[0], ()):
                if dimension < value.ndim:
                    value = value.unflatten(dimension, (4, -1)).transpose(dimension, dimension + 1)
                    value = value.flatten(dimension, dimension + 1)
            if value.shape != parameter.shape:
                raise SystemExit(f"{path} is {tuple(value.shape)}, not {tuple(parameter.shape)}")
            parameter.copy_(value)
