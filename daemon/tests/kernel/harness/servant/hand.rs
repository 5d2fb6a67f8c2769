//! The servant's own side: one process or thread of it, which reads orders and follows them. It is this very test
//! program, run once more; it never gets to the tests.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    fs::File,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, RawFd},
    process, thread,
};

use super::{Manners, Order};

/// Most processes and threads of a servant together.
pub(super) const HANDS: usize = 3;
/// The name by which the program is run when it is to be a servant.
pub(super) const ROLE: &CStr = c"finwatch-servant";

const ANSWER: &[u8] = &[b'a'; 200];

/// Before `main`, as that is the test harness's.
#[used]
#[unsafe(link_section = ".init_array")]
static ENLIST: extern "C" fn(c_int, *const *const c_char) = enlist;

extern "C" fn enlist(count: c_int, arguments: *const *const c_char) {
    let mut words = Vec::new();
    for index in 0..count {
        // SAFETY: the C library passes as many arguments as it says, each ended by NUL.
        let word = unsafe { CStr::from_ptr(*arguments.add(index as usize)) };
        words.push(word.to_str().unwrap_or_default().to_owned());
    }
    let Some((role, words)) = words.split_first() else {
        return;
    };
    if role.as_bytes() != ROLE.to_bytes() {
        return;
    }
    let ended = Hand::begin(words);
    if let Err(error) = &ended {
        eprintln!("a servant failed: {error}");
    }
    process::exit(i32::from(ended.is_err()));
}

/// What a hand needs of its process.
struct Hand {
    /// Of all hands, by number.
    orders: [RawFd; HANDS],
    report: RawFd,
    listener: Option<TcpListener>,
    /// By the order in which they were accepted.
    streams: Vec<Option<TcpStream>>,
    /// Further listeners.
    others: Vec<TcpListener>,
    /// Which hand this is.
    this: usize,
    /// How many others it made.
    made: usize,
}

/// As the words of the servant's command line.
pub(super) fn words(orders: [RawFd; HANDS], report: RawFd, manners: &Manners<'_>) -> Vec<CString> {
    let Manners {
        handled,
        ignored,
        blocked,
        name,
        port,
        reuse_port,
        terminal,
    } = manners;
    let list = |numbers: &[i32]| {
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        numbers.join(",")
    };
    [
        list(&orders),
        report.to_string(),
        list(handled),
        list(ignored),
        list(blocked),
        (*name).to_owned(),
        port.to_string(),
        i32::from(*reuse_port).to_string(),
        terminal.unwrap_or(-1).to_string(),
    ]
    .map(|word| CString::new(word).unwrap())
    .to_vec()
}

impl Hand {
    /// Takes on its manners, listens, tells the port, and does what it is told until the test is over.
    fn begin(words: &[String]) -> io::Result<()> {
        let [
            orders,
            report,
            handled,
            ignored,
            blocked,
            name,
            port,
            reuse_port,
            terminal,
        ] = words
        else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let numbers = |text: &str| -> Vec<i32> {
            text.split(',')
                .filter_map(|word| word.parse().ok())
                .collect()
        };
        let number = |text: &str| numbers(text).first().copied().unwrap_or_default();
        behave(
            &numbers(handled),
            &numbers(ignored),
            &numbers(blocked),
            name,
        )?;
        if number(terminal) >= 0 {
            take_terminal(number(terminal))?;
        }
        let port = u16::try_from(number(port)).map_err(io::Error::other)?;
        let listener = listen(port, number(reuse_port) != 0)?;
        let port = listener.local_addr()?.port();
        let orders = numbers(orders);
        let mut hand = Self {
            orders: orders.try_into().map_err(|_| io::ErrorKind::InvalidInput)?,
            report: number(report),
            listener: Some(listener),
            streams: Vec::new(),
            others: Vec::new(),
            this: 0,
            made: 0,
        };
        hand.answer(port.into())?;
        hand.obey()
    }

    /// Does what it is told until it is told to end, or the test is over.
    fn obey(&mut self) -> io::Result<()> {
        let mut orders = file(self.orders[self.this]);
        loop {
            let mut order = [0; 2];
            if orders.read(&mut order)? == 0 {
                return Ok(());
            }
            let [order, number] = order;
            let answer = self.follow(order, number);
            self.answer(answer.unwrap_or_else(|error| -error.raw_os_error().unwrap_or(1)))?;
        }
    }

    fn follow(&mut self, order: u8, number: u8) -> io::Result<i32> {
        let is = |wanted: Order| order == wanted as u8;
        if is(Order::Accept) {
            return self.accept();
        }
        if is(Order::AcceptWaiting) {
            while self.is_waited_for()? {
                self.accept()?;
            }
            return count(self.streams.len());
        }
        if is(Order::Read) {
            return count(self.stream(number)?.read(&mut [0; 4096])?);
        }
        if is(Order::Answer) {
            return count(self.stream(number)?.write(ANSWER)?);
        }
        if is(Order::AnswerAndClose) {
            self.stream(number)?.write_all(ANSWER)?;
        }
        if is(Order::Close) || is(Order::AnswerAndClose) {
            self.streams[usize::from(number)] = None;
        } else if is(Order::HalfClose) {
            self.stream(number)?.shutdown(std::net::Shutdown::Write)?;
        } else if is(Order::Listen) {
            self.others.push(listen(0, false)?);
            return count(
                self.others[self.others.len() - 1]
                    .local_addr()?
                    .port()
                    .into(),
            );
        } else if is(Order::StopListening) {
            self.listener = None;
        } else if is(Order::Fork) {
            return self.fork();
        } else if is(Order::Thread) {
            self.thread();
        } else if is(Order::Raise) {
            // SAFETY: no memory is involved.
            return done(unsafe { libc::raise(number.into()) });
        } else if is(Order::Spawn) {
            return self.spawn();
        } else if is(Order::Leave) {
            // SAFETY: ends the thread; what it holds is never given back.
            unsafe { libc::syscall(libc::SYS_exit, c_int::from(number)) };
        } else if is(Order::Fault) {
            // SAFETY: none; it is what the order says.
            return Ok(unsafe { std::ptr::without_provenance::<i32>(16).read_volatile() });
        } else if is(Order::Exit) {
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(number.into()) };
        } else {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(0)
    }

    fn accept(&mut self) -> io::Result<i32> {
        let listener = self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let (stream, _) = listener.accept()?;
        self.streams.push(Some(stream));
        count(self.streams.len() - 1)
    }

    fn is_waited_for(&self) -> io::Result<bool> {
        let listener = self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut poll = libc::pollfd {
            fd: listener.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: there is one entry.
        done(unsafe { libc::poll(&raw mut poll, 1, 0) }).map(|ready| ready == 1)
    }

    fn stream(&self, number: u8) -> io::Result<&TcpStream> {
        let stream = self
            .streams
            .get(usize::from(number))
            .and_then(Option::as_ref);
        stream.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    fn fork(&mut self) -> io::Result<i32> {
        self.made += 1;
        // SAFETY: this process has one thread when it is told to fork.
        let pid = done(unsafe { libc::fork() })?;
        if pid == 0 {
            self.this = self.made;
            let ended = self.obey();
            process::exit(i32::from(ended.is_err()));
        }
        Ok(pid)
    }

    fn thread(&mut self) {
        self.made += 1;
        let mut hand = Self {
            orders: self.orders,
            report: self.report,
            listener: None,
            streams: Vec::new(),
            others: Vec::new(),
            this: self.made,
            made: HANDS,
        };
        thread::spawn(move || hand.obey());
    }

    fn spawn(&self) -> io::Result<i32> {
        let mut command = process::Command::new("sleep");
        // What it inherits must not keep anybody waiting who reads the tests' output.
        let nothing = process::Stdio::null;
        command.stdin(nothing()).stdout(nothing()).stderr(nothing());
        let child = command.arg("60").spawn()?;
        i32::try_from(child.id()).map_err(io::Error::other)
    }

    fn answer(&self, number: i32) -> io::Result<()> {
        file(self.report).write_all(&number.to_ne_bytes())
    }
}

/// A descriptor of the servant's, open until it ends.
fn file(fd: RawFd) -> std::mem::ManuallyDrop<File> {
    // SAFETY: it was handed down for this, and nobody closes it.
    std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(fd) })
}

fn listen(port: u16, reuse_port: bool) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if !reuse_port {
        return TcpListener::bind(address);
    }
    let socket = crate::harness::sock::new_stream(&address, 0, 0);
    crate::harness::sock::reuse_port(&socket);
    crate::harness::sock::bind(&socket, address);
    let listener = TcpListener::from(std::os::fd::OwnedFd::from(socket));
    // SAFETY: no memory is involved.
    done(unsafe { libc::listen(listener.as_raw_fd(), 128) })?;
    Ok(listener)
}

fn behave(handled: &[i32], ignored: &[i32], blocked: &[i32], name: &str) -> io::Result<()> {
    extern "C" fn note(_signal: c_int) {}
    let handler: extern "C" fn(c_int) = note;
    let name = CString::new(name)?;
    let null = std::ptr::null_mut::<libc::c_void>();
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: every pointer is to something that is as large as the call says; zeros are a value of each.
    unsafe {
        done(libc::prctl(libc::PR_SET_NAME, name.as_ptr()))?;
        // A fault leaves no core file.
        done(libc::setrlimit(libc::RLIMIT_CORE, &raw const none))?;
        for (signals, handler) in [
            (handled, handler as libc::sighandler_t),
            (ignored, libc::SIG_IGN),
        ] {
            for signal in signals {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler;
                action.sa_flags = libc::SA_RESTART;
                done(libc::sigaction(*signal, &raw const action, null.cast()))?;
            }
        }
        let mut set: libc::sigset_t = std::mem::zeroed();
        for signal in blocked {
            libc::sigaddset(&raw mut set, *signal);
        }
        done(libc::sigprocmask(
            libc::SIG_BLOCK,
            &raw const set,
            null.cast(),
        ))?;
    }
    Ok(())
}

fn take_terminal(terminal: RawFd) -> io::Result<()> {
    // SAFETY: no memory is involved.
    unsafe {
        done(libc::setsid())?;
        done(libc::ioctl(terminal, libc::TIOCSCTTY, 0))?;
    }
    Ok(())
}

fn count(number: usize) -> io::Result<i32> {
    i32::try_from(number).map_err(io::Error::other)
}

fn done(result: c_int) -> io::Result<c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}
