"""The service: critiques, scores, rankings and refinements over HTTP, and a page that shows them while they are made.

From the wire inwards: ``server`` (sockets, signals), ``guard`` (who may ask, how much), ``app`` and ``routes`` (what
can be asked), ``bodies`` (what is read), ``service`` (the critic, its cache and its queue), ``refining`` (its policy).
``adapters`` are for training frameworks. What is seen in a browser lies in ``page``.
"""
