//! What a service counts in its ordinary time: the last minutes in buckets of ten seconds, for a drain to be compared
//! with. Only phase `steady` counts, and a bucket in which any other phase counted something is left out whole.
//!
//! Time in which nobody listened is left out too, to the nanosecond where listeners tell when one ended and the next began, else
//! by the bucket: one at whose two ends nobody listened, and in which no connection came or ended, is no time of the service. Of a
//! bucket in which it served for a while and no successor tells until when, all counts. Who was never seen to listen (a client; a
//! server whose listener nobody saw) is taken to be there for as long as it is known.
//!
//! Most buckets of most services are empty and cost nothing; the others hold their few counts as short numbers. It
//! reads no clock, and does not know what a drain is.

mod counted;
mod pauses;
mod stream;

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
};

use finwatch_common::{Cell, Phase};

use self::{
    counted::{COUNTED, Counted, counted, counts, is_traffic},
    pauses::Pauses,
    stream::Stream,
};
use super::{SeriesLabels, SeriesView, SettledRow};
use crate::{model::Baseline, timing};

/// Most services that are kept: those of the default limits, and the two that take the rest.
pub const SERVICES_MAX: usize = 1_202;

/// Most buckets; a longer window has longer ones.
const BUCKETS_MAX: usize = 60;

/// See the module.
#[derive(Debug)]
pub struct Windows {
    window_ns: u64,
    bucket_ns: u64,
    /// Ends of the buckets that are kept; bucket `n` lies between end `n - 1` and end `n`.
    ends: VecDeque<u64>,
    /// Number of the first of `ends`.
    first: u32,
    services: HashMap<Arc<SeriesLabels>, Box<Track>>,
    left_out: u64,
}

/// One service.
#[derive(Debug)]
struct Track {
    /// What it had counted at the last bucket's end, modulo 2^32.
    last: Counted,
    /// The same for the other phases together.
    elsewhere: u32,
    /// Number of the end from which on it is known.
    born: u32,
    /// Number of the last bucket that it was there for.
    seen: u32,
    stream: Stream,
    listened: Listened,
    pauses: Pauses,
}

/// Whether somebody listened at the ends of buckets.
#[derive(Debug, Clone, Copy, Default)]
struct Listened {
    /// At the last one.
    now: bool,
    /// When the last one was at which somebody did.
    last_ns: Option<u64>,
}

// === impl Windows ===

impl Windows {
    /// Keeps so much of every service's time, at most.
    pub fn new(window_ns: u64) -> Self {
        Self {
            window_ns,
            bucket_ns: timing::BUCKET_NS.max(window_ns / BUCKETS_MAX as u64),
            ends: VecDeque::with_capacity(BUCKETS_MAX + 2),
            first: 0,
            services: HashMap::new(),
            left_out: 0,
        }
    }

    /// Whether a look would end a bucket.
    pub fn is_due(&self, now_ns: u64) -> bool {
        self.ends
            .back()
            .is_none_or(|end| now_ns >= end.saturating_add(self.bucket_ns))
    }

    /// Takes what every service has counted by now; does nothing while it is not due.
    pub fn look(&mut self, now_ns: u64, series: &[SeriesView]) {
        if !self.is_due(now_ns) {
            return;
        }
        let number = self.end_bucket(now_ns);
        let oldest = self.first;
        let oldest_ns = self.end(oldest);
        let before_ns = self.end(number.saturating_sub(1));
        let mut known = self.services.len();
        for view in series {
            let now = counted(&view.phases[Phase::Steady as usize], view);
            let elsewhere = [Phase::Draining, Phase::Reloading]
                .map(|phase| activity(&view.phases[phase as usize]))
                .into_iter()
                .fold(0, u32::wrapping_add);
            match self.services.get_mut(&view.labels) {
                Some(track) => {
                    let listens = view.gauges.listeners > 0;
                    track.serve((before_ns, now_ns), listens, is_traffic(&now, &track.last));
                    track.take(number, oldest, now, elsewhere);
                    track.pauses.forget(oldest_ns);
                }
                None if known < SERVICES_MAX => {
                    let mut track = Track::born(number, now, elsewhere);
                    track.serve((now_ns, now_ns), view.gauges.listeners > 0, false);
                    self.services.insert(Arc::clone(&view.labels), track);
                    known += 1;
                }
                None => self.left_out += 1,
            }
        }
        self.services.retain(|_, track| track.seen == number);
    }

    /// Nobody listened for the service from one time to another, as far as no bucket's end says otherwise.
    pub fn pause(&mut self, labels: &SeriesLabels, from_ns: u64, until_ns: u64) {
        if let Some(track) = self.services.get_mut(labels) {
            let others = track.listened.last_ns.filter(|last| *last < until_ns);
            track
                .pauses
                .add(others.map_or(from_ns, |last| last.max(from_ns)), until_ns);
        }
    }

    /// The service's ordinary time before `t0_ns`. The bucket that `t0_ns` lies in is left out.
    pub fn baseline(&self, labels: &SeriesLabels, t0_ns: u64) -> Baseline {
        let (Some(track), Some(last)) = (self.services.get(labels), self.last_before(t0_ns)) else {
            return Baseline::default();
        };
        let since_ns = t0_ns
            .saturating_sub(self.window_ns)
            .max(track.pauses.known_since_ns());
        let start = (self.first.max(track.born).max(track.stream.forgotten())..=last)
            .find(|number| self.end(*number) >= since_ns);
        let Some(start) = start else {
            return Baseline::default();
        };
        let served_ns = |from: u32, to: u32| track.pauses.served_ns(self.end(from), self.end(to));
        let mut window_ns = served_ns(start, last);
        let mut sum = [0u64; COUNTED];
        for entry in track.stream.entries() {
            let number = entry.number();
            if number <= start || number > last {
                continue;
            }
            let bucket_ns = served_ns(number - 1, number);
            if !entry.ordinary {
                window_ns -= bucket_ns;
            } else if bucket_ns > 0 {
                for (sum, count) in sum.iter_mut().zip(entry.counted) {
                    *sum += u64::from(count);
                }
            }
        }
        Baseline {
            window_secs: window_ns as f64 / 1e9,
            counts: counts(&sum),
        }
    }

    /// The service's ordinary time up to the last bucket that ended.
    pub fn ordinary(&self, labels: &SeriesLabels) -> Baseline {
        let last = self.ends.back();
        last.map_or_else(Baseline::default, |end_ns| self.baseline(labels, *end_ns))
    }

    /// Times a service got no window as there were too many.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Bytes that it holds, about.
    pub fn bytes(&self) -> usize {
        let slot = size_of::<(Arc<SeriesLabels>, Box<Track>)>() + 1;
        let tracks: usize = self
            .services
            .values()
            .map(|track| size_of::<Track>() + track.stream.bytes() + track.pauses.bytes())
            .sum();
        self.services.capacity() * slot + tracks + self.ends.capacity() * size_of::<u64>()
    }

    /// Ends a bucket, forgets the oldest one, and returns the number of the end.
    fn end_bucket(&mut self, now_ns: u64) -> u32 {
        self.ends.push_back(now_ns);
        if self.ends.len() > BUCKETS_MAX + 1 {
            self.ends.pop_front();
            self.first += 1;
        }
        self.first + self.ends.len() as u32 - 1
    }

    /// Number of the last end that is not after `t0_ns`.
    fn last_before(&self, t0_ns: u64) -> Option<u32> {
        let ended = self.ends.partition_point(|end| *end <= t0_ns);
        Some(self.first + u32::try_from(ended.checked_sub(1)?).ok()?)
    }

    /// An end by its number, which is one of those that are kept.
    fn end(&self, number: u32) -> u64 {
        self.ends
            .get(number.saturating_sub(self.first) as usize)
            .copied()
            .unwrap_or_default()
    }
}

// === impl Track ===

impl Track {
    fn born(number: u32, last: Counted, elsewhere: u32) -> Box<Self> {
        Box::new(Self {
            last,
            elsewhere,
            born: number,
            seen: number,
            stream: Stream::after(number),
            listened: Listened::default(),
            pauses: Pauses::default(),
        })
    }

    /// Takes whether somebody listens at the end of a bucket, and whether connections came or ended in it.
    fn serve(&mut self, (from_ns, until_ns): (u64, u64), listens: bool, traffic: bool) {
        let paused = self.listened.last_ns.is_some() && !self.listened.now && !listens && !traffic;
        if paused {
            self.pauses.add(from_ns, until_ns);
        }
        self.listened.now = listens;
        if listens {
            self.listened.last_ns = Some(until_ns);
        }
    }

    fn take(&mut self, number: u32, oldest: u32, now: Counted, elsewhere: u32) {
        let before = mem::replace(&mut self.last, now);
        let mut counted = [0; COUNTED];
        for (count, (now, before)) in counted.iter_mut().zip(now.into_iter().zip(before)) {
            *count = now.wrapping_sub(before);
        }
        // Nothing counts two thousand million of anything in a bucket: the series began anew.
        let anew = counted.iter().any(|count| *count > u32::MAX / 2);
        let ordinary = elsewhere == self.elsewhere && !anew;
        self.elsewhere = elsewhere;
        self.seen = number;
        if !ordinary || counted != [0; COUNTED] {
            self.stream.push(number, ordinary, &counted);
        }
        self.stream.forget(oldest);
    }
}

/// Something happened when this grew.
fn activity(row: &SettledRow) -> u32 {
    row.closes().wrapping_add(row.get(Cell::OPENED)) as u32
}

#[cfg(test)]
mod tests;
