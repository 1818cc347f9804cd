"""The Kafka Connect REST API over a ``ConnectorStore``.

``app`` puts the pieces together. ``dialect`` holds what all answers have in common (content types,
trailing slashes, time limit), ``errors`` how exceptions become answers, ``body`` what requests may
say, ``entities`` how the store's objects look in JSON. ``server`` and ``listeners`` are how the app
is served. Every other module is one family of endpoints.
"""
