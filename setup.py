"""What setup.cfg cannot say: `weights/` travels in the wheel as the package `vgzoo._weights`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["vgzoo", "vgzoo.*"]), "vgzoo._weights"],
    package_dir={"vgzoo._weights": "weights"},
)
