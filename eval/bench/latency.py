"""How long one iteration of a serving engine takes: a roofline with stated efficiencies.

An iteration reads the weights once and the keys and values of every running sequence, and computes all its tokens (one
for each sequence that decodes, a chunk of the prompt for each that does not yet). It is bound by memory or by
computation, whichever takes longer, and the host adds its share for scheduling::

    bytes   = w P + kv * (tokens of context of all sequences in the iteration)
    flops   = 2 P * tokens + a * (sum over tokens of the context before it)
    seconds = max(bytes / (e_m * bandwidth), flops / (e_c * compute)) + t_0 + t_1 * sequences

P: parameters, w: bytes of each; kv = 2 * layers * kv_heads * head_dim * 2 bytes; a = 4 * layers * heads * head_dim
(scores and values). The numbers and what they were checked against: ``docs/throughput.md``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """What a GPU can do, and how much of it a serving engine gets."""

    name: str = "H100 SXM 80 GB"
    bandwidth: float = 3.35e12
    """Bytes per second (NVIDIA H100 data sheet)."""
    compute: float = 989e12
    """bf16 FLOP per second without sparsity (same)."""
    memory: float = 80e9
    memory_share: float = 0.9
    """Of the memory, what the engine takes for weights and cache (vLLM's default)."""
    memory_efficiency: float = 0.8
    """e_m, assumed."""
    compute_efficiency: float = 0.5
    """e_c, assumed."""
    iteration_s: float = 1.0e-3
    """t_0, assumed: launch, scheduler, sampling, detokenising."""
    sequence_s: float = 20e-6
    """t_1, assumed."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a transformer: by default Qwen2.5-7B, on which GenPRM-7B stands (its config.json)."""

    name: str = "Qwen2.5-7B"
    parameters: float = 7.62e9
    layers: int = 28
    heads: int = 28
    kv_heads: int = 4
    head_dim: int = 128
    weight_width: int = 2
    """Bytes of a parameter: 2 for bf16, 1 for fp8. Keys and values are bf16 in any case."""

    @property
    def weight_bytes(self) -> float:
        return self.weight_width * self.parameters

    @property
    def kv_bytes(self) -> int:
        """Of one token, keys and values of all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * 2

    @property
    def attention_flops(self) -> int:
        """Of one token, for each token of context before it."""
        return 4 * self.layers * self.heads * self.head_dim


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of iterations, and the tokens that fit."""

    device: Device = Device()
    shape: Shape = Shape()

    @property
    def cache_tokens(self) -> int:
        """Tokens whose keys and values fit beside the weights."""
        return int((self.device.memory * self.device.memory_share - self.shape.weight_bytes) / self.shape.kv_bytes)

    def seconds(self, sequences: int, tokens: int, context: int, attended: int) -> float:
        """One iteration over ``sequences``, that computes ``tokens``.

        ``context``: tokens of context of all sequences; ``attended``: the contexts summed over the computed tokens,
        which for a decoding sequence is its context once.
        """
        device, shape = self.device, self.shape
        read = shape.weight_bytes + shape.kv_bytes * context
        flops = 2 * shape.parameters * tokens + shape.attention_flops * attended
        roofline = max(
            read / (device.bandwidth * device.memory_efficiency), flops / (device.compute * device.compute_efficiency)
        )
        return roofline + device.iteration_s + device.sequence_s * sequences
