//! What the programs must know of the running kernel: member offsets, features, names of reset reasons.

use finwatch_common::{Features, Offsets};

use super::{ProbeError, btf::Btf};

/// The kernel as the programs see it.
pub(super) struct Kernel {
    pub(super) offsets: Offsets,
    pub(super) features: Features,
    /// Name of each reset reason by number.
    pub(super) reset_reasons: Vec<(u8, String)>,
    tracepoints: Vec<(&'static str, bool)>,
}

/// Every tracepoint that a program attaches to.
pub(super) const TRACEPOINTS: [&str; 9] = [
    "inet_sock_set_state",
    "tcp_send_reset",
    "tcp_receive_reset",
    "tcp_destroy_sock",
    "tcp_rcv_space_adjust",
    "signal_generate",
    "sched_process_fork",
    "sched_process_exec",
    "sched_process_exit",
];
const REASONS: &str = "sk_rst_reason";

impl Kernel {
    /// Looks everything up in the running kernel's BTF.
    pub(super) fn look_up() -> Result<Self, ProbeError> {
        let btf = Btf::of_kernel(is_wanted).map_err(ProbeError::Btf)?;
        let mut offsets = Offsets::missing();
        for (field, slot) in Offsets::FIELDS.iter().zip(offsets.slots()) {
            match btf.member(field.path) {
                Some(member) if field.size == 0 || member.size == field.size => {
                    *slot = member.offset;
                }
                Some(member) => {
                    return Err(ProbeError::FieldSize {
                        path: field.path,
                        want: field.size,
                        got: member.size,
                    });
                }
                None if field.optional => {}
                None => return Err(ProbeError::Field { path: field.path }),
            }
        }
        let reset_args = btf
            .tracepoint("tcp_send_reset")
            .map_or(0, |prototype| prototype.arguments.len());
        let death_row_is_pointer = btf
            .member("net.ipv4.tcp_death_row")
            .is_some_and(|member| member.is_pointer);
        Ok(Self {
            offsets,
            features: Features {
                reset_reason: u32::from(reset_args >= 3),
                death_row_is_pointer: u32::from(death_row_is_pointer),
                ring_wake_bytes: 0,
                tick_ns: crate::clock::tick_ns(),
                tell_refused: 0,
                rows: 0,
                sigaction_bytes: btf.member("k_sigaction.sa").map_or(0, |sa| sa.size),
            },
            reset_reasons: btf
                .enum_names(REASONS)
                .map(reason_names)
                .unwrap_or_default(),
            tracepoints: TRACEPOINTS
                .map(|name| (name, btf.tracepoint(name).is_some()))
                .to_vec(),
        })
    }

    /// The first tracepoint that the kernel lacks.
    pub(super) fn missing_tracepoint(&self) -> Option<&'static str> {
        let (name, _) = self.tracepoints.iter().find(|(_, there)| !there)?;
        Some(name)
    }
}

fn is_wanted(name: &str) -> bool {
    name == REASONS
        || name
            .strip_prefix("btf_trace_")
            .is_some_and(|tracepoint| TRACEPOINTS.contains(&tracepoint))
        || Offsets::FIELDS.iter().any(|field| {
            field
                .path
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
        })
}

/// `SK_RST_REASON_TCP_ABORT_ON_CLOSE` becomes `tcp_abort_on_close`.
fn reason_names(names: Vec<(u8, &str)>) -> Vec<(u8, String)> {
    names
        .into_iter()
        .map(|(value, name)| {
            let short = name.strip_prefix("SK_RST_REASON_").unwrap_or(name);
            (value, short.to_ascii_lowercase())
        })
        .collect()
}
