"""One key, used without a pause by several clients while something is done to it."""

import threading

from tools.client import request
from tools.upstream import wait_until


class KeyLoad:
    """Within it the key is in use. Once `over()` was called nothing may pass any more: `late` are the statuses
    of requests that were sent after that and were not refused."""

    def __init__(self, client, key, clients=2):
        self.client, self.key, self.late = client, key, []
        self.ended, self.stop = threading.Event(), threading.Event()
        self.passed = [0] * clients
        self.threads = [threading.Thread(target=self.ask, args=(number,), daemon=True) for number in range(clients)]

    def ask(self, number):
        with self.client() as client:
            while not self.stop.is_set():
                after = self.ended.is_set()
                status = client.ask(request(path="/v1/models", key=self.key)).status
                self.passed[number] += status == 200
                if after and status != 401:
                    self.late.append(status)

    def over(self):
        self.ended.set()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        try:
            wait_until(lambda: all(self.passed), "a request of each client")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
