"""The few forms of PromQL that the dashboards are made of."""

from tools.grafana.panels import Query

_STEP = "$__rate_interval"


def rate(counter: str, *by: str, where: str = "") -> str:
    """Return how often something happens, in a second."""
    return f"{_of('sum', by)}(rate({counter}{_braced(where)}[{_STEP}]))"


def growth(counter: str, *by: str, where: str = "") -> str:
    """Return how often something happened, in the time of one point."""
    return f"{_of('sum', by)}(increase({counter}{_braced(where)}[{_STEP}]))"


def total(gauge: str, *by: str, where: str = "") -> str:
    """Return the sum over processes: of what each reports of itself only."""
    return f"{_of('sum', by)}({gauge}{_braced(where)})"


def whole(gauge: str, *by: str, where: str = "") -> str:
    """Return a figure of the whole system, which each process reports alike, or the highest of several."""
    return f"{_of('max', by)}({gauge}{_braced(where)})"


def quantile(share: float, histogram: str, *by: str, where: str = "") -> str:
    """Return what this share of the values of a histogram does not exceed."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', *by, 'le', where=where)})"


def quantiles(histogram: str, where: str = "") -> tuple[Query, ...]:
    """Return the median, and the 95th and 99th percentile."""
    return tuple(
        Query(expr=quantile(share, histogram, where=where), legend=f"p{share * 100:.0f}")
        for share in (0.5, 0.95, 0.99)
    )


def mean(histogram: str, *by: str) -> str:
    """Return the mean of the values of a histogram."""
    return f"{rate(f'{histogram}_sum', *by)} / {rate(f'{histogram}_count', *by)}"


def _of(operator: str, by: tuple[str, ...]) -> str:
    return f"{operator} by ({', '.join(by)}) " if by else operator


def _braced(where: str) -> str:
    return f"{{{where}}}" if where else ""
