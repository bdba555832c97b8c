//! Families of samples on one page.

use std::fmt;
use std::sync::Mutex;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::metrics::HistogramView;

/// Microseconds in a second.
const SECOND_US: f64 = 1e6;

/// Labels of a sample.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// A page in the making. Names get the prefix `isochrome_`, those of counters the suffix `_total`.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

/// Makes a page, in OpenMetrics text.
pub(super) fn write(
    families: impl FnOnce(&mut Page<'_>) -> fmt::Result + Send + 'static,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("isochrome");
    registry.register_collector(Box::new(Once(Mutex::new(Some(families)))));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The library asks its collectors whenever a page is made; this one is there for a single page.
struct Once<F>(Mutex<Option<F>>);

impl<F> fmt::Debug for Once<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl<F: FnOnce(&mut Page<'_>) -> fmt::Result + Send + 'static> Collector for Once<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let families = self.0.lock().ok().and_then(|mut families| families.take());
        families.map_or(Ok(()), |families| families(&mut Page(encoder)))
    }
}

impl Page<'_> {
    /// A number that only grows.
    pub(super) fn counter<'l, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            with(&mut family, &labels, |metric| metric.encode_counter::<NoLabelSet, _, u64>(&value, None))?;
        }
        Ok(())
    }

    /// A number that goes up and down.
    pub(super) fn gauge<'l, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            with(&mut family, &labels, |metric| metric.encode_gauge(&value))?;
        }
        Ok(())
    }

    /// A gauge of one sample without labels.
    pub(super) fn number(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.gauge(name, help, [(Vec::new(), value)])
    }

    /// A counter of one sample without labels.
    pub(super) fn total(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        self.counter(name, help, [(Vec::new(), value)])
    }

    /// Distributions of durations that were taken in microseconds; the name ends in `_seconds`.
    pub(super) fn durations<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, HistogramView)>,
    ) -> fmt::Result {
        self.histogram(name, help, SECOND_US, samples)
    }

    /// Distributions of numbers of things.
    pub(super) fn sizes<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, HistogramView)>,
    ) -> fmt::Result {
        self.histogram(name, help, 1.0, samples)
    }

    fn histogram<'l>(
        &mut self,
        name: &str,
        help: &str,
        scale: f64,
        samples: impl IntoIterator<Item = (Labels<'l>, HistogramView)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, view) in samples {
            let buckets = view.buckets.iter().map(|(upto, count)| (*upto as f64 / scale, *count));
            let buckets: Vec<(f64, u64)> = buckets.chain([(f64::INFINITY, view.larger)]).collect();
            let sum = view.sum as f64 / scale;
            with(&mut family, &labels, |metric| {
                metric.encode_histogram::<NoLabelSet>(sum, view.count(), &buckets, None)
            })?;
        }
        Ok(())
    }
}

fn with(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_>,
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() { write(family) } else { write(&mut family.encode_family(labels)?) }
}
