"""The errors a user can cause: one line each, naming what came, what was wanted and what to do."""


class VgzooError(ValueError):
    """A mistake the user can mend. The command line prints it and exits with 2."""


class UnknownModelError(VgzooError):
    """A name that is neither a bundled model nor a folder nor an `hf://` address."""


class HubError(VgzooError):
    """A weights folder that is missing, damaged or unsafe, or a Hub that refused."""


class VideoError(VgzooError):
    """A file that cannot be read or written as video, or an array that is no clip."""


class DataError(VgzooError):
    """A dataset that is missing, damaged or asked for in a way it does not have."""
