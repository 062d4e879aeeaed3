"""The command line as a user meets it: results, progress, mistakes, time."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_train import RECIPE

from vgzoo import _quiet, cli, hub, models, registry, video

SIZES = dict(frames=4, height=16, width=16, widths=[8, 8], discriminator_widths=[8, 8])
COMMAND = [sys.executable, "-m", "vgzoo.cli"]
VERBS = ("list", "info", "generate", "forecast", "interpolate", "inpaint", "edit", "train")
VERBS += ("evaluate", "push", "bench")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    license = {"code": "Apache-2.0", "weights": "Apache-2.0", "data": "none"}
    model = models.build("r3gan", **SIZES)
    hub.save(model, root / "tiny", dataset="mnist", fps=8, license=license)
    (root / "tiny" / "metrics.json").write_text('{"protocol": "p", "values": {"fvd": 12.3456}}')
    return root


@pytest.fixture
def bundled(saved, tmp_path, monkeypatch) -> Path:
    """The working folder; the one bundled model is "tiny"."""
    monkeypatch.setattr(registry, "weights_root", lambda: saved)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert cli.main(arguments) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def mistake(capsys):
    def mistake(*arguments: str) -> str:
        capsys.readouterr()
        assert cli.main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("Error: ") and err.count("\n") == 1, err
        return err

    return mistake


# -- list, info --------------------------------------------------------------------------------


def test_list_as_json(bundled, run):
    (entry,) = json.loads(run("list", "--json"))
    config = registry.info("tiny")
    assert list(entry) == [
        *("name", "family", "tasks", "dataset", "clip", "params", "size_bytes"),
        *("license", "metrics", "source"),
    ]
    assert entry["name"] == "tiny" and entry["source"] == "bundled"
    assert entry["clip"] == {"frames": 4, "height": 16, "width": 16, "channels": 1, "fps": 8}
    files = [bundled_file.stat().st_size for bundled_file in registry.find("tiny").glob("*.safe*")]
    assert entry["size_bytes"] == sum(files) and entry["params"] == config["params"]
    assert entry["metrics"]["values"] == {"fvd": 12.3456}


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["ti*"], ["tiny"]),
        (["--family", "gan", "--task", "generate", "--dataset", "mnist"], ["tiny"]),
        (["--family", "vae"], []),
        (["--exclude", "tiny"], []),
    ],
)
def test_list_filters(bundled, run, filters, names):
    assert [entry["name"] for entry in json.loads(run("list", "--json", *filters))] == names


def test_list_and_info_for_people(bundled, run):
    for word in ("tiny", "gan", "generate", "mnist", "4×16×16 grey"):
        assert word in run("list")
    for word in ("r3gan", "8 frames per second", "weights: Apache-2.0", "fvd 12.35", "arXiv:"):
        assert word in run("info", "tiny")
    assert "No model matches" in run("list", "nothing-*")


def test_info_as_json_is_that_of_the_api(bundled, run):
    assert json.loads(run("info", "tiny", "--json")) == registry.info("tiny")


def test_list_takes_less_than_a_second_and_loads_no_backend():
    code = (
        "import sys; from vgzoo.cli import main; main(['list'])\n"
        "heavy = {'numpy', 'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time: that of the clock depends on what else the machine does.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_a_closed_pipe_is_no_error():
    reader = subprocess.Popen(
        [*COMMAND, "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    reader.stdout.close()
    assert b"Traceback" not in reader.stderr.read()
    reader.wait()


# -- generate ----------------------------------------------------------------------------------


def test_generate_writes_what_the_api_makes(bundled, run):
    run("generate", "tiny", "-n", "1", "--seed", "3", "--out", "a.webp")
    model = hub.load("tiny")
    video.write("b.webp", model.generate(1, seed=3), fps=8)
    assert Path("a.webp").read_bytes() == Path("b.webp").read_bytes()


def test_generate_reports_as_json_and_shows_progress_apart(bundled, capsys):
    arguments = "generate tiny -n 5 --out a.gif --frames 6 --batch-size 2 --fps 5 --json".split()
    assert cli.main(arguments) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report.pop("seconds") > 0
    assert report == {
        "name": "tiny",
        "n": 5,
        "seed": 0,
        "out": "a.gif",
        "shape": [5, 6, 16, 16, 1],
        "fps": 5.0,
    }
    assert "5/5" in err
    assert (video.probe("a.gif")["frames"], video.probe("a.gif")["fps"]) == (6, 5)


def test_fps_is_the_models_own(bundled, run):
    run("generate", "tiny", "--out", "a.mp4")
    assert video.probe("a.mp4")["fps"] == 8


def test_temperature_zero_makes_equal_clips(bundled, run):
    run("generate", "tiny", "-n", "2", "--temperature", "0", "--out", "a.png")
    rows = video.read("a.png")[0]
    np.testing.assert_array_equal(rows[:16], rows[-16:])


def test_generate_from_a_folder(saved, tmp_path, monkeypatch, run):
    shutil.copytree(saved / "tiny", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert "clips.gif: 1 × 4 frames of 16×16" in run("generate", "./mine")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("generate tinny", "did you mean 'tiny'"),
        ("generate ./tinny", "no folder './tinny'"),
        ("generate tiny -n 0", "n must be a whole number of at least 1, not 0"),
        ("generate tiny --frames -1", "frames must be"),
        ("generate tiny --steps 4", "tiny has no use for steps"),
        ("generate tiny --temperature -1", "temperature must be 0 or more"),
        ("generate tiny --labels 3", "has no use for labels"),
        ("generate tiny --labels three", "--labels is 'three'; wanted whole numbers"),
        ("generate tiny -n 3 --labels 1,2", "--labels has 2 classes for 3 clips; give 1 or 3"),
        ("generate tiny --out clip.avi", "clip.avi ends in '.avi'; wanted one of .mp4"),
        ("generate tiny --out no/a.gif", "no folder 'no' for --out"),
        ("generate tiny --out .", "is a folder; name a file in it"),
        ("generate tiny --fps 0", "fps=0.0 came"),
        ("generate tiny -n many", "Invalid value for '-n'"),
        ("generate tiny --colour red", "No such option: --colour"),
        ("generate", "Missing argument"),
        ("generat tiny", "No such command 'generat'"),
        ("info tinny", "did you mean 'tiny'"),
        ("train nothing --out run", "no recipe 'nothing'; there are: causalvae-imagenette"),
        ("train r3gan-mnist --out run --minutes 0", "--minutes must be more than 0"),
        ("train r3gan-mnist --out run --steps -3", "--steps must be more than 0"),
        ("train r3gan-mnist", "Missing option '--out'"),
        ("bench tiny --batch-sizes 1,x", "--batch-sizes is '1,x'"),
        ("bench tiny --batch-sizes 0", "batch size must be a whole number of at least 1"),
        ("push tiny nonsense", "wanted owner/name"),
        ("push ./nothing user/my-model", "no folder './nothing'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(bundled, mistake, arguments, said):
    assert said in mistake(*arguments.split())


def test_a_file_in_the_way_is_one_line(bundled, mistake, mnist_folder):
    Path("run").write_text("")
    assert "run" in mistake("train", "r3gan-mnist", "--out", "run", "--steps", "1")


# -- train, push, bench ------------------------------------------------------------------------


def test_train_and_go_on(bundled, run, mistake, mnist_folder):
    stages = [stage | {"steps": 6} for stage in RECIPE["stages"]]
    Path("small.json").write_text(json.dumps(RECIPE | {"stages": stages}))
    report = json.loads(run("train", "small.json", "--out", "run", "--steps", "2", "--json"))
    assert (report["step"], report["steps"], report["finished"]) == (2, 12, False)
    assert "--resume" in mistake("train", "small.json", "--out", "run")
    assert "step 12 of 12" in run("train", "small.json", "--out", "run", "--resume")
    run("generate", "./run/small", "--out", "a.gif")


def test_push_prints_the_address(bundled, run, server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", server.token)
    url = run("push", "tiny", "someone/tiny").strip()
    assert url.startswith(f"{server.url}/someone/tiny/")
    again = json.loads(run("push", "tiny", "someone/other", "--json"))
    assert again["repo_id"] == "someone/other" and "/someone/other/" in again["url"]
    run("generate", "hf://someone/tiny", "--out", "a.gif")


def test_bench_as_json(bundled, run):
    arguments = "bench tiny --batch-sizes 1,2 --train-batch 4 --dtype float32 --seconds 0.01 --json"
    report = json.loads(run(*arguments.split()))
    wanted = "name batch frames_per_s train_clips_per_s gflop_per_frame peak_gflops utilisation"
    assert {*wanted.split(), "load_s", "peak_memory_mb"} <= report.keys()
    assert report["name"] == "tiny" and report["load_s"] > 0
    assert [row["batch"] for row in report["rows"]] == [1, 2]


def test_bench_for_people(bundled, run):
    arguments = "bench tiny --batch-sizes 2 --train-batch 4 --dtype float32 --seconds 0.01"
    text = run(*arguments.split())
    assert "float32" in text and "tiny on " in text


# -- help, screen ------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(run, verb):
    text = run(verb, "--help")
    assert f"Example: vgzoo {verb} " in text
    assert "--json" in text


def test_help_names_every_verb(run):
    text = run("--help")
    assert all(verb in text for verb in VERBS)
    assert run() == text


def test_the_screen_shows_the_bar_and_nothing_of_the_backend(bundled, saved):
    env = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [*COMMAND, "generate", str(saved / "tiny"), "-n", "2", "--out", "a.gif", "--json"],
        capture_output=True,
        text=True,
        env=env | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 2
    assert "2/2" in done.stderr
    for chatter in ("oneDNN", "cuda", "WARNING", "I0000"):
        assert chatter not in done.stderr


CHATTER = """WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795493227.902129   29035 cpu_feature_guard.cc:227] This binary is optimized.
To enable the following instructions: AVX2, rebuild TensorFlow.
"""
NO_GPU = "E0000 00:00:1795493236.09 29048 cuda_platform.cc:52] failed call to cuInit: INTERNAL\n"
NO_DRIVER = "I0000 00:00:1795493231.19 29035 cudart_stub.cc:31] Could not find cuda drivers on …\n"


def test_errors_of_the_start_are_shown():
    error = "E0000 00:00:1795493236.09 29048 x.cc:1] disk on fire\nwith a second line\n"
    assert (
        _quiet.without_chatter(f"plain text\n{CHATTER}{error}{CHATTER}") == "plain text\n" + error
    )
    assert _quiet.without_chatter(CHATTER + NO_GPU) == NO_GPU
    assert _quiet.without_chatter(CHATTER + NO_DRIVER + NO_GPU) == ""


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("raise ImportError('broken')", "I0000 said before\nTraceback"),
        ("os.abort()", "Fatal Python error: Aborted"),
    ],
)
def test_a_start_that_fails_hides_nothing(failure, said):
    code = (
        "import os, sys; from vgzoo import _quiet\n"
        f"with _quiet._held_back():\n    os.write(2, b'I0000 said before\\n'); {failure}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert said in done.stderr
