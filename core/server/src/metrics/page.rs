//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

use cfgstore_replica::Histogram;

/// A page being written. Every name is written once, with all its samples.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// A pair of a label's name and value.
pub(super) type Label<'a> = (&'a str, &'a str);

impl Page {
    pub fn into_text(self) -> String {
        self.0
    }

    /// Begins the samples of `name`.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A gauge that is 1: what it says is in its label.
    pub fn fact(&mut self, name: &str, help: &str, label: &str, value: &str) {
        self.family(name, "gauge", help);
        self.sample(name, &[(label, value)], 1);
    }

    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        self.histogram_sample(name, &[], histogram);
    }

    pub fn histogram_sample(&mut self, name: &str, labels: &[Label<'_>], histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        let mut labels = labels.to_vec();
        let mut total = 0;
        for (at, bound) in histogram.bounds_secs.iter().enumerate() {
            total += histogram.counts.get(at).copied().unwrap_or(0);
            let bound = bound.to_string();
            self.sample(&bucket, &[&labels[..], &[("le", &bound)]].concat(), total);
        }
        total += histogram
            .counts
            .get(histogram.bounds_secs.len())
            .copied()
            .unwrap_or(0);
        labels.push(("le", "+Inf"));
        self.sample(&bucket, &labels, total);
        labels.pop();
        self.sample(&format!("{name}_sum"), &labels, histogram.sum_secs);
        self.sample(&format!("{name}_count"), &labels, total);
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_buckets_cumulated() {
        let mut page = Page::default();
        page.family("a", "gauge", "What it is.");
        page.sample("a", &[("x", "\"\\\n"), ("y", "")], 1.5);
        let histogram = Histogram {
            bounds_secs: &[0.001, 2.0],
            counts: vec![1, 2, 3],
            sum_secs: 7.25,
        };
        page.family("h", "histogram", "How long.");
        page.histogram_sample("h", &[("to", "b")], &histogram);
        let expected = r#"# HELP a What it is.
# TYPE a gauge
a{x="\"\\\n",y=""} 1.5
# HELP h How long.
# TYPE h histogram
h_bucket{to="b",le="0.001"} 1
h_bucket{to="b",le="2"} 3
h_bucket{to="b",le="+Inf"} 6
h_sum{to="b"} 7.25
h_count{to="b"} 6
"#;
        assert_eq!(page.into_text(), expected);
    }
}
