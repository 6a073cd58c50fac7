"""What ``/metrics`` says, in the text format of Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from genprm.refining import Refinement
from genprm.sandbox.stats import Stats
from genprm.serving.cache import Cache
from genprm.serving.limits import Gate
from genprm.types import Critique

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_VERDICTS = {True: "right", False: "wrong", None: "none"}

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of which nobody asks


class Metrics:
    """Counters of one server. Texts and names of keys are no labels, so their number stays small."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests answered.", "route", "status")
        self._seconds = Histogram(
            "genprm_request_seconds",
            "Seconds from the headers of a request to the end of its answer.",
            ["route"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._asked = self._counter(
            "cache_lookups", "Asked for, critiques and refinements: hit, miss, shared.", "result"
        )
        self._made = self._counter("critiques", "Critiques made, by outcome.", "outcome")
        self._steps = self._counter("steps", "Steps judged, by verdict: right, wrong, none.", "verdict")
        self._votes = self._counter("votes", "Votes on steps: yes, no, missing.", "vote")
        self._rationales = self._counter("rationales", "Rationales sampled, by outcome.", "outcome")
        self._tokens = self._counter("tokens", "Tokens: prompt (cached: part of it), completion.", "kind")
        self._refined = self._counter("refinements", "Refinements made, by outcome.", "outcome")
        self._versions = self._counter("versions", "Versions of refinements, by state.", "state")
        self._policy = self._counter("policy_tokens", "Tokens of the policy: prompt, completion.", "kind")

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def asked(self, result: str) -> None:
        self._asked.labels(result).inc()

    def made(self, critique: Critique) -> None:
        """A critique was made: not one from the cache."""
        self._made.labels(critique.outcome).inc()
        usage = critique.usage
        for kind, count in (
            ("prompt", usage.prompt_tokens),
            ("cached", usage.cached_tokens),
            ("completion", usage.completion_tokens),
        ):
            self._tokens.labels(kind).inc(count)
        for step in critique.steps:
            self._steps.labels(_VERDICTS[step.correct]).inc()
            for vote, count in (("yes", step.votes.yes), ("no", step.votes.no), ("missing", step.votes.missing)):
                self._votes.labels(vote).inc(count)
        for rationale in (*critique.judgements, *(r for step in critique.steps for r in step.rationales)):
            self._rationales.labels(rationale.outcome).inc()

    def refined(self, refinement: Refinement) -> None:
        """A refinement was made; its critiques count as such."""
        self._refined.labels(refinement.outcome).inc()
        for version in refinement.versions:
            self._versions.labels(version.state).inc()
            self._policy.labels("prompt").inc(version.usage.prompt_tokens)
            self._policy.labels("completion").inc(version.usage.completion_tokens)

    def watch(self, gate: Gate, cache: Cache, sandbox: Stats) -> None:
        """Read these whenever somebody asks."""
        self.registry.register(_State(gate, cache, sandbox))

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"genprm_{name}", text, labels, registry=self.registry)


class _State(Collector):
    def __init__(self, gate: Gate, cache: Cache, sandbox: Stats) -> None:
        self._gate = gate
        self._cache = cache
        self._sandbox = sandbox

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("genprm_in_flight", "Solutions being judged.", self._gate.running)
        yield GaugeMetricFamily("genprm_queue_depth", "Solutions that wait.", max(self._gate.waiting, 0))
        yield GaugeMetricFamily("genprm_cache_entries", "Critiques and refinements kept.", len(self._cache))
        yield GaugeMetricFamily("genprm_cache_bytes", "Their size as JSON.", self._cache.size)
        checks = CounterMetricFamily(
            "genprm_checks", "Checks run in the sandbox, by how they ended.", labels=["status"]
        )
        for status, count in self._sandbox.checks.items():
            checks.add_metric([status], count)
        yield checks
        yield CounterMetricFamily("genprm_sandbox_starts", "Warm processes started.", self._sandbox.starts)
