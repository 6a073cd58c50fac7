"""Saved runs, to be looked at: ``genprm view`` is a local page over run folders, ``genprm report`` one file of one."""
