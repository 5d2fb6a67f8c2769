//! Whose a pod is by its name alone, where nobody can be asked: Kubernetes makes the names of pods by rules. What two rules
//! make alike is a workload of a kind that is not known. Pure.

use finwatch_engine::model::WorkloadKind;

use super::meta::cron_job;

/// What Kubernetes draws from: no vowels, and no digits that look like them (`k8s.io/apimachinery/pkg/util/rand`).
const DRAWN: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Characters that are drawn for a pod.
const DRAWN_OF_POD: usize = 5;
/// Least and most characters of the hash of a template: a number of 32 bits, a character a digit; short ones are rare.
const HASH: std::ops::RangeInclusive<usize> = 7..=10;

/// The kind and the name of the workload.
pub(super) fn workload(pod: &str) -> (WorkloadKind, &str) {
    let Some((stem, last)) = pod.rsplit_once('-').filter(|(stem, _)| !stem.is_empty()) else {
        return (WorkloadKind::Pod, pod);
    };
    if last.len() == DRAWN_OF_POD && is_drawn(last) {
        if let Some(name) = cron_job(stem) {
            return (WorkloadKind::CronJob, name);
        }
        return match stem.rsplit_once('-') {
            Some((name, hash)) if HASH.contains(&hash.len()) && is_drawn(hash) => {
                (WorkloadKind::Deployment, name)
            }
            // A DaemonSet, a Job or a ReplicaSet.
            _ => (WorkloadKind::Controller, stem),
        };
    }
    match last.bytes().all(|b| b.is_ascii_digit()) {
        true => (WorkloadKind::StatefulSet, stem),
        false => (WorkloadKind::Pod, pod),
    }
}

fn is_drawn(text: &str) -> bool {
    text.bytes().all(|b| DRAWN.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_by_which_names_are_made_are_read_backwards() {
        for (pod, kind, name) in [
            ("web-7d4b9c5f6-x2x5k", "deployment", "web"),
            ("web-front-85b5bf6f77-9vx7k", "deployment", "web-front"),
            ("db-12", "statefulset", "db"),
            ("report-29412345-8xkqz", "cronjob", "report"),
            ("node-exporter-9vx7k", "controller", "node-exporter"),
            ("bare", "pod", "bare"),
            ("two-words", "pod", "two-words"),
            ("-x2x5k", "pod", "-x2x5k"),
        ] {
            let (of, called) = workload(pod);
            assert_eq!((of.as_str(), called), (kind, name), "{pod}");
        }
    }
}
