"""vgzoo's r3gan beside the same networks in PyTorch: frames/s and training clips/s in one run.

The PyTorch side is written as one would write it there: channels_last, `inference_mode`, autocast
for bfloat16, a fused Adam, two backward passes with the discriminator frozen in the second. Its
networks take config and weights from the Keras model; before anything is timed, clips, scores and
the loss of a training step are compared. Each side runs in a process of its own, because their
thread pools would fight in one, and they take turns, so that a busy machine is busy for both.
"""

import argparse
import contextlib
import functools
import json
import multiprocessing
import os
import statistics
import time

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


class PyTorch:
    """One side of the comparison; the other has the same methods."""

    def __init__(self, threads, compiled):
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)  # as TensorFlow does
        self.compiled = compiled

    def prepare(self, policy, config, weights):
        self.config, self.policy = config, policy
        self.nets = nn.ModuleDict(
            {"generator": Generator(config), "discriminator": Discriminator(config)}
        )
        for name, net in self.nets.items():
            copy_weights(net, weights, name)
        self.nets.to(memory_format=torch.channels_last)
        self.generator, self.discriminator = self.nets.values()
        if self.compiled:  # the penalty's second derivative stays eager: compile has none
            self.generator = torch.compile(self.generator)
            self.discriminator = torch.compile(self.discriminator)
        self.optimizer = torch.optim.Adam(
            self.nets.parameters(), 2e-4, betas=(0.0, 0.99), eps=1e-7, fused=True
        )
        self.average = [p.detach().clone() for p in self.nets.parameters()]

    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16, enabled=self.policy != "float32")

    def outputs(self, noise, clip):
        with torch.inference_mode(), self.autocast():
            made = self.generator(torch.from_numpy(noise)).float()
            scores = self.discriminator(made)
        loss = self.backward(torch.from_numpy(clip), torch.from_numpy(noise))
        return made.movedim(2, -1).numpy(), scores.numpy(), float(loss)

    def generate(self, batch):
        with torch.inference_mode(), self.autocast():
            made = self.generator(torch.randn(batch, noise_length(self.config))).float()
            ((made + 1) * 127.5).round().clamp(0, 255).byte().movedim(2, -1).numpy()

    def train(self, clip):
        noise = torch.randn(len(clip), noise_length(self.config))
        loss = self.backward(torch.from_numpy(clip), noise)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.nets.parameters()), 0.001)
        return float(loss)

    def backward(self, clip, noise):
        self.optimizer.zero_grad()
        real = clip.movedim(-1, 2).float() / 127.5 - 1
        judge = self.nets["discriminator"]
        with self.autocast():
            fake = self.generator(noise)
            fixed = fake.detach()
            real_scores, fake_scores = self.discriminator(torch.cat([real, fixed])).chunk(2)
            stride = self.config["penalty_stride"]
            penalty = sum(self.penalty(judge, c[::stride]) for c in (real, fixed))
            d_loss = pairing(fake_scores - real_scores) + 0.5 * self.config["gamma"] * penalty
        d_loss.backward()
        judge.requires_grad_(False)
        with self.autocast():
            g_loss = pairing(real_scores.detach() - self.discriminator(fake))
        g_loss.backward()
        judge.requires_grad_(True)
        return (d_loss + g_loss).detach()

    def penalty(self, judge, clip):
        clip = clip.float().requires_grad_(True)
        scores = judge(clip)
        total = scores[:, 0].sum() + scores[:, 1:].mean(1).sum()
        (gradient,) = torch.autograd.grad(total, clip, create_graph=True)
        return gradient.square().sum((1, 2, 3, 4)).mean()


class Vgzoo:
    """The other side. TensorFlow is imported in its own process only."""

    def __init__(self, threads, compiled):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)

    def source(self, name, kwargs):
        """Config and weights; none stays at the zero it began with, and gamma stands still."""
        from vgzoo import hub, models

        model = hub.load(name) if name else models.build("r3gan", **kwargs)
        model.compile()
        weights = {v.path: v.numpy() for group in model.tensor_groups().values() for v in group}
        rng = np.random.default_rng(0)
        for path, value in weights.items():
            if not value.any():
                weights[path] = rng.normal(0, 0.05, value.shape).astype("float32")
        return model.get_config() | {"burn_in": []}, weights

    def prepare(self, policy, config, weights):
        from vgzoo import models

        self.model = models.build("r3gan", dtype=policy, **config)
        for group in self.model.tensor_groups().values():
            for variable in group:
                variable.assign(weights[variable.path])
        self.model.compile()

    def outputs(self, noise, clip):
        model = self.model
        made = model.sample(noise, frames=model.frames, steps=None)
        scores = model.discriminator(made)
        loss = model.compute_loss({"clip": clip})
        return np.asarray(made, "float32"), scores.numpy(), float(loss)

    def first_noise(self, batch):
        """The noise that the first training step draws."""
        from vgzoo import random

        shape = (batch, *self.model.noise_shape(self.model.frames))
        return random.normal(shape, seed=self.model.seed, step=0).numpy()

    def generate(self, batch):
        self.model.generate(batch, batch_size=batch)

    def train(self, clip):
        return self.model.train_on_batch({"clip": clip})


def noise_length(config):
    return config["objects"] * (config["content"] + config["motion"])


def pairing(difference):
    losses = F.softplus(difference)
    return losses[:, 0].mean() + losses[:, 1:].mean()


def serve(connection, kind, *arguments):
    """A side's process: does what it is told, and answers with the seconds and the result."""
    side = kind(*arguments)
    with contextlib.suppress(EOFError):  # the main process has gone
        while message := connection.recv():
            start = time.perf_counter()
            result = getattr(side, message[0])(*message[1:])
            connection.send((time.perf_counter() - start, result))


def compare(tell, policy, options, config, weights):
    """The report of one dtype policy."""
    for side in tell:
        tell[side]("prepare", policy, config, weights)
    shape = (options.train_batch, *(config[k] for k in ("frames", "height", "width", "channels")))
    clip = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    noise = tell["vgzoo"]("first_noise", options.train_batch)[1]
    ours, theirs = (tell[side]("outputs", noise, clip)[1] for side in tell)
    names = ("clip", "scores", "loss")
    difference = {
        name: float(np.max(np.abs(a - b))) for name, a, b in zip(names, ours, theirs, strict=True)
    }
    relative = abs(ours[2] - theirs[2]) / abs(ours[2])
    if policy == "float32" and (difference["clip"] > 1e-3 or relative > 1e-3):
        raise SystemExit(f"the two sides do not compute the same: {difference}")
    report = {"max_abs_difference": difference, "loss": ours[2]}
    tasks = {
        "generate": (("generate", options.batch), options.batch * config["frames"], "frames_per_s"),
        "train": (("train", clip), options.train_batch, "clips_per_s"),
    }
    for task, (message, count, unit) in tasks.items():
        times = {side: [] for side in tell}
        for repeat in range(-2, options.repeats):  # two to warm up
            for side in tell:
                seconds, _ = tell[side](*message)
                if repeat >= 0:
                    times[side].append(seconds)
        rates = {side: count / statistics.median(values) for side, values in times.items()}
        report[task] = {"unit": unit, **rates, "ratio": rates["vgzoo"] / rates["pytorch"]}
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a bundled name or a folder; random weights without it")
    parser.add_argument("--kwargs", type=json.loads, default={"objects": 2}, help="JSON, for those")
    parser.add_argument("--batch", type=int, default=16, help="clips generated at a time")
    parser.add_argument("--train-batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--policies", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--compile", action="store_true", help="torch.compile the PyTorch side")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    tell = {}
    for name, kind in (("vgzoo", Vgzoo), ("pytorch", PyTorch)):
        ours, theirs = context.Pipe()
        arguments = (theirs, kind, options.threads, options.compile)
        context.Process(target=serve, args=arguments, daemon=True).start()
        theirs.close()

        def ask(*message, connection=ours):
            connection.send(message)
            return connection.recv()

        tell[name] = ask
    config, weights = tell["vgzoo"]("source", options.model, options.kwargs)[1]
    reports = {p: compare(tell, p, options, config, weights) for p in options.policies}
    if options.json:
        sizes = {k: getattr(options, k) for k in ("batch", "train_batch", "threads", "compile")}
        print(json.dumps({**sizes, "config": config, "policies": reports}, indent=2))
        return
    for policy, report in reports.items():
        difference = ", ".join(f"{k} {v:.1e}" for k, v in report["max_abs_difference"].items())
        print(f"{policy}: greatest difference in {difference} (loss {report['loss']:.3f})")
        for task in ("generate", "train"):
            row = report[task]
            print(
                f"  {task:8} vgzoo {row['vgzoo']:8.1f}  pytorch {row['pytorch']:8.1f} "
                f"{row['unit']:12}  ratio {row['ratio']:.2f}"
            )


if __name__ == "__main__":
    main()
