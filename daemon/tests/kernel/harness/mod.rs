//! What every scenario stands on: a namespace, the probe, the kernel's counters, and the comparison.

pub(crate) mod capture;
pub(crate) mod child;
pub(crate) mod crowd;
pub(crate) mod daemon;
mod destroy;
mod dispositions;
mod expect;
pub(crate) mod fastcgi;
pub(crate) mod gate;
pub(crate) mod grpc;
mod hidden;
pub(crate) mod http;
mod identities;
pub(crate) mod kernel;
pub(crate) mod lab;
mod netns;
pub(crate) mod nginx;
mod observed;
pub(crate) mod postgres;
mod probe;
mod records;
pub(crate) mod resets;
mod scenario;
pub(crate) mod servant;
pub(crate) mod sock;
mod table;
mod wait;

pub(crate) use destroy::destroy;
pub(crate) use expect::{Expect, Lost, Reason, Side, opened};
pub(crate) use finwatch_common::{Cell, Cut, Evidence, Origin, Outcome};
pub(crate) use identities::check_identities;
pub(crate) use netns::{Netns, interface_up, spread_loopback};
pub(crate) use observed::{Observed, WAYS};
pub(crate) use probe::{OPTIONS, shared};
pub(crate) use records::{recorded, told_of};
pub(crate) use scenario::{scenario, settle, settle_phases, settle_to_none, within_settle};
pub(crate) use servant::{Manners, Order, Servant};
pub(crate) use table::{Entry, Snmp, sockets, state, wait_until_quiet};
pub(crate) use wait::{
    PATIENCE, Patient, StopAtEnd, finish, output_of, wait_for_end, wait_until, within,
};
