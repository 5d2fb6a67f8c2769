//! finwatch about itself: its programs, records, maps and limits.

use std::{fmt, time::SystemTime};

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

use super::{
    ProbeFigures, Scrape,
    catalog::{self, Family},
    encode::{counter, gauge, metric},
    labels::Labels,
};
use crate::{
    deploy::Outcome,
    kubernetes::{HeardFigures, PODS_MAX, TOMBSTONES_MAX},
    probe::Losses,
};
use finwatch_engine::{
    model::{self, Source},
    services::{Folded, KEYS_MAX},
};

/// Kinds of records, in the order of the figures.
const RECORD_KINDS: [&str; 6] = ["close", "reset", "listener", "signal", "exit", "unread"];

pub(super) fn encode(
    out: &mut DescriptorEncoder<'_>,
    scrape: &Scrape,
    started: SystemTime,
) -> fmt::Result {
    retired(out, &scrape.view.folded)?;
    metric(out, &catalog::BUILD)?
        .encode_info(&Labels(&[("version", env!("CARGO_PKG_VERSION"))]))?;
    let since = started
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    metric(out, &catalog::START_TIME)?.encode_gauge(&since.as_secs_f64())?;
    programs(out, &scrape.probe)?;
    by_kind(out, &catalog::RECORDS, scrape.engine.records)?;
    let Losses {
        ring_full,
        processes_full: _,
        rows_full: _,
        malformed,
        storage_failed,
        mptcp_subflows,
        made_good,
    } = scrape.probe.losses;
    by_kind(out, &catalog::RECORDS_LOST, ring_full)?;
    single(out, &catalog::RECORDS_MALFORMED, malformed)?;
    single(out, &catalog::STORAGE_FAILED, storage_failed)?;
    single(out, &catalog::MPTCP_SUBFLOWS, mptcp_subflows)?;
    single(out, &catalog::PROBE_MADE_GOOD, made_good)?;
    maps(out, scrape)?;
    single(out, &catalog::SERIES_LIMITED, scrape.view.limited)?;
    single(
        out,
        &catalog::ATTRIBUTION_UNKNOWN,
        scrape.attribution.unknown,
    )?;
    attribution(out, scrape)?;
    deploy_events(out, &scrape.deploy_events)?;
    let mut namespaces = metric(out, &catalog::NAMESPACES)?;
    gauge(
        &mut namespaces,
        &Labels(&[("state", "surveyed")]),
        scrape.engine.namespaces.surveyed,
    )?;
    gauge(
        &mut namespaces,
        &Labels(&[("state", "refused")]),
        scrape.engine.namespaces.refused,
    )?;
    single(
        out,
        &catalog::READINGS_FAILED,
        scrape.engine.failed_readings,
    )
}

fn attribution(out: &mut DescriptorEncoder<'_>, scrape: &Scrape) -> fmt::Result {
    metric(out, &catalog::ATTRIBUTION_PENDING)?.encode_gauge(&scrape.engine.names_pending)?;
    single(
        out,
        &catalog::ATTRIBUTION_ELSEWHERE,
        scrape.attribution.elsewhere,
    )?;
    let watch = scrape.attribution.watch;
    let mut connected = metric(out, &catalog::KUBERNETES_CONNECTED)?;
    if let Some(HeardFigures {
        connected: is_so, ..
    }) = watch
    {
        connected.encode_gauge(&u64::from(is_so))?;
    }
    let mut heard = metric(out, &catalog::KUBERNETES_HEARD)?;
    if let Some(last_ms) = watch.and_then(|watch| watch.last_ms) {
        heard.encode_gauge(&(last_ms as f64 / 1e3))?;
    }
    for (family, count) in [
        (&catalog::KUBERNETES_LISTS, watch.map(|watch| watch.lists)),
        (
            &catalog::KUBERNETES_FAILURES,
            watch.map(|watch| watch.failures),
        ),
    ] {
        let mut out = metric(out, family)?;
        if let Some(count) = count {
            out.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}

fn retired(out: &mut DescriptorEncoder<'_>, folded: &Folded) -> fmt::Result {
    let Folded {
        opened,
        closes,
        cut,
        series,
    } = *folded;
    single(out, &catalog::RETIRED_OPENED, opened)?;
    single(out, &catalog::RETIRED_CLOSES, closes)?;
    single(out, &catalog::RETIRED_CUT, cut)?;
    single(out, &catalog::RETIRED_SERIES, series)
}

fn programs(out: &mut DescriptorEncoder<'_>, probe: &ProbeFigures) -> fmt::Result {
    let mut attached = metric(out, &catalog::PROBE_ATTACHED)?;
    for program in &probe.programs {
        gauge(
            &mut attached,
            &Labels(&[("program", program.name)]),
            u64::from(program.attached),
        )?;
    }
    let mut runs = metric(out, &catalog::PROBE_RUNS)?;
    for program in &probe.programs {
        counter(
            &mut runs,
            &Labels(&[("program", program.name)]),
            program.runs,
        )?;
    }
    let mut seconds = metric(out, &catalog::PROBE_RUN_SECONDS)?;
    for program in &probe.programs {
        let spent = program.run_time_ns as f64 / 1e9;
        counter(&mut seconds, &Labels(&[("program", program.name)]), spent)?;
    }
    let mut misses = metric(out, &catalog::PROBE_RECURSION_MISSES)?;
    for program in &probe.programs {
        counter(
            &mut misses,
            &Labels(&[("program", program.name)]),
            program.recursion_misses,
        )?;
    }
    Ok(())
}

fn maps(out: &mut DescriptorEncoder<'_>, scrape: &Scrape) -> fmt::Result {
    let own = [
        ("ledger", scrape.view.keys as u64, KEYS_MAX as u64),
        (
            "attribution",
            scrape.attribution.entries as u64,
            scrape.attribution.capacity as u64,
        ),
        (
            "story",
            scrape.story.services.len() as u64,
            // The row `other` comes on top.
            model::SERVICES_MAX as u64 + 1,
        ),
    ];
    let pods = scrape.attribution.pods.map(|pods| {
        [
            ("pods", pods.running as u64, PODS_MAX as u64),
            ("pods_gone", pods.gone as u64, TOMBSTONES_MAX as u64),
        ]
    });
    let kernel = scrape
        .probe
        .maps
        .iter()
        .map(|map| (map.name, map.entries, map.capacity));
    let all: Vec<_> = kernel
        .chain(own)
        .chain(pods.into_iter().flatten())
        .collect();
    let mut entries = metric(out, &catalog::MAP_ENTRIES)?;
    for (name, used, _) in &all {
        gauge(&mut entries, &Labels(&[("map", name)]), *used)?;
    }
    let mut capacity = metric(out, &catalog::MAP_CAPACITY)?;
    for (name, _, most) in &all {
        gauge(&mut capacity, &Labels(&[("map", name)]), *most)?;
    }
    let mut full = metric(out, &catalog::MAP_FULL)?;
    counter(
        &mut full,
        &Labels(&[("map", "counters")]),
        scrape.probe.losses.rows_full,
    )?;
    counter(
        &mut full,
        &Labels(&[("map", "attribution")]),
        scrape.attribution.evicted,
    )?;
    counter(
        &mut full,
        &Labels(&[("map", "processes")]),
        scrape.probe.losses.processes_full,
    )?;
    counter(&mut full, &Labels(&[("map", "story")]), scrape.story.folded)?;
    if let Some(pods) = scrape.attribution.pods {
        counter(&mut full, &Labels(&[("map", "pods")]), pods.full)?;
    }
    for (table, times) in scrape.engine.bounds.by_table() {
        counter(&mut full, &Labels(&[("map", table)]), times)?;
    }
    Ok(())
}

fn deploy_events(
    out: &mut DescriptorEncoder<'_>,
    events: &[(Source, Outcome, u64)],
) -> fmt::Result {
    let mut out = metric(out, &catalog::DEPLOY_EVENTS)?;
    for (source, result, count) in events {
        let labels = [("source", source.as_str()), ("result", result.as_str())];
        counter(&mut out, &Labels(&labels), *count)?;
    }
    Ok(())
}

fn by_kind(out: &mut DescriptorEncoder<'_>, family: &Family, counts: [u64; 6]) -> fmt::Result {
    let mut out = metric(out, family)?;
    for (kind, count) in RECORD_KINDS.into_iter().zip(counts) {
        counter(&mut out, &Labels(&[("kind", kind)]), count)?;
    }
    Ok(())
}

fn single(out: &mut DescriptorEncoder<'_>, family: &Family, count: u64) -> fmt::Result {
    metric(out, family)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
}
