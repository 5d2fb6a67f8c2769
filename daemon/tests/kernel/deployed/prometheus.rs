//! A real Prometheus that scrapes the daemon and evaluates the project's rules, in the calling thread's network
//! namespace.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{daemon, web};
use crate::harness::wait_until;

const PORT: u16 = 9_090;
/// What the daemon is called.
pub(crate) const INSTANCE: &str = "127.0.0.1:10346";

/// A running Prometheus; it is killed, and its data removed, when dropped.
pub(crate) struct Prometheus {
    child: Child,
    folder: TempDir,
}

/// A rule as Prometheus has understood it.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) is_alert: bool,
}

impl Prometheus {
    /// Starts it and waits for the first scrape.
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, configuration()).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}/data",
                folder.path().display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{PORT}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus starts; Debian's package is prometheus");
        let mut server = Self { child, folder };
        wait_until("Prometheus has scraped finwatch", || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "Prometheus ended:\n{}", server.log());
            web::get(PORT, "/-/ready").is_ok_and(|(status, _)| status == 200)
                && server.last_scrape().is_some()
        });
        server
    }

    /// When finwatch was last scraped with success, seconds since the epoch.
    pub(crate) fn last_scrape(&self) -> Option<f64> {
        let found = self.query("timestamp(finwatch_build_info)", None);
        found.first()?["value"][1].as_str()?.parse().ok()
    }

    /// What an expression gives at a time, or now.
    #[track_caller]
    pub(crate) fn query(&self, expression: &str, at: Option<f64>) -> Vec<Value> {
        let at = at.map(|at| format!("&time={at:.3}")).unwrap_or_default();
        let expression = web::encoded(expression);
        result(&format!("/api/v1/query?query={expression}{at}"))
    }

    /// What an expression gives from one time to another, each second.
    #[track_caller]
    pub(crate) fn query_range(&self, expression: &str, from: f64, until: f64) -> Vec<Value> {
        let expression = web::encoded(expression);
        result(&format!(
            "/api/v1/query_range?query={expression}&start={from:.3}&end={until:.3}&step=1"
        ))
    }

    /// The values of a label, as a dashboard's variable asks for them.
    #[track_caller]
    pub(crate) fn label_values(&self, label: &str, series: &str) -> Vec<String> {
        let series = web::encoded(series);
        let path = format!("/api/v1/label/{label}/values?match%5B%5D={series}");
        let values = web::json(PORT, &path)["data"].take();
        serde_json::from_value(values).unwrap()
    }

    /// Every rule; each has been evaluated without an error.
    #[track_caller]
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let answer = web::json(PORT, "/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        rules
            .map(|rule| {
                assert_eq!(rule["health"], "ok", "{rule:#}");
                Rule {
                    name: rule["name"].as_str().unwrap().to_owned(),
                    query: rule["query"].as_str().unwrap().to_owned(),
                    is_alert: rule["type"] == "alerting",
                }
            })
            .collect()
    }

    /// Names of the alerts that fire on a workload; an empty one: on finwatch itself.
    pub(crate) fn firing(&self, workload: &str) -> BTreeSet<String> {
        let answer = web::json(PORT, "/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        let label = |alert: &Value, name: &str| {
            let value = alert["labels"][name].as_str();
            value.unwrap_or_default().to_owned()
        };
        alerts
            .iter()
            .filter(|alert| alert["state"] == "firing" && label(alert, "workload") == workload)
            .map(|alert| label(alert, "alertname"))
            .collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs `promtool` where the rules are; it must agree.
#[track_caller]
pub(crate) fn promtool(arguments: &[&str], stdin: Stdio) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(dashboards())
        .stdin(stdin)
        .output()
        .expect("promtool starts; Debian's package is prometheus");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "promtool {arguments:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// The folder of the dashboard and the rules.
pub(crate) fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../dashboards")
        .canonicalize()
        .unwrap()
}

#[track_caller]
fn result(path: &str) -> Vec<Value> {
    let mut answer = web::json(PORT, path);
    assert_eq!(answer["status"], "success", "{path}: {answer}");
    serde_json::from_value(answer["data"]["result"].take()).unwrap()
}

fn configuration() -> String {
    assert_eq!(INSTANCE, format!("127.0.0.1:{}", daemon::PORT));
    let rules = dashboards().join("rules.yaml");
    format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: [{rules:?}]
scrape_configs:
  - job_name: finwatch
    static_configs: [{{targets: [\"{INSTANCE}\"]}}]
"
    )
}
