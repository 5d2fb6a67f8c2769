//! Signals that no other process sends: faults, a program's own, a terminal's.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use finwatch_common::{Disposition, Intent, Phase, SignalRecord};
use libc::{SIGHUP, SIGINT, SIGKILL, SIGSEGV, SIGTERM};

use super::signals::{by_us, comm, phase_of_listener, signals};
use crate::harness::{Manners, Netns, Order, Servant, shared, told_of};

/// A stop that the program sends to itself is a stop.
#[test]
fn a_program_may_stop_itself() {
    shared();
    Netns::run(|_| {
        let mut servant = Servant::start(Manners::default());
        servant.tell_last(0, Order::Raise, SIGTERM as u8);
        assert_eq!(servant.wait_status(), SIGTERM as u32);
        let records = told_of(servant.instance, 2);
        let signal = signals(&records)[0];
        assert_eq!(signal.sender_tgid, servant.pid());
        assert_eq!(signal.sender_comm, comm("servant"));
        assert_eq!(signal.intent(), Intent::Stop);
    });
}

/// lighttpd ends its old workers by a signal to all of its process group.
#[test]
fn a_stop_that_a_reloading_program_catches_from_itself_is_of_its_reload() {
    shared();
    Netns::run(|_| {
        let servant = Servant::start(Manners {
            handled: &[SIGHUP, SIGINT],
            ..Manners::default()
        });
        servant.signal(SIGHUP);
        servant.tell(Order::Raise, SIGINT as u8);
        servant.signal(SIGINT);
        servant.signal(SIGKILL);
        let records = told_of(servant.instance, 5);
        let intents: Vec<Intent> = signals(&records).iter().map(|s| s.intent()).collect();
        let expected = [Intent::Reload, Intent::Nothing, Intent::Stop, Intent::Stop];
        assert_eq!(intents, expected);
    });
}

#[test]
fn a_fault_is_the_kernels_signal_and_ends_the_service() {
    shared();
    Netns::run(|ns| {
        let mut servant = Servant::start(Manners::default());
        servant.tell_last(0, Order::Fault, 0);
        assert_eq!(servant.wait_status(), SIGSEGV as u32);
        let records = told_of(servant.instance, 2);
        let signal = signals(&records)[0];
        let expected = SignalRecord {
            sender_tgid: 0,
            sender_comm: [0; 16],
            ..by_us(
                &servant,
                signal.header,
                SIGSEGV,
                Disposition::Default,
                Intent::Stop,
            )
        };
        assert_eq!(signal, expected);
        assert_eq!(phase_of_listener(ns), Some(Phase::Draining));
    });
}

/// Runtimes catch faults of their own making, many a second.
#[test]
fn a_fault_that_is_handled_is_no_event() {
    shared();
    Netns::run(|_| {
        let servant = Servant::start(Manners {
            handled: &[SIGSEGV, libc::SIGFPE],
            ..Manners::default()
        });
        for signal in [SIGSEGV, libc::SIGFPE] {
            servant.tell(Order::Raise, signal as u8);
        }
        servant.signal(SIGKILL);
        let records = told_of(servant.instance, 2);
        assert_eq!(signals(&records)[0].signal, SIGKILL as u8, "{records:#?}");
    });
}

/// Ctrl-C in a terminal: the kernel sends it. A program that is kept in the background ignores it, and goes on.
#[test]
fn an_interrupt_from_the_terminal() {
    shared();
    for (ignored, disposition, intent) in [
        (&[][..], Disposition::Default, Intent::Stop),
        (&[SIGINT][..], Disposition::Ignored, Intent::Nothing),
    ] {
        Netns::run(|_| {
            let (mut keyboard, terminal) = terminal();
            let servant = Servant::start(Manners {
                ignored,
                terminal: Some(terminal.as_raw_fd()),
                ..Manners::default()
            });
            keyboard.write_all(b"\x03").unwrap();
            let dies = usize::from(ignored.is_empty());
            let records = told_of(servant.instance, 1 + dies);
            let signal = signals(&records)[0];
            let expected = SignalRecord {
                sender_tgid: 0,
                sender_comm: [0; 16],
                ..by_us(&servant, signal.header, SIGINT, disposition, intent)
            };
            assert_eq!(signal, expected);
        });
    }
}

/// A pseudo-terminal: where one types, and what a program gets.
fn terminal() -> (File, OwnedFd) {
    let (mut keyboard, mut terminal) = (0, 0);
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: two descriptors are written, which nobody else owns; everything else may be null.
    unsafe {
        let result = libc::openpty(
            &raw mut keyboard,
            &raw mut terminal,
            null.cast(),
            null.cast(),
            null.cast(),
        );
        assert_eq!(result, 0, "openpty: {}", std::io::Error::last_os_error());
        (File::from_raw_fd(keyboard), OwnedFd::from_raw_fd(terminal))
    }
}
