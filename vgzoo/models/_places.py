"""Where the things of a clip are, for a flow that sees them as sprites (`vgzoo.layers.sprites`).

The paths of a clip that nothing is known of are drawn; an edit keeps those that it finds.
"""

from keras import ops

from vgzoo.layers.paths import likeliest, sure
from vgzoo.layers.registration import align

_SEEN = 0.5  # time at which a clip is looked at for its paths


class Places:
    """The part of a flow that tells its sprites where they are, before the first step.

    A model has `sprites`, or None, and says in `labels` how many things a clip shows, one for each.
    """

    def _drawn(self, noise, known):
        """Paths of the things in clips of which nothing is known: in others what is shows them."""
        if not self.sprites:
            return ()
        paths, rows = self.sprites.whole, ops.shape(noise)[0]
        path = paths.along(paths.draw(ops.reshape(noise, (rows, -1)), self.labels))
        return self._sure(path), nothing_known(known)

    def _sure(self, path):
        rows, columns = (side - self.sprites.size + 1 for side in (self.height, self.width))
        return sure(path, rows, columns)

    def kept(self, source, source_labels, labels):
        if not self.sprites or source_labels is None:  # without, no sprite is of a certain thing
            return (), ()
        rows, size = ops.shape(source)[0], source.shape[1:4]
        own = self._labels(source_labels)
        classes = self._classes(ops.sort(own, axis=1), rows)
        style = self._style(ops.full((rows,), _SEEN), classes)
        seen = ops.concatenate([source, ops.zeros_like(source[..., :1])], axis=-1)
        path = likeliest(self.sprites.found(self.network(seen, style)[1], classes, *size))
        path = align(path, (source + 1) / 2, self.sprites.size)
        found = (self._sure(path),)
        if labels is None:
            return found, found
        # A thing stays where it is, whichever sprite it is by its new label.
        place = ops.argsort(ops.argsort(own, axis=1), axis=1)
        things = ops.take_along_axis(path, place[..., None, None], axis=1)
        return (self._sure(ordered(things, self._labels(labels))),), found


def nothing_known(known):
    """Of which clips nothing is known: bool `(B, 1, 1, 1, 1)`."""
    return ~ops.any(known > 0, axis=(1, 2, 3, 4), keepdims=True)


def ordered(what, labels):
    """What belongs to labels `(B, K)`, in their order: `(B, K, …)`."""
    order = ops.argsort(labels, axis=1)
    return ops.take_along_axis(what, order[(..., *[None] * (len(what.shape) - 2))], axis=1)
