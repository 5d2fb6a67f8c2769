//! Signals: their numbers and names on Linux (those of x86 and arm64, which agree), and what one may ask of a program. It
//! knows no programs.

/// SIGHUP.
pub const HUP: u8 = 1;
/// SIGINT.
pub const INT: u8 = 2;
/// SIGQUIT.
pub const QUIT: u8 = 3;
/// SIGKILL.
pub const KILL: u8 = 9;
/// SIGUSR1.
pub const USR1: u8 = 10;
/// SIGUSR2.
pub const USR2: u8 = 12;
/// SIGTERM.
pub const TERM: u8 = 15;
/// SIGWINCH.
pub const WINCH: u8 = 28;

/// Those by which somebody asks a program to end, and can be handled.
pub const STOPS: &[u8] = &[HUP, INT, QUIT, TERM];
/// Those by which a program's own fault ends it: ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS.
pub const FAULTS: &[u8] = &[4, 5, 6, 7, 8, 11, 31];

/// The names of the standard signals, from number 1 on (signal(7)).
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// `SIGTERM` and the like; `None` for real-time signals and for what is no signal.
pub const fn name(number: u8) -> Option<&'static str> {
    match number {
        1..=31 => Some(NAMES[number as usize - 1]),
        _ => None,
    }
}

/// A set of signals: the bit of each one's number.
pub const fn set(signals: &[u8]) -> u64 {
    let mut bits = 0;
    let mut at = 0;
    while at < signals.len() {
        bits |= 1 << signals[at];
        at += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        for (number, known) in [
            (HUP, "SIGHUP"),
            (INT, "SIGINT"),
            (QUIT, "SIGQUIT"),
            (KILL, "SIGKILL"),
            (USR1, "SIGUSR1"),
            (USR2, "SIGUSR2"),
            (TERM, "SIGTERM"),
            (WINCH, "SIGWINCH"),
        ] {
            assert_eq!(name(number), Some(known));
        }
        let faults = [
            "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS",
        ];
        assert!(FAULTS.iter().filter_map(|fault| name(*fault)).eq(faults));
        assert_eq!((name(0), name(32), name(255)), (None, None, None));
    }

    #[test]
    fn a_set_has_the_bits_of_its_signals() {
        assert_eq!(set(&[]), 0);
        assert_eq!(set(&[HUP, WINCH]), 1 << 1 | 1 << 28);
    }
}
