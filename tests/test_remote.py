"""Downloading and pushing, with the real client against a Hub on loopback."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hub_helpers import content, edit_tensors, refused

from vgzoo import hub, models

ID = "someone/tiny"


def doubled(folder: Path) -> dict[str, bytes]:
    edit_tensors(folder, lambda tensors: {k: v * 2 for k, v in tensors.items()})
    return content(folder)


def test_download(server, folder, tiny_gan):
    server.add(ID, content(folder) | {"notes.txt": b"", "code.py": b""})
    loaded = hub.load(f"hf://{ID}")
    np.testing.assert_array_equal(loaded.generate(2), tiny_gan.generate(2))
    assert server.asked("resolve/.*/model.safetensors") > 0
    assert server.asked("notes.txt|code.py") == 0  # only what a weights folder consists of


def test_the_second_time_nothing_is_downloaded(server, folder):
    server.add(ID, content(folder))
    first = hub.resolve(f"hf://{ID}")
    server.requests.clear()
    assert hub.resolve(f"hf://{ID}") == first
    assert server.asked("resolve|objects") == 0
    server.stop()
    assert hub.resolve(f"hf://{ID}") == first


def test_a_pinned_commit_needs_no_network_once_cached(server, folder):
    old = server.add(ID, content(folder))
    first = hub.resolve(f"hf://{ID}@{old}")
    server.add(ID, doubled(folder))
    server.requests.clear()
    assert hub.resolve(f"hf://{ID}", revision=old) == first
    assert server.requests == []


def test_a_revision_picks_its_weights(server, folder, tiny_gan):
    old = server.add(ID, content(folder))
    new = server.add(ID, doubled(folder))
    before, after = hub.load(f"hf://{ID}@{old}"), hub.load(f"hf://{ID}")
    for a, b, c in zip(
        before.generator.weights, after.generator.weights, tiny_gan.generator.weights, strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), c.numpy())
        np.testing.assert_array_equal(b.numpy(), 2 * c.numpy())
    assert hub.resolve(f"hf://{ID}").name == new


def test_cache_dir_and_local_files_only(server, folder, tmp_path):
    server.add(ID, content(folder))
    with refused("not (whole) in the cache"):
        hub.resolve(f"hf://{ID}", local_files_only=True, cache_dir=tmp_path / "here")
    there = hub.resolve(f"hf://{ID}", cache_dir=tmp_path / "here")
    assert there.is_relative_to(tmp_path / "here")
    server.requests.clear()
    again = hub.resolve(f"hf://{ID}", local_files_only=True, cache_dir=tmp_path / "here")
    assert (again, server.requests) == (there, [])


def test_offline_by_environment(server, folder, tmp_path):
    server.add(ID, content(folder))
    cached = hub.resolve(f"hf://{ID}", cache_dir=tmp_path / "here")
    server.requests.clear()
    code = (
        "from vgzoo import hub, errors\n"
        f"print(hub.resolve('hf://{ID}', cache_dir={str(tmp_path / 'here')!r}))\n"
        f"try: hub.resolve('hf://{ID}', cache_dir={str(tmp_path / 'empty')!r})\n"
        "except errors.HubError as error: print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    root = Path(models.__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True
    )
    found, error = result.stdout.splitlines()
    assert found == str(cached)
    assert "HF_HUB_OFFLINE" in error
    assert server.requests == []


def test_wrong_hash_is_refused_every_time(server, folder):
    files = content(folder)
    tensors = bytearray(files["model.safetensors"])
    tensors[-1] ^= 1
    server.add(ID, files | {"model.safetensors": bytes(tensors)})
    for _ in range(2):
        with refused("sha256", "the repository itself is damaged"):
            hub.load(f"hf://{ID}")
    server.add(ID, files)  # mended by a new commit
    hub.load(f"hf://{ID}")


def test_a_damaged_cache_is_mended(server, folder):
    server.add(ID, content(folder))
    cached = hub.resolve(f"hf://{ID}") / "model.safetensors"
    good = cached.read_bytes()
    cached.resolve().write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with refused("sha256", "network on"):
        hub.resolve(f"hf://{ID}", local_files_only=True)
    assert hub.resolve(f"hf://{ID}") == cached.parent
    assert cached.read_bytes() == good


def test_a_truncated_file_in_the_repository(server, folder):
    files = content(folder)
    server.add(ID, files | {"model.safetensors": files["model.safetensors"][:-8]})
    with refused("truncated"):
        hub.load(f"hf://{ID}")


def test_a_transfer_that_breaks_off_is_taken_up_again(server, folder):
    server.add(ID, content(folder))
    server.cut["model.safetensors"] = 1
    cached = hub.resolve(f"hf://{ID}")
    assert server.asked("objects/.*/model.safetensors") == 2
    assert (cached / "model.safetensors").read_bytes() == (
        folder / "model.safetensors"
    ).read_bytes()


def test_missing_files(server, folder):
    files = content(folder)
    del files["model.safetensors"]
    server.add(ID, files)
    with refused(f"hf://{ID}", "model.safetensors is missing"):
        hub.load(f"hf://{ID}")
    server.add("someone/other", {"readme.txt": b"nothing here"})
    with refused("hf://someone/other", "no weights folder"):
        hub.load("hf://someone/other")


def test_a_repository_with_pickles_is_refused_unread(server, folder):
    server.add(ID, content(folder) | {"pytorch_model.bin": pickle.dumps([1])})
    with refused("pytorch_model.bin"):
        hub.load(f"hf://{ID}")
    assert server.asked("pytorch_model.bin") == 0


def test_private_needs_a_token(server, folder):
    server.add(ID, content(folder), private=True)
    for token in (None, "hf_wrong"):
        with refused("401", "token="):
            hub.resolve(f"hf://{ID}", token=token)
    assert hub.resolve(f"hf://{ID}", token=server.token).is_dir()


def test_what_is_not_there(server, folder):
    with refused("404", "spelling"):
        hub.resolve("hf://someone/nothing")
    server.add(ID, content(folder))
    with refused("no such revision"):
        hub.resolve(f"hf://{ID}@gone")
    with refused("no such revision"):
        hub.resolve(f"hf://{ID}@{'0' * 40}")


@pytest.mark.parametrize("where", ["/api/models/.*/revision", "/tree/", "/resolve/", "/objects/"])
def test_a_server_error_that_passes(server, folder, where):
    server.add(ID, content(folder))
    server.faults.append([where, 500, 2])
    assert hub.resolve(f"hf://{ID}").is_dir()


def test_a_server_error_that_stays(server, folder):
    server.add(ID, content(folder))
    server.faults.append(["/api/models/.*/revision", 503, 100])
    with refused("503", "later"):
        hub.resolve(f"hf://{ID}")
    assert server.asked("/api/models") == 3
    server.faults.clear()
    cached = hub.resolve(f"hf://{ID}")
    server.faults.append([".", 503, 100])
    assert hub.resolve(f"hf://{ID}") == cached


def test_no_server_at_all(server):
    server.stop()
    with refused("cannot reach the Hub", "check the network"):
        hub.resolve(f"hf://{ID}")


def test_push_and_load_back(server, folder, tiny_gan):
    url = hub.push(folder, ID, token=server.token)
    commit = server.repos[ID].branches["main"]
    assert url == f"{server.url}/{ID}/commit/{commit}"
    loaded = hub.load(f"hf://{ID}@{commit}")
    np.testing.assert_array_equal(loaded.generate(2), tiny_gan.generate(2))
    readme = server.repos[ID].commits[commit]["README.md"].decode()
    assert f'vgzoo.load("hf://{ID}")' in readme
    assert "| Steps | 12 |" in readme  # from train.json, written after the folder's own card


def test_push_a_model(server, tiny_gan):
    hub.push(tiny_gan, ID, token=server.token, private=True)
    assert server.repos[ID].private
    assert hub.load(f"hf://{ID}", token=server.token).name == "tiny"


def test_push_keeps_the_readme_and_drops_what_is_stale(server, folder):
    old = {"README.md": b"theirs", "golden.npz": b"of other weights", "notes.txt": b"kept"}
    server.add(ID, old)
    hub.push(folder, ID, token=server.token)
    repo = server.repos[ID]
    files = repo.commits[repo.branches["main"]]
    assert files["README.md"] == b"theirs" and files["notes.txt"] == b"kept"
    assert "golden.npz" not in files
    hub.resolve(f"hf://{ID}")


def test_push_to_a_branch(server, folder):
    main = server.add(ID, {"README.md": b"theirs"})
    hub.push(folder, ID, revision="v2", token=server.token)
    assert server.repos[ID].branches["main"] == main
    assert hub.resolve(f"hf://{ID}@v2").is_dir()


def test_push_again_without_a_change(server, folder):
    first = hub.push(folder, ID, token=server.token)
    assert hub.push(folder, ID, token=server.token) == first


def test_push_is_tried_again_after_a_server_error(server, folder):
    server.faults += [["/api/repos/create", 500, 1], ["/commit/main", 502, 1]]
    hub.push(folder, ID, token=server.token)
    assert len(server.repos[ID].commits) == 2  # the first one and ours


def test_push_refusals(server, folder):
    with refused("401", "token="):
        hub.push(folder, ID, token="hf_wrong")
    with refused("owner/name"):
        hub.push(folder, "tiny")
    (folder / "extra.pkl").write_bytes(pickle.dumps([1]))
    with refused("extra.pkl"):
        hub.push(folder, ID, token=server.token)
    assert ID not in server.repos
