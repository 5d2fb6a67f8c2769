//! A server in processes of its own, which does what it is told over pipes: it listens, accepts, answers, forks,
//! dies. It is run anew, not only forked: a mere fork of the test process would belong to its family.

mod hand;

use std::{
    io::{PipeReader, PipeWriter, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::fd::{AsRawFd, RawFd},
};

use finwatch::clock;
use finwatch_common::{Kinship, Process, ProcessEntry};

use self::hand::{HANDS, ROLE};
use super::{
    Patient,
    child::{Child, gate},
    shared,
};

/// What a process of the servant can be told. Each order has a number with it, and a number as its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    /// Waits for a connection; the answer is its index.
    Accept,
    /// Accepts all that wait; the answer is how many it holds now.
    AcceptWaiting,
    /// Reads from the connection; the answer is how many bytes.
    Read,
    /// Writes 200 bytes to the connection.
    Answer,
    /// The same, and closes it in that instant.
    AnswerAndClose,
    /// Closes the connection.
    Close,
    /// Sends a FIN on the connection and goes on reading.
    HalfClose,
    /// Listens on another port; the answer is which.
    Listen,
    /// Closes its first listener.
    StopListening,
    /// Forks: the child obeys the next hand's orders; the answer is its number.
    Fork,
    /// Starts a thread that obeys the next hand's orders.
    Thread,
    /// Sends itself (this very thread) the signal.
    Raise,
    /// Runs `sleep` in a child; the answer is its number.
    Spawn,
    /// Ends this thread alone, with the code.
    Leave,
    /// Reads from where nothing is.
    Fault,
    /// Exits with the code.
    Exit,
}

/// How the servant takes signals, and what it is called. What is not named has the default action.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners<'a> {
    pub(crate) handled: &'a [i32],
    pub(crate) ignored: &'a [i32],
    pub(crate) blocked: &'a [i32],
    pub(crate) name: &'a str,
    /// 0: the kernel's choice.
    pub(crate) port: u16,
    /// Whoever else listens on the port.
    pub(crate) reuse_port: bool,
    /// The terminal that controls it.
    pub(crate) terminal: Option<RawFd>,
}

impl Default for Manners<'_> {
    fn default() -> Self {
        Self {
            handled: &[],
            ignored: &[],
            blocked: &[],
            name: "servant",
            port: 0,
            reuse_port: false,
            terminal: None,
        }
    }
}

/// See the module. When it is dropped every process of it ends, and the phase of its instance.
pub(crate) struct Servant {
    child: Option<Child>,
    orders: Vec<PipeWriter>,
    reports: PipeReader,
    pub(crate) address: SocketAddr,
    pub(crate) instance: Process,
}

impl Servant {
    /// Starts it; it listens when this returns, and is known as an instance.
    #[track_caller]
    pub(crate) fn start(manners: Manners<'_>) -> Self {
        let (readers, orders): (Vec<_>, Vec<_>) = (0..HANDS).map(|_| gate()).unzip();
        let (reports, report) = gate();
        let ends = std::array::from_fn(|hand| readers[hand].as_raw_fd());
        let words = hand::words(ends, report.as_raw_fd(), &manners);
        let mut arguments: Vec<*const libc::c_char> = vec![ROLE.as_ptr()];
        arguments.extend(words.iter().map(|word| word.as_ptr()));
        arguments.push(std::ptr::null());
        let mut keep = ends.to_vec();
        keep.push(report.as_raw_fd());
        keep.extend(manners.terminal);
        let child = Child::fork(&keep, || {
            // SAFETY: every word ends with NUL, and the list with null.
            unsafe {
                for fd in &keep {
                    libc::fcntl(*fd, libc::F_SETFD, 0);
                }
                libc::execv(c"/proc/self/exe".as_ptr(), arguments.as_ptr());
            }
            127
        });
        drop((readers, report));
        let port = read_number(&reports);
        assert!(port > 0, "the servant does not listen: errno {}", -port);
        let pid = child.pid();
        let entry = entry_of(pid).expect("who listens is known as an instance");
        assert_eq!(entry.kinship, Kinship::Owner as u8);
        assert_eq!(entry.instance.tgid, pid);
        assert_eq!(entry.instance.start_ns, entry.start_ns);
        Self {
            child: Some(child),
            orders,
            reports,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap())),
            instance: entry.instance,
        }
    }

    /// Number of the process that listens.
    pub(crate) fn pid(&self) -> u32 {
        self.instance.tgid
    }

    /// Tells the first process something and waits for its answer.
    #[track_caller]
    pub(crate) fn tell(&self, order: Order, number: u8) -> i32 {
        self.tell_hand(0, order, number)
    }

    /// Tells the `hand`th process or thread something and waits for its answer.
    #[track_caller]
    pub(crate) fn tell_hand(&self, hand: usize, order: Order, number: u8) -> i32 {
        self.tell_last(hand, order, number);
        let answer = read_number(&self.reports);
        assert!(answer >= 0, "{order:?}: errno {}", -answer);
        answer
    }

    /// Tells it something that it gives no answer to.
    pub(crate) fn tell_last(&self, hand: usize, order: Order, number: u8) {
        let mut orders = &self.orders[hand];
        orders.write_all(&[order as u8, number]).unwrap();
    }

    /// A connection to it, accepted by the first process: the client's end, its index there.
    #[track_caller]
    pub(crate) fn connect(&self) -> (TcpStream, u8) {
        self.connect_hand(0)
    }

    /// The same, accepted by the `hand`th process.
    #[track_caller]
    pub(crate) fn connect_hand(&self, hand: usize) -> (TcpStream, u8) {
        let client = TcpStream::connect(self.address).unwrap();
        let index = self.tell_hand(hand, Order::Accept, 0);
        (client, u8::try_from(index).unwrap())
    }

    /// Sends the first process a signal.
    pub(crate) fn signal(&self, signal: i32) {
        signal_process(self.pid(), signal);
    }

    /// Waits until the first process has ended, and returns what `waitpid` says of it.
    pub(crate) fn wait_status(&mut self) -> u32 {
        let child = self.child.take().expect("it was not waited for before");
        child.wait_status().cast_unsigned()
    }
}

impl Drop for Servant {
    fn drop(&mut self) {
        // Those that it forked end as their orders do.
        self.child.take();
        shared().with(|probe| probe.phases.end(self.instance, clock::monotonic_ns()));
    }
}

/// What the table of processes says of one.
pub(crate) fn entry_of(pid: u32) -> Option<ProcessEntry> {
    let processes = shared().with(|probe| probe.processes.table());
    let found = processes.into_iter().find(|(tgid, _)| *tgid == pid);
    found.map(|(_, entry)| entry)
}

/// Sends a signal.
pub(crate) fn signal_process(pid: u32, signal: i32) {
    // SAFETY: no memory is involved.
    let result = unsafe { libc::kill(pid.cast_signed(), signal) };
    assert_eq!(result, 0, "kill: {}", std::io::Error::last_os_error());
}

#[track_caller]
fn read_number(from: &PipeReader) -> i32 {
    let mut bytes = [0; 4];
    Patient::new(from)
        .read_exact(&mut bytes)
        .expect("the servant answers, unless it is gone or waits for something");
    i32::from_ne_bytes(bytes)
}
