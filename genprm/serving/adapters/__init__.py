"""What training frameworks expect: reward functions of TRL and verl, which ask a server, and OpenRLHF's own request.

from genprm.serving.adapters import trl_reward
trainer = GRPOTrainer(model, reward_funcs=trl_reward("http://127.0.0.1:8000"), ...)
"""

from genprm.serving.adapters.trl import trl_reward
from genprm.serving.adapters.verl import compute_score, verl_reward

__all__ = ["compute_score", "trl_reward", "verl_reward"]
