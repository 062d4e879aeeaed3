"""vgzoo's r3gan beside the same networks in PyTorch: frames/s and training clips/s in one run.

The PyTorch side is written as one would write it there: channels_last, `inference_mode`, autocast
for bfloat16, a fused Adam, two backward passes with the discriminator frozen in the second. Its
networks take config and weights from the Keras model; before anything is timed, clips, scores and
the loss of a training step are compared. The two sides take turns.
"""

import argparse
import json
import os

import numpy as np
import torch
from r3gan_torch import Discriminator, Generator, copy_weights
from torch import nn
from torch.nn import functional as F
from turns import median_seconds, sides


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
        times = median_seconds(tell, dict.fromkeys(tell, message), options.repeats)
        rates = {side: count / seconds for side, seconds in times.items()}
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
    arguments = (options.threads, options.compile)
    tell = sides(vgzoo=(Vgzoo, *arguments), pytorch=(PyTorch, *arguments))
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
