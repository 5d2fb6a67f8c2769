//! What signals mean to programs that give them a meaning of their own. For all others: TERM, INT, QUIT and KILL stop,
//! and HUP, USR1, USR2 and WINCH, where they are handled, reload.

use finwatch_common::{
    Phase::{self, Draining, Reloading, Steady},
    signal::{HUP, INT, QUIT, TERM, USR1, USR2, WINCH},
};

/// Program (`comm`), signal, and the phase that it asks for. `Steady`: it neither stops nor reloads.
pub(super) const MEANINGS: &[(&str, u8, Phase)] = &[
    // Stops gracefully (`apachectl graceful-stop`, `graceful`); HUP restarts.
    ("apache2", WINCH, Draining),
    ("apache2", USR1, Reloading),
    ("httpd", WINCH, Draining),
    ("httpd", USR1, Reloading),
    // Statistics, and new log files.
    ("dnsmasq", HUP, Steady),
    ("dnsmasq", USR1, Steady),
    ("dnsmasq", USR2, Steady),
    ("envoy", HUP, Steady),
    ("envoy", USR1, Steady),
    // Opens its log files anew; USR2 starts a second master beside it.
    ("gunicorn", USR1, Steady),
    ("gunicorn", USR2, Steady),
    // USR1 is the soft stop; QUIT dumps its memory pools. HUP reloads under a master as USR2 does; without one it prints a state.
    ("haproxy", QUIT, Steady),
    ("haproxy", USR1, Draining),
    ("haproxy", USR2, Reloading),
    // QUIT dumps the threads' stacks; HUP runs the shutdown hooks; USR1 and USR2 are the machine's own.
    ("java", HUP, Draining),
    ("java", QUIT, Steady),
    ("java", USR1, Steady),
    ("java", USR2, Steady),
    // Opens its log files anew.
    ("lighttpd", HUP, Steady),
    ("mariadbd", HUP, Steady),
    ("mariadbd", USR1, Steady),
    // HUP reads the passwords and certificates anew in place.
    ("memcached", HUP, Steady),
    ("memcached", USR1, Draining),
    ("mysqld", HUP, Steady),
    ("mysqld", USR1, Steady),
    // Opens its log files anew; USR2 starts a second master beside it.
    ("nginx", USR1, Steady),
    ("nginx", USR2, Steady),
    // Starts the debugger. Newer ones name their main thread, and so the process.
    ("MainThread", USR1, Steady),
    ("node", USR1, Steady),
    ("node-MainThread", USR1, Steady),
    ("php-fpm", USR1, Steady),
    ("php-fpm7.4", USR1, Steady),
    ("php-fpm8.1", USR1, Steady),
    ("php-fpm8.2", USR1, Steady),
    ("php-fpm8.3", USR1, Steady),
    ("php-fpm8.4", USR1, Steady),
    // HUP reads the settings anew in place; USR1 and USR2 are how its processes talk.
    ("postgres", HUP, Steady),
    ("postgres", INT, Draining),
    ("postgres", USR1, Steady),
    ("postgres", USR2, Steady),
    ("squid", USR1, Steady),
    ("traefik", USR1, Steady),
    ("unicorn", USR1, Steady),
    ("unicorn", USR2, Steady),
    // Print statistics. TERM reloads unless `die-on-term` is set, which cannot be seen from here.
    ("uwsgi", TERM, Draining),
    ("uwsgi", USR1, Steady),
    ("uwsgi", USR2, Steady),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_program_and_signal_stands_once_and_fits() {
        let distinct: HashSet<_> = MEANINGS
            .iter()
            .map(|(program, signal, _)| (program, signal))
            .collect();
        assert_eq!(distinct.len(), MEANINGS.len());
        for (program, signal, _) in MEANINGS {
            assert!(program.len() < 16, "{program}");
            assert!((1..32).contains(signal), "{program} {signal}");
        }
        assert!(MEANINGS.len() <= 256, "the kernel's table has no more room");
    }
}
