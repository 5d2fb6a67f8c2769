//! What reset reasons are called. It does not know where the kernel's own names come from.

use finwatch_common::inferred_reason;
use finwatch_engine::Reasons;

/// Names of reset reasons on every kernel: what it says of its own, and what is inferred where it says nothing.
pub(super) fn reasons(names: Vec<(u8, String)>) -> Reasons {
    let inferred = [
        (0, "not_specified"),
        (inferred_reason::UNKNOWN, "inferred_unknown"),
        (inferred_reason::ABORT_ON_DATA, "inferred_tcp_abort_on_data"),
        (
            inferred_reason::ABORT_ON_CLOSE,
            "inferred_tcp_abort_on_close",
        ),
        (
            inferred_reason::ABORT_ON_LINGER,
            "inferred_tcp_abort_on_linger",
        ),
        (
            inferred_reason::ABORT_ON_MEMORY,
            "inferred_tcp_abort_on_memory",
        ),
        (inferred_reason::TCP_STATE, "inferred_tcp_state"),
        (
            inferred_reason::KEEPALIVE_TIMEOUT,
            "inferred_tcp_keepalive_timeout",
        ),
        (inferred_reason::INVALID_SEGMENT, "inferred_invalid_segment"),
    ];
    let inferred = inferred.map(|(reason, name)| (reason, name.to_owned()));
    Reasons::new(names.into_iter().chain(inferred))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_names_on_every_kernel() {
        let named = reasons(vec![(11, "tcp_abort_on_close".to_owned())]);
        assert_eq!(named.name(11), "tcp_abort_on_close");
        assert_eq!(named.name(99), "reason_99", "newer than its BTF");
        let none = reasons(Vec::new());
        assert_eq!(none.name(130), "inferred_tcp_abort_on_close");
        assert_eq!(none.name(0), "not_specified");
    }
}
