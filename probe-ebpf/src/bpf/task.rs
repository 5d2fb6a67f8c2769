//! The current task. Only meaningful where process context holds the socket.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_task_btf};

use super::kernel::{Raw, Typed, offset};

const PF_EXITING: u32 = 0x4;
const PF_KTHREAD: u32 = 0x0020_0000;

/// The task that runs on this CPU.
#[derive(Clone, Copy)]
pub(super) struct Task(Typed);

impl Task {
    #[inline(always)]
    pub(super) fn current() -> Self {
        // SAFETY: the helper always returns the current task.
        let task = unsafe { bpf_get_current_task_btf() };
        Self(Typed::new((task as *const u8).cast()))
    }

    #[inline(always)]
    fn flags(self) -> u32 {
        self.0.get(offset!(task_flags))
    }

    /// Its process is dying (`do_exit`).
    #[inline(always)]
    pub(super) fn is_exiting(self) -> bool {
        self.flags() & (PF_EXITING | PF_KTHREAD) == PF_EXITING
    }

    /// Thread-group id; 0 for a kernel thread, which acts for somebody else.
    #[inline(always)]
    pub(super) fn tgid(self) -> u32 {
        if self.flags() & PF_KTHREAD != 0 {
            return 0;
        }
        (bpf_get_current_pid_tgid() >> 32) as u32
    }

    /// Name and start time of the process (the leader of the thread group).
    #[inline(always)]
    pub(super) fn leader(self, comm: &mut [u8; 16]) -> u64 {
        let leader = self.0.follow(offset!(group_leader));
        *comm = Raw(leader.ptr() as u64).get(offset!(comm));
        coarse(leader.get(offset!(start_boottime)))
    }
}

/// Start time of a task, as coarse as `/proc` shows it: so a process has one name, whoever saw it first.
#[inline(always)]
pub(super) fn start_ns(task: Raw) -> u64 {
    coarse(task.get(offset!(start_boottime)))
}

#[inline(always)]
const fn coarse(exact_ns: u64) -> u64 {
    const NANOS_PER_TICK: u64 = 10_000_000;
    exact_ns - exact_ns % NANOS_PER_TICK
}
