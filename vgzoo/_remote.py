"""The Hugging Face Hub, through its own client: download a weights folder, commit one.

The endpoint is read when a call is made, so `HF_ENDPOINT` works as the client documents it and
may also be set after import. Every failure becomes one line; failures that pass (5xx, a lost
connection) are tried again a few times, which the client does for some of its calls only.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from vgzoo._folder import FILES, refuse_pickles
from vgzoo.errors import HubError

WAITS = (0.5, 2.0)  # seconds before the second and the third try

_REPO_ID = re.compile(r"[\w\-.]+/[\w\-.]+", re.ASCII)
_PREFIX = "hf://"
T = TypeVar("T")


class Address(NamedTuple):
    """A repository of the Hub and, if one is pinned, its revision."""

    repo_id: str
    revision: str | None

    def __str__(self) -> str:
        return _PREFIX + self.repo_id + (f"@{self.revision}" if self.revision else "")


def parse(text: str, revision: str | None = None) -> Address | None:
    """`hf://owner/name[@revision]` taken apart; None if the text is no such address.

    Raises:
        HubError: it begins with `hf://` and goes wrong after that, or two revisions are named.
    """
    if not text.startswith(_PREFIX):
        return None
    repo_id, _, pinned = text[len(_PREFIX) :].partition("@")
    if pinned and revision and pinned != revision:
        raise HubError(f"{text} names one revision and revision={revision!r} another; give one")
    return Address(check_repo_id(repo_id), pinned or revision)


def check_repo_id(repo_id: str) -> str:
    """The id itself if it reads `owner/name`; HubError otherwise."""
    if not _REPO_ID.fullmatch(repo_id) or ".." in repo_id or "--" in repo_id:
        raise HubError(f"{repo_id!r} is no repository of the Hub; wanted owner/name")
    return repo_id


def download(
    address: Address,
    *,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    force: bool = False,
) -> Path:
    """The snapshot folder of a repository in the client's cache, fetched where it is not there.

    Only the files a weights folder consists of are fetched. `force` fetches them again.

    Raises:
        HubError: the Hub refused or cannot be reached, or the repository holds pickles.
    """
    import huggingface_hub as client

    folder = _persistently(
        lambda: client.snapshot_download(
            address.repo_id,
            revision=address.revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
            force_download=force,
            allow_patterns=list(FILES),
            endpoint=_endpoint(),
            library_name="vgzoo",
        ),
        str(address),
    )
    folder = Path(folder)
    try:
        listed = client.get_cached_repo_tree(
            address.repo_id, revision=folder.name, cache_dir=cache_dir
        )
    except client.errors.CachedRepoTreeNotFoundError:
        # A snapshot that an older client cached: what is in it is all that can be known.
        return folder
    refuse_pickles([file.path for file in listed], str(address))
    return folder


def upload(
    files: dict[str, bytes | Path],
    repo_id: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    private: bool = False,
) -> str:
    """Commits a weights folder, making repository and branch where they do not exist.

    A README that is already there stays. Files of a weights folder that are there and not in
    `files` go, because they describe other weights. Anything else in the repository is not touched.

    Returns:
        The address of the commit.
    """
    import huggingface_hub as client

    address = Address(check_repo_id(repo_id), revision)
    api = client.HfApi(endpoint=_endpoint(), token=token, library_name="vgzoo")

    def attempt(call: Callable[[], T]) -> T:
        return _persistently(call, str(address))

    attempt(lambda: api.create_repo(repo_id, private=private, exist_ok=True))
    if revision is not None and not attempt(lambda: api.revision_exists(repo_id, revision)):
        attempt(lambda: api.create_branch(repo_id, branch=revision, exist_ok=True))
    there = set(attempt(lambda: api.list_repo_files(repo_id, revision=revision)))

    def commit() -> str:
        # Made anew for each try: the client marks the operations it has used.
        operations = [
            client.CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
            for name, content in files.items()
            if name != "README.md" or name not in there
        ]
        stale = there.intersection(FILES) - files.keys() - {"README.md"}
        operations += [client.CommitOperationDelete(path_in_repo=name) for name in sorted(stale)]
        made = api.create_commit(
            repo_id, operations, commit_message="Upload weights with vgzoo", revision=revision
        )
        return str(made.commit_url)

    return attempt(commit)


def is_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` keeps the client off the network."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _persistently(call: Callable[[], T], label: str) -> T:
    """The result of a call to the client, tried again while the failure may pass."""
    from huggingface_hub.errors import HfHubHTTPError

    # The bases are the HTTP library's own error, whose name changes with the client's version,
    # and OSError. ValueError is how the client reports an invalid card or a failed `force`.
    for wait in (*WAITS, None):
        try:
            return call()
        except (*HfHubHTTPError.__bases__, ValueError) as error:
            if wait is None or not _may_pass(error):
                raise HubError(f"{label}: {_explain(error)}") from error
        time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def _chain(error: BaseException) -> list[BaseException]:
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__
    return found


def _status(error: BaseException) -> int | None:
    responses = (getattr(link, "response", None) for link in _chain(error))
    return next((r.status_code for r in responses if r is not None), None)


def _is_transport(error: BaseException) -> bool:
    from huggingface_hub.errors import HfHubHTTPError

    return any(isinstance(link, HfHubHTTPError.__bases__[0]) for link in _chain(error))


def _may_pass(error: BaseException) -> bool:
    status = _status(error)
    if status is not None:
        return status >= 500 or status == 429
    # A body shorter than announced ends in the client's "Consistency check failed".
    return _is_transport(error) or "Consistency check" in str(error)


def _explain(error: BaseException) -> str:
    """One line on what failed and what to do."""
    from huggingface_hub import errors

    status = _status(error)
    if isinstance(error, errors.GatedRepoError):
        return "gated; ask for access on its page, then pass token= or run `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision; give a branch, a tag or a whole commit id"
    if status in (401, 403):
        return (
            f"the Hub refused ({status}): private, not yours to write, or not there at all; "
            "check the name, pass token= or run `hf auth login`"
        )
    if status == 404:
        return "the Hub has no such repository (404); check the spelling of owner/name"
    if status is not None and _may_pass(error):
        return f"the Hub answered {status} and kept to it; try again later"
    if status is not None:
        return f"the Hub refused ({status}): {_one_line(error)}"
    if _is_transport(error):
        cause = _one_line(_chain(error)[-1]) or "no answer"
        return f"cannot reach the Hub ({cause}); check the network"
    if any(isinstance(link, errors.FileMetadataError) for link in _chain(error)):
        return "what answers does not speak as a Hub does; check HF_ENDPOINT and the proxy"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            "not (whole) in the cache, and the network is off by local_files_only or "
            "HF_HUB_OFFLINE; load it once with the network on"
        )
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
