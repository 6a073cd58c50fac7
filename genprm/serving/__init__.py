"""The service: critiques, step scores and rankings over HTTP, and a page that shows a critique while it is made.

From the wire inwards: ``server`` (sockets, signals), ``guard`` (who may ask, how much), ``app`` and ``routes`` (what
can be asked), ``bodies`` (what is read), ``service`` (the critic, its cache and its queue). ``adapters`` are for
training frameworks. What is seen in a browser lies in ``page``.
"""
