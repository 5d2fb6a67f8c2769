//! The embedded object: its programs and where they are attached, its maps by name. It does not know when they are
//! loaded, nor what is in them.

use aya::{
    Ebpf,
    maps::{Map, MapError},
};

use super::ProbeError;

/// The programs, compiled for BPF.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("FINWATCH_PROBE_OBJECT"));

/// The attach table: each program and its tracepoint. The order is that of attachment, and so of
/// execution: what makes good runs after what may have been skipped, and readers are first, so that no
/// connection is seen whose reads were missed.
pub(super) const TRACEPOINT_PROGRAMS: [(&str, &str); 11] = [
    ("finwatch_fork", "sched_process_fork"),
    ("finwatch_exec", "sched_process_exec"),
    ("finwatch_exit", "sched_process_exit"),
    ("finwatch_signal", "signal_generate"),
    ("finwatch_read", "tcp_rcv_space_adjust"),
    ("finwatch_reset_received", "tcp_receive_reset"),
    ("finwatch_reset", "tcp_send_reset"),
    ("finwatch_reset_again", "tcp_send_reset"),
    ("finwatch_destroy", "tcp_destroy_sock"),
    ("finwatch_state", "inet_sock_set_state"),
    ("finwatch_state_again", "inet_sock_set_state"),
];

/// Name of the iterator over full sockets.
pub(super) const SOCKETS: &str = "finwatch_survey";
/// Name of the iterator over mini-sockets.
pub(super) const MINI_SOCKETS: &str = "finwatch_survey_time_wait";
/// The iterators.
pub(super) const ITERATORS: [&str; 2] = [SOCKETS, MINI_SOCKETS];

/// A program of the object.
pub(super) fn program<'a, P>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut P, ProbeError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program>,
{
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(ProbeError::Missing { name })
}

/// A map of the object, taken out of it.
pub(super) fn map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, ProbeError>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(ProbeError::Missing { name })?;
    map.try_into()
        .map_err(|source| ProbeError::Map { name, source })
}
