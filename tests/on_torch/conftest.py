"""Run by `KERAS_BACKEND=torch pytest tests/on_torch`, in an environment without TensorFlow."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `tiny`
collect_ignore_glob = [] if os.environ.get("KERAS_BACKEND") == "torch" else ["*"]
