//! Bodies and lines as a kube-apiserver of 1.34.4 wrote them, but for what is filled in, and for `managedFields`.

const KIND: &str = r#""kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1""#;

/// A pod of the Deployment `web`, by its uid, name and version.
pub(crate) fn pod(uid: &str, name: &str, version: &str) -> String {
    format!(
        r#"{{{KIND},"metadata":{{"name":"{name}","namespace":"shop","uid":"{uid}","resourceVersion":"{version}","generation":1,"creationTimestamp":"2026-11-30T15:19:36Z","labels":{{"app":"web","pod-template-hash":"7d4b9c5f6"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d4b9c5f6","uid":"00000000-0000-0000-0000-000000000001","controller":true,"blockOwnerDeletion":true}}]}}}}"#
    )
}

/// A list at this version.
pub(crate) fn list(version: &str, pods: &[String]) -> String {
    format!(
        r#"{{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{{"resourceVersion":"{version}"}},"items":[{}]}}"#,
        pods.join(",")
    )
}

/// A pod came.
pub(crate) fn added(pod: &str) -> String {
    line("ADDED", pod)
}

/// A pod changed.
pub(crate) fn modified(pod: &str) -> String {
    line("MODIFIED", pod)
}

/// A pod is gone.
pub(crate) fn deleted(pod: &str) -> String {
    line("DELETED", pod)
}

/// Everything until this version was told.
pub(crate) fn bookmark(version: &str) -> String {
    let nothing = format!(r#"{{{KIND},"metadata":{{"resourceVersion":"{version}"}}}}"#);
    line("BOOKMARK", &nothing)
}

/// The version that was asked for is forgotten.
pub(crate) fn gone() -> String {
    line("ERROR", &refused(410, "Expired"))
}

/// The body of a refusal.
pub(crate) fn refused(code: u16, reason: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{reason}","reason":"{reason}","code":{code}}}"#
    )
}

fn line(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}
