"""A Hugging Face Hub on loopback: the endpoints that its client uses, over repositories in memory.

What it answers follows the real Hub: regular files from `/resolve/` with commit and etag headers,
large files by a redirect to a second address, commits as ndjson, uploads by the LFS batch protocol.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".npz", ".gif")


@dataclass
class Repo:
    """Commits from old to new, and where each branch points."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        text = f"{len(self.commits)}{branch}{sorted(files)}".encode()
        oid = hashlib.sha1(text).hexdigest()
        self.commits[oid], self.branches[branch] = dict(files), oid
        return oid

    def find(self, revision: str) -> str | None:
        oid = self.branches.get(revision, revision)
        return oid if oid in self.commits else None


class HubServer:
    """The server; a context manager that starts it on a free port and stops it.

    Attributes:
        repos: what it holds, by `owner/name`.
        token: the one it accepts for private repositories and for writing.
        requests: `(method, path)` of everything that was asked.
        faults: `(regular expression, status, how often)`: requests answered with that status.
        cut: how often only half of a large file is sent though all of it is announced, by name.
    """

    def __init__(self, token: str = "hf_test"):
        self.token = token
        self.repos: dict[str, Repo] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: list[list] = []
        self.cut: dict[str, int] = {}
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        # Large files are on another host, as on the real Hub, so the token must not reach it.
        self.storage = f"http://localhost:{self.http.server_address[1]}"
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> "HubServer":
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.http.shutdown()
            self.http.server_close()
            self.thread.join()

    def add(self, repo_id: str, files: dict[str, bytes], *, private: bool = False) -> str:
        """A commit on `main`, in a new repository or on top of an old one."""
        repo = self.repos.setdefault(repo_id, Repo(private))
        return repo.commit(files)

    def asked(self, pattern: str) -> int:
        """How many requests had a path that matches."""
        return sum(bool(re.search(pattern, path)) for _, path in self.requests)

    def fault(self, path: str) -> int | None:
        with self.lock:
            for entry in self.faults:
                pattern, status, left = entry
                if left > 0 and re.search(pattern, path):
                    entry[2] -= 1
                    return status
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        """Silence: the requests are in `hub.requests`."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append((self.command, path))
        if status := self.hub.fault(path):
            return self.send(status, {"error": "told to fail"})
        for pattern, method in _ROUTES:
            if match := re.fullmatch(pattern, path):
                return method(self, *match.groups())
        return self.send(404, {"error": f"no such endpoint {path}"})

    # -- answers ---------------------------------------------------------------------------

    def send(self, status: int, content=b"", cut: bool = False, **headers: str) -> None:
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut

    def refuse(self, status: int, code: str) -> None:
        self.send(status, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    def repo(self, repo_id: str, write: bool = False) -> Repo | None:
        """The repository, or None after a refusal was sent."""
        repo = self.hub.repos.get(repo_id)
        allowed = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        if (repo is not None and repo.private or write) and not allowed:
            self.refuse(401, "RepoNotFound" if repo and repo.private else "Unauthorized")
        elif repo is None:
            self.refuse(404, "RepoNotFound")
        else:
            return repo
        return None

    def commit_of(self, repo: Repo, revision: str) -> str | None:
        oid = repo.find(revision)
        if oid is None:
            self.refuse(404, "RevisionNotFound")
        return oid

    # -- reading ---------------------------------------------------------------------------

    def model_info(self, repo_id: str, revision: str | None = None) -> None:
        if (repo := self.repo(repo_id)) and (oid := self.commit_of(repo, revision or "main")):
            names = [{"rfilename": name} for name in repo.commits[oid]]
            self.send(200, {"id": repo_id, "sha": oid, "private": repo.private, "siblings": names})

    def tree(self, repo_id: str, revision: str) -> None:
        if (repo := self.repo(repo_id)) and (oid := self.commit_of(repo, revision)):
            self.send(200, [_entry(name, data) for name, data in repo.commits[oid].items()])

    def resolve(self, repo_id: str, revision: str, name: str) -> None:
        if not (repo := self.repo(repo_id)) or not (oid := self.commit_of(repo, revision)):
            return
        if name not in repo.commits[oid]:
            return self.send(404, b"", X_Error_Code="EntryNotFound", X_Repo_Commit=oid)
        data = repo.commits[oid][name]
        if not name.endswith(LARGE):
            return self.send(200, data, X_Repo_Commit=oid, ETag=f'"{_git_oid(data)}"')
        sha256 = hashlib.sha256(data).hexdigest()
        self.hub.objects[sha256] = data
        self.send(
            302,
            X_Repo_Commit=oid,
            X_Linked_ETag=f'"{sha256}"',
            X_Linked_Size=str(len(data)),
            Location=f"{self.hub.storage}/objects/{sha256}/{name}",
        )

    def read_object(self, sha256: str, name: str) -> None:
        if self.headers.get("Authorization"):
            return self.send(400, {"error": "a token came to the storage host"})
        data = self.hub.objects[sha256]
        left = self.hub.cut.get(name, 0)
        self.hub.cut[name] = left - 1
        self.send(200, data, cut=left > 0, ETag=f'"{sha256}"')

    # -- writing ---------------------------------------------------------------------------

    def create_repo(self) -> None:
        asked = json.loads(self.body)
        repo_id = f"{asked['organization']}/{asked['name']}"
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self.refuse(401, "Unauthorized")
        if repo_id in self.hub.repos:
            return self.send(409, {"error": "exists", "url": f"{self.hub.url}/{repo_id}"})
        repo = self.hub.repos[repo_id] = Repo(asked.get("visibility") == "private")
        repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self.send(200, {"url": f"{self.hub.url}/{repo_id}"})

    def create_branch(self, repo_id: str, branch: str) -> None:
        if repo := self.repo(repo_id, write=True):
            repo.branches[branch] = repo.branches["main"]
            self.send(200, {})

    def validate_yaml(self) -> None:
        content = json.loads(self.body)["content"]
        good = re.match(r"---\n.*?\n---\n", content, re.DOTALL)
        errors = [] if good else [{"message": "no front matter"}]
        self.send(200 if good else 400, {"errors": errors, "warnings": []})

    def preupload(self, repo_id: str, revision: str) -> None:
        if repo := self.repo(repo_id, write=True):
            files = []
            for file in json.loads(self.body)["files"]:
                mode = "lfs" if file["path"].endswith(LARGE) else "regular"
                data = repo.commits[repo.find(revision)].get(file["path"])
                oid = None if data is None else _oid(data, mode)
                files.append(
                    {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}
                )
            self.send(200, {"files": files})

    def lfs_batch(self, repo_id: str) -> None:
        if self.repo(repo_id, write=True):
            objects = json.loads(self.body)["objects"]
            for entry in objects:
                href = f"{self.hub.storage}/upload/{entry['oid']}"
                entry["actions"] = {"upload": {"href": href, "header": {}}}
            self.send(200, {"transfer": "basic", "objects": objects})

    def upload(self, sha256: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != sha256:
            return self.send(400, {"error": "not the announced content"})
        self.hub.objects[sha256] = self.body
        self.send(200)

    def commit(self, repo_id: str, revision: str) -> None:
        if not (repo := self.repo(repo_id, write=True)):
            return
        files = dict(repo.commits[repo.branches[revision]])
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        oid = repo.commit(files, revision)
        url = f"{self.hub.url}/{repo_id}/commit/{oid}"
        self.send(200, {"success": True, "commitOid": oid, "commitUrl": url})


def _oid(data: bytes, mode: str) -> str:
    return hashlib.sha256(data).hexdigest() if mode == "lfs" else _git_oid(data)


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(name: str, data: bytes) -> dict:
    entry = {"type": "file", "path": name, "size": len(data), "oid": _git_oid(data)}
    if name.endswith(LARGE):
        sha256 = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
    return entry


_ID = r"([\w.-]+/[\w.-]+)"
_ROUTES = [
    (rf"/api/models/{_ID}", _Handler.model_info),
    (rf"/api/models/{_ID}/revision/(.+)", _Handler.model_info),
    (rf"/api/models/{_ID}/tree/(.+)", _Handler.tree),
    (rf"/{_ID}/resolve/([^/]+)/(.+)", _Handler.resolve),
    (r"/objects/(\w+)/(.+)", _Handler.read_object),
    (r"/api/repos/create", _Handler.create_repo),
    (rf"/api/models/{_ID}/branch/(.+)", _Handler.create_branch),
    (r"/api/validate-yaml", _Handler.validate_yaml),
    (rf"/api/models/{_ID}/preupload/(.+)", _Handler.preupload),
    (rf"/{_ID}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    (r"/upload/(\w+)", _Handler.upload),
    (rf"/api/models/{_ID}/commit/(.+)", _Handler.commit),
]
