//! Signals: which of them ask a service to stop or to reload. The phase is set here, before the target runs.
//!
//! A signal to a process that belongs to no service costs a look at its number and one in a table.

use aya_ebpf::{
    btf_maps::{LpmTrie, lpm_trie::Key},
    macros::btf_map,
    programs::BtfTracePointContext,
};
use finwatch_common::{
    Disposition, Intent, KIND_SIGNAL, Kinship, Loss, MeaningKey, Phase, Process, SignalRecord,
    signal::{self, FAULTS, HUP, INT, KILL, QUIT, TERM, USR1, USR2, WINCH},
};

use super::{
    args::scalar_args,
    family,
    kernel::{Raw, offset, sigaction_bytes},
    phases,
    ring::{Slot, header},
    task::{Task, start_ns},
};

/// Signals with a meaning of their own for some programs (`SIGUSR1` reopens nginx's logs and stops haproxy): an
/// [`Intent`] by signal and name, or beginning of a name. User space fills it in before the programs run, and nobody
/// writes it afterwards; an entry takes some 60 bytes.
#[btf_map]
static MEANINGS: LpmTrie<MeaningKey, u32, 256> = LpmTrie::new();

/// Those that may ask for something.
const REQUESTS: u64 =
    signal::set(FAULTS) | signal::set(&[HUP, INT, QUIT, KILL, USR1, USR2, TERM, WINCH]);

/// Told of also when they ask for nothing. The others come by the thousand: runtimes catch faults of their own
/// making, and windows change their size.
const OF_NOTE: u64 = signal::set(&[HUP, INT, QUIT, KILL, TERM]);

/// By which the threads of a runtime suspend each other.
const OF_THREADS: u64 = signal::set(&[USR1, USR2]);

/// `SEND_SIG_PRIV`: the kernel sends it of its own accord.
const FROM_KERNEL: u64 = 1;
/// `TRACE_SIGNAL_IGNORED`.
const IGNORED: u64 = 1;

/// `signal_generate`.
#[inline(always)]
pub(super) fn on_signal(ctx: &BtfTracePointContext) -> i32 {
    let Some([signal, info, task, group, result]) = scalar_args::<5>(ctx) else {
        return 0;
    };
    // A number that does not fit is none of these.
    let signal = u8::try_from(signal as u32).unwrap_or(u8::MAX);
    if !is_of(signal, REQUESTS) {
        return 0;
    }
    let task = Raw(task);
    let tgid: u32 = task.get(offset!(tgid));
    let Some(entry) = family::find(tgid) else {
        return 0;
    };
    let leader = task.follow(offset!(group_leader));
    if !family::is_still(&entry, start_ns(leader)) {
        return 0;
    }
    let sender = Sender::of(info);
    if group as u32 == 0 && sender.tgid == tgid && is_of(signal, OF_THREADS) {
        return 0;
    }
    let disposition = disposition(task, signal, result);
    let mut target_comm: [u8; 16] = leader.get(offset!(comm));
    let meant = meaning(&target_comm, signal, disposition, sender.tgid == 0);
    if matches!(meant, Intent::Nothing) && !is_of(signal, OF_NOTE) {
        return 0;
    }
    let of_its_reload = sender.tgid == tgid && is_of_its_reload(entry.instance, disposition, meant);
    let top = entry.kinship != Kinship::Member as u8 || is_top(task, entry.instance);
    let intent = if top && !of_its_reload {
        meant
    } else {
        Intent::Nothing
    };
    match intent.phase() {
        Phase::Steady => {}
        phase => phases::set(entry.instance, phase),
    }
    let Some(mut slot) = Slot::<SignalRecord>::reserve(Loss::SignalRecords) else {
        return 0;
    };
    let record = SignalRecord {
        header: header::<SignalRecord>(KIND_SIGNAL),
        instance: entry.instance,
        target: Process {
            start_ns: entry.start_ns,
            tgid,
            pad: 0,
        },
        target_comm: core::mem::take(&mut target_comm),
        sender_comm: sender.comm,
        sender_tgid: sender.tgid,
        signal,
        disposition: disposition as u8,
        kinship: entry.kinship,
        intent: intent as u8,
    };
    // SAFETY: the slot is room for exactly this record.
    unsafe { slot.record().write(record) };
    slot.submit_at_once();
    0
}

/// Whether a signal is one of a set.
#[inline(always)]
const fn is_of(signal: u8, set: u64) -> bool {
    signal < 64 && set & 1 << signal != 0
}

/// A server that reloads may tell all of its process group to stop, and so itself too: lighttpd ends its old workers so. It has
/// a handler for that, and goes on. Would it stop itself in earnest, its end told so.
#[inline(always)]
fn is_of_its_reload(instance: Process, disposition: Disposition, meant: Intent) -> bool {
    matches!(meant, Intent::Stop)
        && matches!(disposition, Disposition::Handled)
        && phases::of(instance.start_ns, instance.tgid) == Phase::Reloading as u8
}

/// No other process of the instance is its parent.
#[inline(always)]
fn is_top(task: Raw, instance: Process) -> bool {
    let parent: u32 = task.follow(offset!(real_parent)).get(offset!(tgid));
    match family::find(parent) {
        Some(entry) => {
            entry.instance.tgid != instance.tgid || entry.instance.start_ns != instance.start_ns
        }
        None => true,
    }
}

struct Sender {
    tgid: u32,
    comm: [u8; 16],
}

impl Sender {
    /// Who runs, unless the kernel sends it: a terminal's, the OOM killer's, a fault's.
    #[inline(always)]
    fn of(info: u64) -> Self {
        let by_kernel = info == FROM_KERNEL
            || (info > FROM_KERNEL && Raw(info).get::<i32>(offset!(si_code)) > 0);
        let mut sender = Self {
            tgid: 0,
            comm: [0; 16],
        };
        let task = Task::current();
        let tgid = task.tgid();
        if !by_kernel && tgid != 0 {
            sender.tgid = tgid;
            task.leader(&mut sender.comm);
        }
        sender
    }
}

/// `SIG_IGN`; `SIG_DFL` is 0.
const IGN: u64 = 1;

#[inline(always)]
fn disposition(task: Raw, signal: u8, result: u64) -> Disposition {
    if result as u32 as u64 == IGNORED {
        return Disposition::Ignored;
    }
    if signal == KILL {
        return Disposition::Default;
    }
    let action = task.follow(offset!(sighand)).0
        + offset!(sigactions) as u64
        + u64::from(signal - 1) * sigaction_bytes();
    let handler: u64 = Raw(action).get(offset!(sa_handler));
    if handler > IGN {
        return Disposition::Handled;
    }
    // Even one that is ignored is kept while it is blocked: somebody may wait for it.
    let blocked: u64 = task.get(offset!(blocked));
    if blocked & 1 << (signal - 1) != 0 {
        Disposition::Blocked
    } else if handler == IGN {
        Disposition::Ignored
    } else {
        Disposition::Default
    }
}

/// What a signal asks of a program of this name, if it handles it. A stop that is ignored was asked for all the same, unless it is a
/// terminal's for whoever listens to it, or a kill that the kernel keeps from a process 1.
#[inline(always)]
fn meaning(comm: &[u8; 16], signal: u8, disposition: Disposition, by_kernel: bool) -> Intent {
    let default = matches!(disposition, Disposition::Default);
    let ignored = matches!(disposition, Disposition::Ignored);
    // By default the first three end a process, whatever its like makes of them, and the last does nothing.
    match signal {
        HUP | USR1 | USR2 if default => return Intent::Stop,
        WINCH if default => return Intent::Nothing,
        _ => {}
    }
    let key = MeaningKey {
        signal: signal.into(),
        comm: *comm,
    };
    if let Some(known) = MEANINGS.get(&Key::new(MeaningKey::BITS, key))
        && let Some(intent) = Intent::from_u8(*known as u8)
    {
        return match intent {
            Intent::Reload | Intent::Unclear if ignored => Intent::Nothing,
            intent => intent,
        };
    }
    match signal {
        KILL if ignored => Intent::Nothing,
        INT | QUIT if ignored && by_kernel => Intent::Nothing,
        TERM | INT | QUIT | KILL => Intent::Stop,
        HUP | USR1 | USR2 if ignored => Intent::Nothing,
        HUP => Intent::Reload,
        USR1 | USR2 => Intent::Unclear,
        WINCH => Intent::Nothing,
        _ if default => Intent::Stop,
        _ => Intent::Nothing,
    }
}
