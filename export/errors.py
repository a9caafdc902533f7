"""What can go wrong with a model on its way in."""

from serving.errors import SiftlineError


class ExportError(SiftlineError):
    """The source cannot be exported. The message is one line: what is wrong, and what to do where that is known."""

    reason = "EXPORT_FAILED"
