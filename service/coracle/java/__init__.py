"""What Java means, in Python: patterns, formats and texts that people's configurations rely on.

Existing configurations and existing data hold Java's notations. Each module here gives one of them
exactly Java's meaning, as pure functions without I/O: ``regex`` (``java.util.regex``),
``date_format`` (``SimpleDateFormat``), ``time_zone`` (``ZoneId``), ``floats`` (``Double.toString``)
and ``text`` (``toString`` of Connect's values). Imports only ``coracle.api`` of Coracle.
"""
