"""An executor for event loops whose work must not be done in threads."""

from concurrent.futures import ThreadPoolExecutor


class RefusedExecutor(ThreadPoolExecutor):
    """Fails where something asynchronous is done by a blocking function in a thread."""

    def submit(self, *args, **kwargs):
        raise AssertionError("a blocking call was made for an asynchronous one")
