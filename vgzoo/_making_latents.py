"""The command that edits clips in the latents of a model."""

from pathlib import Path
from typing import Annotated

import typer

from vgzoo import _making
from vgzoo._console import Json
from vgzoo.errors import VgzooError

EXAMPLE = (
    "Example: vgzoo latent r3gan-mnist seen.gif other.gif --change swap; vgzoo latent "
    "causalvae-imagenette a.mp4 b.mp4 -n 5; vgzoo latent r3gan-mnist seen.gif --change move "
    "--direction 0 --strength 0.5"
)
CHANGES = ("between", "swap", "move")


def latent(
    name: _making.Name,
    source: _making.Source,
    other: Annotated[
        Path | None, typer.Argument(help="Another, as long, for between and swap.")
    ] = None,
    change: Annotated[
        str | None,
        typer.Option(
            help="between: clips on the way to the other; swap: what is seen, moving as the other "
            "does; move: along a direction. If left out, with one clip, what comes back of it."
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Of between: how many clips, ends included.")] = 5,
    direction: Annotated[
        int, typer.Option(help="Of move: which, from 0, that which changes most.")
    ] = 0,
    strength: Annotated[float, typer.Option(help="Of move: how far; below 0 the other way.")] = 0.5,
    thing: Annotated[int, typer.Option(help="Of move: which of the things shown, from 0.")] = 0,
    steps: Annotated[
        int | None, typer.Option(help="Of the descent that finds a GAN's latents.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws that this descent begins with.")] = 0,
    out: _making.Out = Path("latent.gif"),
    fps: _making.Fps = None,
    as_json: Json = False,
) -> None:
    """Take a clip apart into latents, change these, and put it together."""
    if change is None and other is not None:
        change = "between"
    if change not in (None, *CHANGES):
        raise VgzooError(f"--change must be {', '.join(CHANGES)}, not {change!r}")
    if (other is None) == (change in ("between", "swap")):
        word = "wants another clip" if other is None else "has no use for another clip"
        raise VgzooError(f"--change {change} {word}")
    clips = [_making.read_clip(path) for path in (source, other) if path is not None]

    def make(model):
        import numpy as np

        from vgzoo.edit import latent as latents

        seen = [_making.fitted(clip, model) for clip in clips]
        if len({len(clip) for clip in seen}) > 1:
            raise VgzooError(
                f"{source} has {len(seen[0])} frames and {other} {len(seen[1])}: cut one of them"
            )
        descends = hasattr(model, "latent_parts")
        options = {"seed": seed} | ({"steps": steps} if steps is not None else {})
        found = latents.encode(model, np.stack(seen), **(options if descends else {}))
        if change == "between":
            found = latents.between(found[0], found[1], n)
        elif change == "swap":
            found = latents.swap(model, found[:1], found[1:])
        elif change == "move":
            if not descends:
                raise VgzooError(f"{model.name} knows no directions; those of a GAN are known")
            way = model.directions(direction + 1)[direction]
            found = latents.move(model, found, way, strength, thing=thing)
        made = model.decode(found, len(seen[0])) if descends else model.decode(found)
        return made[:, : len(seen[0])]

    about = {"source": str(source), "change": change, "seed": seed}
    _making.make_and_write(name, make, out, fps, as_json, about)
