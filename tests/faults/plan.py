"""The plan that failing.c follows: a shared file with six numbers for each class of calls, and two for clocks."""

import mmap
import struct

CLASSES = ["memory", "receive", "send", "accept", "connect", "socket", "watch", "write", "read", "open",
           "sql", "disk", "fsync", "resolve", "crypto", "database", "rename", "truncate", "thread"]
SHORT = -1  # instead of an errno: half of the bytes go through
ROW = struct.Struct("=qqqqqq")  # left, error, calls, failed, lasting, held

CLOCKS = ROW.size * len(CLASSES)


class Plan:
    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(CLOCKS + 16))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def at(self, name, number=0):
        return ROW.size * CLASSES.index(name) + 8 * number

    def row(self, name):
        return ROW.unpack_from(self.memory, self.at(name))

    def fail(self, name, nth, error=0, lasting=False):
        """The `nth` call of the class from now on fails, with `error` or what the class has; when it is
        `lasting`, so does every later one."""
        # `left` last: it is what the gateway looks at.
        struct.pack_into("=qqqq", self.memory, self.at(name, 1), error, 0, 0, lasting)
        struct.pack_into("=q", self.memory, self.at(name), nth)

    def stop(self, name):
        """No further call fails. True when one did."""
        struct.pack_into("=q", self.memory, self.at(name, 4), 0)
        struct.pack_into("=q", self.memory, self.at(name), 0)
        return self.failed(name)

    def hold(self, name, held=True):
        """Calls of the class do not return until it is held no more."""
        struct.pack_into("=q", self.memory, self.at(name, 5), held)

    def failed(self, name):
        return bool(self.row(name)[3])

    def calls(self, name):
        return self.row(name)[2]

    def clocks(self, passed_s, set_s=0):
        """What the gateway's clocks say from now on: both are ahead by `passed_s`, and the wall clock, which
        somebody has set, by `set_s` more, or less."""
        struct.pack_into("=qq", self.memory, CLOCKS, passed_s, set_s)
