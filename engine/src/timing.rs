//! Every time constant by which the engine decides, with its reason. Nanoseconds on the kernel's clock unless the name says
//! otherwise. Limits of what the judge calls long are [`crate::diagnoses::JudgeOptions`]'s.

use std::time::Duration;

use jiff::SignedDuration;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const MINUTE: u64 = 60 * SECOND;

// === How records and tables reach the engine ===

/// How long a close waits for its RSTs: the kernel sends them within the same softirq, a reader sees both within two looks at
/// the ring.
pub const HOLD_NS: u64 = 100 * MS;
/// A record may be read so much later than it was written: the ring is looked at forty times a second while anything drains,
/// and a busy host may come late.
pub const READER_NS: u64 = 250 * MS;
/// Between two ticks of the engine while something drains: what is short must be seen while it lasts.
pub const TICK_BUSY: Duration = Duration::from_millis(100);
/// Between two ticks else: rollouts end by the clock too.
pub const TICK_IDLE: Duration = Duration::from_secs(1);
/// Between two looks at the ring while something drains: what a drain is made of must not wait.
pub const RING_BUSY: Duration = Duration::from_millis(25);
/// The same else: gaps between listeners are told with no more delay.
pub const RING_IDLE: Duration = Duration::from_millis(500);
/// Between two readings of all rows: new services get their names while their owners live, and baselines are kept.
pub const ROWS_READ: Duration = Duration::from_secs(5);
/// Readings between two at which the rows are emptied: one a minute, before short-lived services fill the kernel's maps.
pub const READINGS_PER_ROTATION: u32 = 12;
/// Length of a clock tick: start times of processes are cut to it (`/proc/<pid>/stat`, field 22). Who started in the tick of T0
/// is taken to be new: reloads fork at once.
pub const CLOCK_TICK_NS: u64 = 10 * MS;
/// Start times of one process out of two sources may differ by so much: each is cut to a tick.
pub const SAME_START_NS: u64 = 2 * CLOCK_TICK_NS;
/// The record of what a survey shows comes within this time, or never.
pub const TOLD_NS: u64 = SECOND;
/// The API server of Kubernetes knows a pod before its cgroup is made, in the median by 24 ms: who is not known by then is asked
/// for elsewhere, in time for what follows.
pub const POD_NAME_NS: u64 = 4 * SECOND;
/// The link to a container's log, which alone tells its name, is there by then: it is made some 200 ms after the container.
pub const CONTAINER_NAME_NS: u64 = 10 * SECOND;
/// Between two looks at what is not named yet, where pods are.
pub const POD_NAMES: Duration = Duration::from_millis(500);
/// A name that was not told by then is not waited for: a scrape interval at most.
pub const NAME_PENDING_NS: u64 = 5 * SECOND;

// === When a drain asks ===

/// Between two surveys while a drain settles.
pub const SURVEY_SETTLING_NS: u64 = 250 * MS;
/// Between two surveys for a drain that has just begun.
pub const SURVEY_OFTEN_NS: u64 = SECOND;
/// Between two surveys for a drain that lasts.
pub const SURVEY_SELDOM_NS: u64 = 30 * SECOND;
/// Looking may take one part in this many of the time while a drain settles: a host with very many sockets, or a busy one, is looked at
/// more seldom.
pub const SETTLING_SHARE: u64 = 4;
/// The same while a drain lasts.
pub const LASTING_SHARE: u64 = 10;
/// A survey that takes longer than this is lost: through a million sockets a busy host may walk for ten seconds.
pub const SURVEY_ANSWER_NS: u64 = 30 * SECOND;
/// Another answer that takes longer than this is lost.
pub const ANSWER_NS: u64 = 5 * SECOND;
/// Between two readings of the refused SYNs while a drain lasts.
pub const REFUSED_NS: u64 = SECOND;
/// A drain that lasts is judged anew after so long although nothing of it changed: some findings only need time.
pub const JUDGED_AGAIN_NS: u64 = 5 * SECOND;
/// When the processes around a new listener are looked for: at once, and when a launcher has left.
pub const RELATIVES_NS: [u64; 2] = [0, 2 * SECOND];

// === What belongs together ===

/// What comes so soon after the first signal belongs to it: siblings' signals, a second signal of the same hand; and workers that
/// died so soon before their instance was ended.
pub const ONE_HAND_NS: u64 = SECOND;
/// Both ends of a call that a server makes to itself are established within this time of each other.
pub const OWN_CALL_NS: u64 = SECOND;
/// What happens to a workload within so long is one unannounced rollout, if it has not ended before.
pub const ONE_ROLLOUT: SignedDuration = SignedDuration::from_secs(60);
/// A dead worker's connections are closed by then.
pub const DEATH_NS: u64 = 5 * SECOND;

// === What a signal came to ===

/// A lone process that replaced nothing in this time replaces nothing.
pub const RELOAD_NS: u64 = 5 * SECOND;
/// The same with workers: a master may read its configuration, or load its program, for long before it forks.
pub const RELOAD_WORKERS_NS: u64 = MINUTE;
/// A stop signal that changed nothing in this time is ignored.
pub const IGNORED_NS: u64 = 10 * MINUTE;
/// How long it may stay uncertain whether a death concerns the whole instance.
pub const DOUBT_NS: u64 = 5 * SECOND;
/// After a stop, others that go on listening for so long were not meant, and an owner that has new workers for so long lives
/// on: a manager may start another worker while it is about to end.
pub const OTHERS_NS: u64 = 3 * SECOND;
/// A drain may be told so long after it began: until then what its service counts is kept for its rollout.
pub const ACCOUNT_NS: u64 = 15 * SECOND;
/// Who accepts a connection so long after its controller's end, and answers, was not told to stop by it.
pub const SERVES_NS: u64 = SECOND;
/// Whose controller ended so long ago was not told to stop by it, or cannot be told apart. Some workers look for their parent
/// only twice a minute.
pub const LEFT_BEHIND_NS: u64 = 40 * SECOND;

// === When a drain is over ===

/// Processes that hold no socket for so long are done.
pub const QUIET_NS: u64 = 10 * SECOND;
/// Who came so soon after a reload's signal and waited for long did so for its sake.
pub const AROUND_NS: u64 = MINUTE;
/// Who has waited for so long to be accepted is worth a closer look: a queue that moves is emptied sooner.
pub const WAITS_NS: u64 = 250 * MS;
/// Whoever holds the listening socket of the one who is gone may let clients wait; when none was served in this time, none came.
pub const TAKEN_UP_NS: u64 = 10 * SECOND;
/// How long a table of processes may take before the known ends must do.
pub const TABLE_LATE_NS: u64 = 2 * SECOND;
/// How long a dying process may take to close its sockets, before a survey that finds them means something.
pub const CLOSING_NS: u64 = 250 * MS;
/// A survey that began later than this after T0 does not tell what was owed at T0.
pub const SURVEY_LATE_NS: u64 = SECOND;
/// A listener that closes sooner before its process ends is not closed early: a reading takes its time too.
pub const CLOSED_EARLY_NS: u64 = 50 * MS;

// === Incidents ===

/// A few requests that are lost within so long of each other, with nobody stopping anything, are an incident.
pub const INCIDENT_NS: u64 = MINUTE;
/// An incident is over when nothing was lost for so long: clients that wait before they try again come back by then.
pub const INCIDENT_QUIET_NS: u64 = 30 * SECOND;
/// One that lasts is told after so long, and what follows as another: nobody waits for the end of what never ends.
pub const INCIDENT_LONGEST_NS: u64 = 10 * MINUTE;

// === Mini-sockets ===

/// Life of a mini-socket (`TCP_TIMEWAIT_LEN`).
pub const MINI_SOCKET_NS: u64 = MINUTE;
/// From then on no mini-socket of a connection can be alive: its life, and a reader's delay.
pub const MINI_SOCKET_GONE_NS: u64 = MINI_SOCKET_NS + 5 * SECOND;
/// A survey of mini-sockets is wanted at most this often of one namespace, and only when the numbers drifted apart.
pub const MINI_SOCKETS_DRIFTED_NS: u64 = MINUTE;
/// Without drift, a survey only refreshes how many are in which substate.
pub const MINI_SOCKETS_REFRESH_NS: u64 = 5 * MINUTE;
/// A service of which no reading told for this long has no mini-sockets to estimate.
pub const MINI_SOCKETS_FORGET_NS: u64 = 60 * MINUTE;

// === Ordinary time ===

/// Shortest bucket of a baseline.
pub const BUCKET_NS: u64 = 10 * SECOND;
