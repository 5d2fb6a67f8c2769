//! What a scenario deploys.

use serde_json::json;

use super::images::SERVER;
use super::scenarios::{Kind, Scenario};

/// The server's second port, on which it can be told to take memory.
pub(super) const CONTROL: u16 = 9001;

/// The namespace, the workload and its Service.
pub(super) fn manifests(scenario: &Scenario) -> String {
    let namespace = scenario.namespace();
    let port = scenario.port();
    let life = match scenario.pre_stop_secs {
        0 => String::new(),
        secs => format!("lifecycle: {{preStop: {{sleep: {{seconds: {secs}}}}}}}"),
    };
    let resources = match scenario.memory {
        "" => String::new(),
        memory => format!("resources: {{limits: {{memory: {memory}}}}}"),
    };
    let workload = format!(
        "apiVersion: apps/v1
kind: {kind}
metadata: {{name: web}}
spec:
  {own}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      enableServiceLinks: false
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: {grace}
      containers:
      - name: web
        image: {SERVER}
        imagePullPolicy: Never
        command: {command}
        {life}
        {resources}
",
        kind = scenario.kind.names().1,
        own = own(scenario),
        grace = scenario.grace_secs,
        command = command(scenario),
    );
    let service = format!(
        "apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  clusterIP: {}
  selector: {{app: web}}
  ports: [{{port: {port}, targetPort: {port}}}]
",
        scenario.address()
    );
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\n{}---\n{}",
        in_namespace(&namespace, &workload),
        in_namespace(&namespace, &service)
    )
}

/// What only this kind of workload has.
fn own(scenario: &Scenario) -> String {
    let replicas = scenario.replicas;
    match scenario.kind {
        Kind::Deployment => format!("replicas: {replicas}"),
        Kind::StatefulSet => format!("replicas: {replicas}\n  serviceName: web"),
        Kind::DaemonSet => {
            "updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}".to_owned()
        }
    }
}

/// The words of the container's first process.
fn command(scenario: &Scenario) -> String {
    let Scenario { mode, answer, .. } = scenario;
    let server = format!("/server {mode} :{} {answer} :{CONTROL}", scenario.port());
    // What comes behind it keeps the shell from giving the server its place.
    let command = if scenario.in_shell {
        json!(["/busybox", "sh", "-c", format!("{server}; exit")])
    } else {
        json!(server.split(' ').collect::<Vec<_>>())
    };
    command.to_string()
}

/// Gives an object its namespace.
pub(super) fn in_namespace(namespace: &str, manifest: &str) -> String {
    manifest.replacen(
        "metadata: {name:",
        &format!("metadata: {{namespace: {namespace}, name:"),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_an_object_in_its_namespace() {
        assert_eq!(
            in_namespace("a", "metadata: {name: web}\nmetadata: {name: x}"),
            "metadata: {namespace: a, name: web}\nmetadata: {name: x}"
        );
    }
}
