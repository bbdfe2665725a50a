# For gdb's Python: Ctrl-C at a moment that the guest's progress says, however fast the host is.

import os
import threading
import time

import gdb


def interrupt_when(condition=lambda: True):
    """Interrupts the guest once, when it runs next and the condition holds."""

    def look():
        # Called by gdb's event loop. While a command of a script waits for the guest, nothing else calls it.
        if gdb.selected_thread() is not None and gdb.selected_thread().is_running() and condition():
            gdb.execute("interrupt")
        else:
            later()

    def later():
        threading.Timer(0.1, lambda: gdb.post_event(look)).start()

    later()


def shown(text):
    """The guest has printed the text."""
    return lambda: text in open(os.environ["GUEST"], errors="replace").read()


def worked(seconds):
    """The guest's process has used so much processor time from now on."""

    def used():
        fields = open("/proc/%s/stat" % os.environ["PROCESS"]).read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    start = used()
    return lambda: used() >= start + seconds
