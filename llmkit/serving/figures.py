"""What a server counts, as Prometheus reads it: numbers by route and outcome, never a word of anybody's."""

import time
from collections import Counter

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds


class Figures:
    """Requests by route and status, their seconds, and tokens that were written."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: Counter[str] = Counter()
        self.buckets: Counter[tuple[str, float]] = Counter()
        self.tokens = 0
        self.started = time.time()

    def count(self, route: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        self.requests[route, status] += 1
        self.seconds[route] += seconds  # type: ignore[assignment]
        for bucket in BUCKETS:
            if seconds <= bucket:
                self.buckets[route, bucket] += 1

    def text(self, waiting: dict[str, int]) -> str:
        """The figures; `waiting`: requests that wait, by model."""
        lines = [
            "# HELP llmkit_requests_total Requests answered, by route and status.",
            "# TYPE llmkit_requests_total counter",
        ]
        for (route, status), count in sorted(self.requests.items()):
            lines.append(f'llmkit_requests_total{{route="{route}",status="{status}"}} {count}')
        lines += [
            "# HELP llmkit_request_seconds Seconds from a request's head to the end of its answer.",
            "# TYPE llmkit_request_seconds histogram",
        ]
        for route in sorted(self.seconds):
            total = sum(count for (of, _), count in self.requests.items() if of == route)
            for bucket in BUCKETS:
                found = self.buckets[route, bucket]
                lines.append(f'llmkit_request_seconds_bucket{{route="{route}",le="{bucket}"}} {found}')
            lines.append(f'llmkit_request_seconds_bucket{{route="{route}",le="+Inf"}} {total}')
            lines.append(f'llmkit_request_seconds_sum{{route="{route}"}} {self.seconds[route]:.6f}')
            lines.append(f'llmkit_request_seconds_count{{route="{route}"}} {total}')
        lines += [
            "# HELP llmkit_tokens_total Tokens written.",
            "# TYPE llmkit_tokens_total counter",
            f"llmkit_tokens_total {self.tokens}",
            "# HELP llmkit_waiting Requests that wait, by model.",
            "# TYPE llmkit_waiting gauge",
        ]
        lines += [f'llmkit_waiting{{model="{name}"}} {count}' for name, count in sorted(waiting.items())]
        lines += ["# TYPE llmkit_started_seconds gauge", f"llmkit_started_seconds {self.started:.0f}"]
        return "\n".join(lines) + "\n"
