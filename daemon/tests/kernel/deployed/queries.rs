//! Every query of the dashboard, taken from the file, with its variables filled in as Grafana does.

use std::{fs, time::Duration};

use serde_json::Value;

use super::prometheus::dashboards;

/// A query and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The panel, variable or annotation.
    pub(crate) place: String,
    /// Of one instant, and not of a stretch of time.
    pub(crate) instant: bool,
    expression: String,
}

/// The queries of the panels, and those of the annotations.
pub(crate) fn queries() -> Vec<Query> {
    let dashboard = dashboard();
    let panels = list(&dashboard["panels"]).iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        list(&panel["targets"]).iter().map(move |target| Query {
            place: format!("panel {title}, {}", target["refId"].as_str().unwrap()),
            instant: target["instant"] == true,
            expression: target["expr"].as_str().unwrap().to_owned(),
        })
    });
    let annotations = list(&dashboard["annotations"]["list"])
        .iter()
        .filter_map(|annotation| {
            Some(Query {
                place: format!("annotation {}", annotation["name"].as_str().unwrap()),
                instant: false,
                expression: annotation["expr"].as_str()?.to_owned(),
            })
        });
    panels.chain(annotations).collect()
}

/// The variables that Prometheus fills: name, label, and the series that have it.
pub(crate) fn variables() -> Vec<(String, String, String)> {
    let dashboard = dashboard();
    let variables = list(&dashboard["templating"]["list"]).iter();
    variables
        .filter(|variable| variable["type"] == "query")
        .map(|variable| {
            let query = variable["query"]["query"].as_str().unwrap();
            let inner = query
                .strip_prefix("label_values(")
                .unwrap()
                .strip_suffix(')')
                .unwrap();
            let (series, label) = inner.rsplit_once(", ").unwrap();
            let name = variable["name"].as_str().unwrap();
            (name.to_owned(), label.to_owned(), series.to_owned())
        })
        .collect()
}

impl Query {
    /// The query with these values in place of the variables, the time shown, and the window of a rate.
    pub(crate) fn filled(&self, values: &[(&str, &str)], range: &str, window: Duration) -> String {
        let filled = filled(&self.expression, values)
            .replace("$__rate_interval_ms", &window.as_millis().to_string())
            .replace("$__rate_interval", &format!("{}s", window.as_secs()))
            .replace("$__range", range);
        assert!(!filled.contains('$'), "{}: {filled}", self.place);
        filled
    }
}

/// A text with these values in place of the variables.
pub(crate) fn filled(text: &str, values: &[(&str, &str)]) -> String {
    let fill =
        |text: String, (name, value): &(&str, &str)| text.replace(&format!("${name}"), value);
    values.iter().fold(text.to_owned(), fill)
}

fn dashboard() -> Value {
    let text = fs::read_to_string(dashboards().join("rollouts.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
