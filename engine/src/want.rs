//! What the engine wants done or looked up. Whoever does it answers with an input; what is not answered is asked for again.

use finwatch_common::{Process, ServiceKey};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// Delete an instance's entry in the kernel's table of phases: it is steady, or gone. Not where a signal asked for a phase since:
    /// its record is still to come, and what it begins ends that one.
    EndPhase {
        /// Which.
        instance: Process,
        /// Signals until then are known, on the kernel's clock.
        heard_ns: u64,
    },
    /// Have all ends of connections told from now on, or only what is of note and a sample of the others. At first, all are.
    Closes {
        /// Whether all.
        all: bool,
    },
    /// Survey the sockets of a network namespace, and its mini-sockets: a drain waits for it.
    Survey {
        /// Its cookie.
        netns: u64,
    },
    /// Survey the mini-sockets of a network namespace, at leisure.
    MiniSockets {
        /// Its cookie.
        netns: u64,
    },
    /// Read the rows of a service, in all its phases.
    Counters {
        /// Which, phase steady.
        service: ServiceKey,
    },
    /// Read the table of processes.
    Processes,
    /// Look for the processes around an instance that belong to it, and let the programs know.
    Relatives {
        /// Which.
        instance: Process,
    },
    /// Find out whose a service is.
    Name {
        /// Which, phase steady.
        service: ServiceKey,
    },
}
