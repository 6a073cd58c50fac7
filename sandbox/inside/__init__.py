"""What runs behind the wall: the warm process (``boot`` to ``zygote``) and its children (``confine`` and on)."""
