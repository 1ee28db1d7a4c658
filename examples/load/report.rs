//! What was measured, as aligned tables and as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// A name and a number, such as `("cpu us/token", 18.2)`.
pub type Metric = (&'static str, f64);

/// One table: a row per target or setting, a column per metric.
pub struct Table {
    /// The load's name, as it is given on the command line.
    pub load: &'static str,
    /// What was done, for people.
    pub title: String,
    rows: Vec<(String, Vec<Metric>)>,
}

impl Table {
    /// A table without rows.
    pub fn new(load: &'static str, title: impl Into<String>) -> Self {
        Self { load, title: title.into(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, name: impl Into<String>, metrics: Vec<Metric>) {
        self.rows.push((name.into(), metrics));
    }

    /// Adds a row of medians: each metric's over several rounds.
    pub fn medians(&mut self, name: impl Into<String>, rounds: &[Vec<Metric>]) {
        let Some(first) = rounds.first() else { return };
        let metrics = first
            .iter()
            .enumerate()
            .map(|(column, &(name, _))| {
                let values = rounds.iter().filter_map(|round| round.get(column)).map(|&(_, value)| value);
                (name, median(values.collect()))
            })
            .collect();
        self.row(name, metrics);
    }

    /// Adds a column to each row: `metric` as a multiple of row `base`'s.
    pub fn ratio(&mut self, column: &'static str, metric: &str, base: &str) {
        let find = |metrics: &[Metric]| metrics.iter().find(|(name, _)| *name == metric).map(|&(_, value)| value);
        let Some(base) = self.rows.iter().find(|(name, _)| name == base).and_then(|(_, metrics)| find(metrics)) else {
            return;
        };
        for (_, metrics) in &mut self.rows {
            if let Some(value) = find(metrics) {
                metrics.push((column, value / base));
            }
        }
    }

    /// The table as text.
    pub fn text(&self) -> String {
        let mut columns: Vec<&str> = Vec::new();
        for (name, _) in self.rows.iter().flat_map(|(_, metrics)| metrics) {
            if !columns.contains(name) {
                columns.push(name);
            }
        }
        let mut cells = vec![std::iter::once(String::new()).chain(columns.iter().map(|&name| name.into())).collect()];
        for (name, metrics) in &self.rows {
            let mut line = vec![name.clone()];
            for column in &columns {
                let value = metrics.iter().find(|(name, _)| name == column).map(|&(_, value)| value);
                line.push(value.filter(|value| value.is_finite()).map_or("-".into(), number));
            }
            cells.push(line);
        }
        let widths: Vec<usize> = (0..=columns.len())
            .map(|i| cells.iter().map(|line: &Vec<String>| line[i].len()).max().unwrap_or(0))
            .collect();
        let mut text = format!("{}: {}\n", self.load, self.title);
        for line in cells {
            let _ = write!(text, "  {:<width$}", line[0], width = widths[0]);
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                let _ = write!(text, "  {cell:>width$}");
            }
            text.push('\n');
        }
        text
    }

    /// The table as JSON.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|(name, metrics)| {
                let mut row = Map::new();
                row.insert("name".into(), json!(name));
                row.extend(metrics.iter().map(|&(name, value)| (name.to_owned(), json!(value))));
                Value::Object(row)
            })
            .collect();
        json!({"load": self.load, "title": self.title, "rows": rows})
    }
}

/// Three or so digits: more would be noise.
fn number(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle value; of an even number of values, the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (half, is_odd) = (values.len() / 2, values.len() % 2 == 1);
    match values.get(half) {
        None => f64::NAN,
        Some(&value) if is_odd => value,
        Some(&value) => (value + values[half - 1]) / 2.0,
    }
}

/// The value below which a share of the values lie, in microseconds. `nanos` is sorted by this.
pub fn percentile_micros(nanos: &mut [u32], share: f64) -> f64 {
    nanos.sort_unstable();
    let index = (nanos.len() as f64 * share) as usize;
    nanos.get(index.min(nanos.len().saturating_sub(1))).map_or(f64::NAN, |&nanos| f64::from(nanos) / 1000.0)
}
