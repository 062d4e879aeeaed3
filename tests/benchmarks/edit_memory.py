"""What memory it takes to edit a long video: peak resident size, and frames/s.

    python tests/benchmarks/edit_memory.py video.mp4 --minutes 10 --do "exposure=0.3 blur=1"

The video is played again and again until it is that long, its packets copied; then it is edited,
in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av

EDIT = """
import json, resource, sys, time
from vgzoo import edit
from vgzoo.edit.stream import edit_file

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
report = edit_file(sys.argv[1], sys.argv[2], edit.parse(sys.argv[3]))
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report |= {"frames_per_s": report["frames"] / seconds, "edits": sys.argv[3]}
print(json.dumps(report | {"imported_mb": before / 1024, "peak_mb": peak / 1024}))
"""


def lengthen(source: Path, target: Path, seconds: float) -> None:
    """Pictures and sound of a file, again and again."""
    with av.open(str(target), "w") as out:
        with av.open(str(source)) as first:
            length = first.duration / av.time_base
            streams = [out.add_stream_from_template(s) for s in first.streams if s.type != "data"]
        for again in range(int(seconds / length) + 1):
            with av.open(str(source)) as file:
                for packet in file.demux(*[s for s in file.streams if s.type != "data"]):
                    if packet.dts is not None:
                        shift = round(again * length / packet.time_base)
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = streams[packet.stream.index]
                        out.mux(packet)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--do", default="exposure=0.3 saturation=1.2 blur=1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder, "long.mp4")
        lengthen(options.video, long, 60 * options.minutes)
        command = [sys.executable, "-c", EDIT, str(long), str(Path(folder, "out.mp4")), options.do]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(json.dumps(json.loads(done.stdout), indent=2))


if __name__ == "__main__":
    main()
