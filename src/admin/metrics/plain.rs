//! Prometheus text format 0.0.4 from OpenMetrics text. They differ in what names a counter, in units, and in the end.

/// The same page in the older format.
pub(super) fn from_openmetrics(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        // A counter is described under the name of its samples.
        let described = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = described.and_then(|rest| rest.split(' ').next());
        let is_counter = |line: &str, name: &str| {
            line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_prefix(name)) == Some(" counter")
        };
        match name {
            Some(name)
                if is_counter(line, name) || lines.peek().is_some_and(|next| is_counter(next, name)) =>
            {
                plain += &line.replacen(name, &format!("{name}_total"), 1);
            }
            _ => plain += line,
        }
        plain.push('\n');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_as_they_are_named() {
        let openmetrics = "# HELP a_b Counted.\n# TYPE a_b counter\na_b_total{x=\"counter\"} 1\n\
                           # HELP a_c Now.\n# TYPE a_c gauge\n# UNIT a_c seconds\na_c 2\n# EOF\n";
        let plain = "# HELP a_b_total Counted.\n# TYPE a_b_total counter\na_b_total{x=\"counter\"} 1\n\
                     # HELP a_c Now.\n# TYPE a_c gauge\na_c 2\n";
        assert_eq!(from_openmetrics(openmetrics), plain);
    }
}
