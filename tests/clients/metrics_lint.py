"""Reads a page of metrics from standard input with Prometheus's own parsers, checks what holds for every page, and
prints its samples as JSON: {"name{label=value,...}": value}. The argument is the page's content type."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

LABELS = {"op", "code", "reason", "instance", "kind", "state", "version", "le"}


def check(family):
    name = family.name
    assert name.startswith("isochrome_"), name
    assert family.type in ("counter", "gauge", "histogram"), f"{name} is a {family.type}"
    assert family.documentation, f"{name} has no HELP"
    for wrong in ("_ms", "_us", "_mb", "_kib", "_percent"):
        assert not name.removesuffix("_total").endswith(wrong), f"{name} is in no base unit"
    if family.type != "counter":
        assert not name.endswith("_total"), f"{name} is no counter"
    seen = set()
    buckets = {}
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in seen, f"{key} is there twice"
        seen.add(key)
        assert set(sample.labels) <= LABELS, f"{key} has labels that nobody bounds"
        if sample.name.endswith("_bucket"):
            series = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
            buckets.setdefault(series, []).append((float(sample.labels["le"]), sample.value))
    for series, counts in buckets.items():
        assert counts == sorted(counts) and counts[-1][0] == float("inf"), f"{name} {series}: {counts}"
        values = [count for _, count in counts]
        assert values == sorted(values), f"{name} {series} is not cumulative"
        total = [s.value for s in family.samples
                 if s.name == f"{name}_count" and tuple(sorted(s.labels.items())) == series]
        assert total == [values[-1]], f"{name} {series}: {total} and {values[-1]}"


def main(content_type):
    text = sys.stdin.read()
    families = list((openmetrics if "openmetrics" in content_type else plain)(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family is there twice"
    samples = {}
    for family in families:
        check(family)
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}"] = sample.value
    json.dump(samples, sys.stdout)


main(sys.argv[1])
