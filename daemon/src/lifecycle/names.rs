//! Finds out whose services are, and takes in new cgroups while their names can still be told. What is not known yet, or may be
//! known better later, is looked for again.

use std::{sync::Arc, time::Duration};

use finwatch_common::ServiceKey;
use finwatch_engine::{bounded::Bounded, model::Named, timing};
use tokio::sync::{mpsc, watch};

use super::{
    message::{Asker, Gone, Message},
    tasks::{Stop, Tasks},
};
use crate::{
    attribution::{Attribution, AttributionStats, Whose},
    kubernetes::{self, Change, Heard},
};

/// Most services that better names may come for: one that comes on top keeps the name that it has, at the longest unused one's
/// expense.
const OPEN_MAX: usize = 4_096;
/// Most requests that are taken in before what they change is looked at.
const BATCH: usize = 1_024;

/// What the tasks work with.
pub(super) struct Names {
    pub(super) attribution: Attribution,
    /// The API server that is watched for pods.
    pub(super) pods: Option<kubernetes::Api>,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    /// The other end of these.
    pub(super) to: mpsc::UnboundedSender<Request>,
}

/// What is asked for or told here.
pub(crate) enum Request {
    /// Whose are these? None of them: it is time to look for new cgroups.
    Services(Vec<ServiceKey>),
    /// Something became of a pod.
    Pod(Change),
}

// === impl Names ===

impl Names {
    /// Starts the tasks; returns where they tell their figures.
    pub(super) fn start(
        self,
        tasks: &mut Tasks,
        engine: &Asker,
    ) -> watch::Receiver<AttributionStats> {
        let Self {
            attribution,
            pods,
            requests,
            to,
        } = self;
        let (stats, figures) = watch::channel(attribution.stats());
        if let (Some(api), Some(heard)) = (pods, attribution.heard()) {
            let stop = tasks.stop_word();
            tasks.spawn("pods", watch_pods(api, heard, to.clone(), stop));
        }
        let interval = match attribution.knows_pods() {
            true => timing::POD_NAMES,
            false => timing::ROWS_READ,
        };
        tasks.spawn("name times", keep_time(to, interval, tasks.stop_word()));
        let engine = engine.clone();
        tasks.spawn_blocking("names", move || {
            serve(attribution, requests, &engine, &stats);
            Ok(())
        });
        figures
    }
}

/// Answers until nobody asks any more. Blocking: on a thread of its own.
fn serve(
    mut attribution: Attribution,
    mut requests: mpsc::UnboundedReceiver<Request>,
    engine: &Asker,
    stats: &watch::Sender<AttributionStats>,
) {
    let mut open = Open::default();
    while let Some(request) = requests.blocking_recv() {
        attribution.refresh();
        let mut answers = Answers::default();
        open.take(request, &mut attribution, &mut answers);
        for _ in 1..BATCH {
            match requests.try_recv() {
                Ok(request) => open.take(request, &mut attribution, &mut answers),
                Err(_) => break,
            }
        }
        open.look_again(&mut attribution, &mut answers);
        stats.send_replace(attribution.stats());
        if answers.tell(engine).is_err() {
            return;
        }
    }
}

/// Lets those who give names be told of pods, until the stop. Whatever goes wrong there, the daemon goes on.
async fn watch_pods(
    api: kubernetes::Api,
    heard: Arc<Heard>,
    names: mpsc::UnboundedSender<Request>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let tell = |change| {
        let _gone = names.send(Request::Pod(change));
    };
    tokio::select! {
        () = kubernetes::watch(&api, &heard, tell) => {}
        () = stop.said() => {}
    }
    Ok(())
}

/// Lets new cgroups be taken in although nobody asks, until the stop.
async fn keep_time(
    names: mpsc::UnboundedSender<Request>,
    interval: Duration,
    mut stop: Stop,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.said() => return Ok(()),
        }
        let _gone = names.send(Request::Services(Vec::new()));
    }
}

/// Services of which not everything is known, with what was told of each.
#[derive(Default)]
struct Open(Bounded<ServiceKey, Option<Named>, OPEN_MAX>);

/// What is told next.
#[derive(Default)]
struct Answers {
    named: Vec<(ServiceKey, Named)>,
    elsewhere: Vec<ServiceKey>,
}

// === impl Open ===

impl Open {
    fn take(&mut self, request: Request, attribution: &mut Attribution, answers: &mut Answers) {
        match request {
            Request::Services(services) => {
                for service in services {
                    self.0.remove(&service);
                    self.look(service, None, attribution, answers);
                }
            }
            Request::Pod(change) => attribution.pod(change),
        }
    }

    fn look_again(&mut self, attribution: &mut Attribution, answers: &mut Answers) {
        let open: Vec<_> = self
            .0
            .iter()
            .map(|(service, told)| (*service, told.clone()))
            .collect();
        for (service, told) in open {
            self.look(service, told, attribution, answers);
        }
    }

    fn look(
        &mut self,
        service: ServiceKey,
        told: Option<Named>,
        attribution: &mut Attribution,
        answers: &mut Answers,
    ) {
        let told = match attribution.whose(&service) {
            Whose::Known(named) => {
                self.0.remove(&service);
                if told.as_ref() != Some(&named) {
                    answers.named.push((service, named));
                }
                return;
            }
            Whose::Elsewhere => {
                self.0.remove(&service);
                answers.elsewhere.push(service);
                return;
            }
            Whose::SoFar(named) => {
                if told.as_ref() != Some(&named) {
                    answers.named.push((service, named.clone()));
                }
                Some(named)
            }
            Whose::Later => told,
        };
        match self.0.get_mut(&service) {
            Some(before) => *before = told,
            None => drop(self.0.insert(service, told)),
        }
    }
}

// === impl Answers ===

impl Answers {
    fn tell(self, engine: &Asker) -> Result<(), Gone> {
        let Self { named, elsewhere } = self;
        if !named.is_empty() {
            engine.say(Message::Names(named))?;
        }
        if !elsewhere.is_empty() {
            engine.say(Message::Elsewhere(elsewhere))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use finwatch_common::{Phase, Role};

    use super::*;
    use crate::{
        attribution::AttributionOptions,
        kubernetes::{Api, PodMeta, Source},
    };

    const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";
    const UID: &str = "4ab0e6a2-0f0c-4c59-9d3c-7f1c7a3b2d11";

    #[test]
    fn whose_pod_is_not_known_yet_is_answered_once_it_is() {
        let tree = tempfile::tempdir().unwrap();
        let container = tree.path().join(format!("kubepods/pod{UID}/{ID}"));
        fs::create_dir_all(&container).unwrap();
        let mut service = ServiceKey::other(Role::Server, Phase::Steady);
        service.cgroup = fs::metadata(&container).unwrap().ino();
        let mut attribution = Attribution::new(&AttributionOptions {
            cgroup_root: Some(tree.path().to_owned()),
            host_root: tree.path().to_owned(),
            pods: Source {
                api: Some(Api {
                    node: "node-1".to_owned(),
                    kubeconfig: None,
                }),
                ..Source::default()
            },
        });
        let mut open = Open::default();
        let mut round = |request| {
            let mut answers = Answers::default();
            open.take(request, &mut attribution, &mut answers);
            open.look_again(&mut attribution, &mut answers);
            let named = answers.named.into_iter();
            let told: Vec<_> = named.map(|(of, named)| (of, named.workload.name)).collect();
            (told, open.0.len())
        };
        let nothing = || Request::Services(Vec::new());
        assert_eq!(round(Request::Services(vec![service])), (vec![], 1));
        assert_eq!(round(nothing()), (vec![], 1));
        let pod = PodMeta {
            uid: UID.to_owned(),
            name: "bare".to_owned(),
            ..PodMeta::default()
        };
        let told = vec![(service, "bare".to_owned())];
        assert_eq!(round(Request::Pod(Change::Applied(pod))), (told.clone(), 0));
        assert_eq!(round(nothing()), (vec![], 0), "once");
        assert_eq!(
            round(Request::Services(vec![service])),
            (told, 0),
            "who asks again"
        );
    }
}
