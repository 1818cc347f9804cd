"""`make demo`: orders go from one database through Kafka into another, and are told about.

``__main__`` tells the story step by step. ``shop`` holds the two databases and the check of every
value, ``broker`` the embedded Kafka, ``worker`` is ``coracle run`` as a process of its own,
``topic`` looks into Kafka, ``processes`` stops what was started, ``screen`` is how it looks.
"""


class DemoError(Exception):
    """The demo cannot go on; the message is for the person who watches."""
