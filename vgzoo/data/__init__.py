"""Real images, set in motion, and videos."""

from vgzoo.data.banks import images
from vgzoo.data.clips import classes, clips, names
from vgzoo.data.folder import Folder
from vgzoo.data.preview import preview

__all__ = ["Folder", "classes", "clips", "images", "names", "preview"]
