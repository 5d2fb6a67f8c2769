//! The story's metrics. A service has them once it had a drain or an incident: every verdict of a kind of drain at once, so that the
//! end of the first such drain is seen as a rise; durations and diagnoses as they occur.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

use super::{
    catalog::{self, Family},
    encode::{counter, gauge, metric},
    labels::{Labels, StoryLabels},
};
use finwatch_engine::model::{
    DURATION_BOUNDS_SECS, Durations, RecentRollout, Service, ServiceFigures, Source, StoryFigures,
    Verdict,
};

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, story: &StoryFigures) -> fmt::Result {
    let StoryFigures {
        services,
        rollouts,
        recent,
        // That is finwatch's own affair, and shown there.
        folded: _,
    } = story;
    let services: Vec<_> = services.iter().collect();
    drains(out, &services)?;
    durations(out, &services)?;
    opened_after_signal(out, &services)?;
    diagnoses(out, &services)?;
    incidents(out, &services)?;
    let mut ended = metric(out, &catalog::ROLLOUTS)?;
    for source in Source::ALL {
        for verdict in Verdict::ALL {
            let labels = [("source", source.as_str()), ("verdict", verdict.as_str())];
            let count = rollouts.get(&(source, verdict)).copied();
            counter(&mut ended, &Labels(&labels), count.unwrap_or(0))?;
        }
    }
    recent_rollouts(out, recent)
}

type Services<'a> = [(&'a Service, &'a ServiceFigures)];

fn drains(out: &mut DescriptorEncoder<'_>, services: &Services<'_>) -> fmt::Result {
    let mut out = metric(out, &catalog::DRAINS)?;
    for (service, figures) in services {
        for ((kind, verdict), count) in &figures.drains {
            let more = [("kind", kind.as_str()), ("verdict", verdict.as_str())];
            counter(&mut out, &of(service, &more), *count)?;
        }
    }
    Ok(())
}

fn durations(out: &mut DescriptorEncoder<'_>, services: &Services<'_>) -> fmt::Result {
    let mut out = metric(out, &catalog::DRAIN_DURATION)?;
    for (service, figures) in services {
        for (kind, durations) in &figures.durations {
            let Durations { buckets, sum_secs } = durations;
            let bounds = DURATION_BOUNDS_SECS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(buckets.iter().copied()).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            out.encode_family(&of(service, &[("kind", kind.as_str())]))?
                .encode_histogram::<NoLabelSet>(*sum_secs, count, &buckets, None)?;
        }
    }
    Ok(())
}

fn opened_after_signal(out: &mut DescriptorEncoder<'_>, services: &Services<'_>) -> fmt::Result {
    let mut out = metric(out, &catalog::DRAIN_OPENED_AFTER)?;
    for (service, figures) in services {
        counter(&mut out, &of(service, &[]), figures.opened_after_signal)?;
    }
    Ok(())
}

fn diagnoses(out: &mut DescriptorEncoder<'_>, services: &Services<'_>) -> fmt::Result {
    let mut out = metric(out, &catalog::DIAGNOSES)?;
    for (service, figures) in services {
        for (diagnosis, count) in &figures.diagnoses {
            let more = [("diagnosis", diagnosis.as_str())];
            counter(&mut out, &of(service, &more), *count)?;
        }
    }
    Ok(())
}

fn incidents(out: &mut DescriptorEncoder<'_>, services: &Services<'_>) -> fmt::Result {
    let mut ended = metric(out, &catalog::INCIDENTS)?;
    for (service, figures) in services {
        for (cause, count) in &figures.incidents {
            let more = [("cause", cause.as_str())];
            counter(&mut ended, &of(service, &more), *count)?;
        }
    }
    let mut lost = metric(out, &catalog::INCIDENT_LOST)?;
    for (service, figures) in services {
        for (how, count) in &figures.incident_lost {
            counter(&mut lost, &of(service, &[("lost", how)]), *count)?;
        }
    }
    Ok(())
}

fn recent_rollouts(out: &mut DescriptorEncoder<'_>, recent: &[RecentRollout]) -> fmt::Result {
    let mut start = metric(out, &catalog::ROLLOUT_START)?;
    for rollout in recent {
        let more = [
            ("rollout", rollout.id.as_str()),
            ("source", rollout.source.as_str()),
        ];
        let at = rollout.started_at.as_duration().as_secs_f64();
        gauge(&mut start, &of(&rollout.service, &more), at)?;
    }
    let mut info = metric(out, &catalog::ROLLOUT)?;
    for rollout in recent {
        let more = [
            ("rollout", rollout.id.as_str()),
            ("revision", rollout.revision.as_str()),
            ("source", rollout.source.as_str()),
            ("verdict", rollout.verdict.as_str()),
        ];
        info.encode_info(&of(&rollout.service, &more))?;
    }
    growth(out, &catalog::ROLLOUT_TIME_WAIT_GROWTH, recent, |rollout| {
        rollout.time_wait_growth
    })?;
    growth(out, &catalog::ROLLOUT_RESET_GROWTH, recent, |rollout| {
        rollout.reset_growth
    })
}

fn growth(
    out: &mut DescriptorEncoder<'_>,
    family: &Family,
    recent: &[RecentRollout],
    ratio: impl Fn(&RecentRollout) -> Option<f64>,
) -> fmt::Result {
    let mut out = metric(out, family)?;
    for rollout in recent {
        if let Some(ratio) = ratio(rollout) {
            let more = [("rollout", rollout.id.as_str())];
            gauge(&mut out, &of(&rollout.service, &more), ratio)?;
        }
    }
    Ok(())
}

fn of<'a>(service: &'a Service, more: &'a [(&'static str, &'a str)]) -> StoryLabels<'a> {
    StoryLabels { service, more }
}
