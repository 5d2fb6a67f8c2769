//! The verbs of the scenarios: what each line does to the model kernel.

use std::collections::BTreeSet;

use finwatch_common::{
    Cut, KIND_LISTENER, KIND_RESET, KIND_UNREAD, Kinship, ListenerRecord, Lost, Origin, Outcome,
    ResetRecord, TimeWait, UnreadRecord, close_flags, reset_flags,
};

use super::{
    kernel::{Connection, End, Kernel, Listener, Proc, State, comm, header, key, started_ns, v4},
    scenario::MS,
};
use crate::input::Record;

pub(super) const FIN: End = End {
    origin: Origin::Local,
    outcome: Outcome::Fin,
    time_wait: TimeWait::TimeWait,
    flags: 0,
    reason: 0,
};

// === impl Kernel ===

impl Kernel {
    /// Does what a line says.
    pub(super) fn does(&mut self, now_ns: u64, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| -> u32 {
            let word = words.get(at).unwrap_or_else(|| panic!("too short: {line}"));
            word.trim_start_matches(':')
                .parse()
                .unwrap_or_else(|_| panic!("no number: {line}"))
        };
        let bytes = || words.get(2).and_then(|w| w.parse().ok()).unwrap_or(100);
        let has = |word| words.contains(&word);
        match words[0] {
            "end" if words.len() == 1 => {}
            "listen" => self.listen(now_ns, &words, number(words.len() - 1) as u16),
            "unlisten" => self.unlisten(now_ns, number(1), Some(number(2) as u16), 0),
            "backlog" => self.backlog(number(1) as u16, number(2)),
            "fork" => (2..words.len()).for_each(|at| self.fork(now_ns, number(1), number(at))),
            "controller" => {
                let holds = has("holds");
                self.controller(now_ns, number(1), words[2], number(3), holds);
            }
            "signal" => self.signal(now_ns, &words),
            "exec" => self.exec(number(1)),
            "heir" => self.heir(number(1), number(2)),
            "exit" => self.exit(now_ns, number(1), words[2], has("half")),
            "refuse" => self.refused += u64::from(number(2)),
            "lose" => self.losing += u64::from(number(1)),
            "surveys" => match words[1] {
                "fail" => self.surveys_fail = true,
                "work" => self.surveys_fail = false,
                "take" => self.survey_takes_ns = u64::from(number(2)) * MS,
                other => panic!("surveys do not {other}"),
            },
            "open" => {
                let worker = if has("by") { number(4) } else { 0 };
                for name in names(words[1]) {
                    self.open(now_ns, name, number(2) as u16, worker);
                }
            }
            verb => {
                for name in names(words[1]) {
                    self.connection(now_ns, verb, &name, bytes(), &words);
                }
            }
        }
    }

    fn connection(&mut self, now_ns: u64, verb: &str, name: &str, bytes: u32, words: &[&str]) {
        let draining = !self.phases.is_empty();
        let known = self.connections.get(name);
        let phase = known.map(|c| self.phase(&c.owner));
        let c = self
            .connections
            .get_mut(name)
            .unwrap_or_else(|| panic!("no connection {name}"));
        match verb {
            "accept" => c.worker = bytes,
            "ask" => {
                if c.turns == 0 && c.unread > 0 {
                    c.waited_ms = ((now_ns - c.came_ns) / MS) as u32;
                    c.unread = 0;
                }
                let answered = c.since_read > 0 || c.turns == 0;
                c.turns += u32::from(answered);
                c.asked = if answered { bytes } else { c.asked + bytes };
                c.since_read = 0;
                c.last_read_ns = if draining { now_ns } else { 0 };
            }
            "answer" => {
                c.since_read += bytes;
                c.sent_in_phase |= draining;
                c.sent_ns = now_ns;
                c.sent += u64::from(bytes);
            }
            "send" => {
                c.unread += bytes;
                c.came_ns = now_ns;
            }
            "close" if words.contains(&"half") => {
                c.closer = c.worker;
                let time_wait = TimeWait::FinWait2;
                self.ends(name, now_ns, &End { time_wait, ..FIN });
            }
            "close" => {
                c.closer = c.worker;
                let end = if c.unread > 0 { aborted(0) } else { FIN };
                self.ends(name, now_ns, &end);
            }
            "closing" => {
                c.closer = c.worker;
                c.state = State::Closing;
                c.left = phase;
            }
            "end" => self.ends(name, now_ns, &FIN),
            "shut" => {
                c.closer = c.worker;
                let flags = close_flags::HELD;
                self.ends(name, now_ns, &End { flags, ..FIN });
            }
            "let-go" => self.let_go(now_ns, name),
            "settle" => c.state = State::Gone,
            "late" => self.late(now_ns, name, bytes),
            "leave" => {
                let end = End {
                    origin: Origin::Remote,
                    time_wait: TimeWait::None,
                    ..FIN
                };
                self.ends(name, now_ns, &end);
            }
            "break" => {
                let queued = c.worker == 0;
                let end = End {
                    flags: if queued {
                        close_flags::NEVER_ACCEPTED
                    } else {
                        0
                    },
                    origin: Origin::None,
                    outcome: Outcome::ResetReceived,
                    time_wait: TimeWait::None,
                    ..FIN
                };
                self.ends(name, now_ns, &end);
            }
            verb => panic!("no verb {verb}"),
        }
    }

    fn listen(&mut self, now_ns: u64, words: &[&str], port: u16) {
        let pid: u32 = words[1].parse().expect("a process");
        let named = (words.len() == 4).then(|| comm(words[2]));
        let process = self.processes.entry(pid).or_insert_with(|| Proc {
            comm: named.expect("a new process has a name"),
            start_ns: started_ns(now_ns),
            parent: 0,
            kin: None,
        });
        let comm = process.comm;
        let owner = self.name(pid);
        let kin = self.processes.get_mut(&pid).map(|p| &mut p.kin);
        if let Some(kin) = kin
            && kin.is_none()
        {
            *kin = Some((owner, Kinship::Owner));
        }
        let cookie = self.cookie();
        let key = key(comm, port);
        let listener = Listener {
            owner,
            key,
            holders: BTreeSet::from([pid]),
            backlog: 0,
        };
        self.told_listener(now_ns, cookie, &listener, 1, pid, 0);
        self.listeners.insert(cookie, listener);
    }

    pub(super) fn unlisten(&mut self, now_ns: u64, pid: u32, port: Option<u16>, by_exit: u8) {
        let of_port = |l: &Listener| port.is_none_or(|port| l.key.port == port);
        let held: Vec<u64> = self
            .listeners
            .iter()
            .filter(|(_, l)| l.holders.contains(&pid) && of_port(l))
            .map(|(cookie, _)| *cookie)
            .collect();
        for cookie in held {
            let listener = self.listeners.get_mut(&cookie).expect("a listener");
            listener.holders.remove(&pid);
            // An explicit close is everybody's; only the last holder's death closes it.
            if by_exit != 0 && !listener.holders.is_empty() {
                continue;
            }
            let listener = self.listeners.remove(&cookie).expect("a listener");
            self.told_listener(now_ns, cookie, &listener, 0, pid, by_exit);
            let queued: Vec<String> = self
                .connections
                .iter()
                .filter(|(_, c)| c.worker == 0 && c.state == State::Open && c.key == listener.key)
                .map(|(name, _)| name.clone())
                .collect();
            for name in queued {
                self.ends(&name, now_ns, &aborted(close_flags::NEVER_ACCEPTED));
            }
        }
    }

    fn told_listener(
        &mut self,
        now_ns: u64,
        cookie: u64,
        listener: &Listener,
        up: u8,
        pid: u32,
        by_exit: u8,
    ) {
        let record = ListenerRecord {
            header: header(KIND_LISTENER, size_of::<ListenerRecord>(), now_ns),
            cookie,
            service: self.phased(listener.key, &listener.owner),
            start_ns: listener.owner.start_ns,
            local_addr: v4(0, 0, 0, 0),
            tgid: pid,
            owner_tgid: listener.owner.tgid,
            netns_inum: 4_026_531_840,
            backlog: listener.backlog,
            backlog_limit: 511,
            up,
            by_exit,
            pad: [0; 2],
        };
        self.record(Record::Listener(record));
    }

    fn backlog(&mut self, port: u16, backlog: u32) {
        let of_port = self.listeners.values_mut().filter(|l| l.key.port == port);
        of_port.for_each(|l| l.backlog = backlog);
    }

    fn open(&mut self, now_ns: u64, name: String, port: u16, worker: u32) {
        let serves =
            |l: &&Listener| l.key.port == port && (worker == 0 || l.holders.contains(&worker));
        let listener = self
            .listeners
            .values()
            .find(serves)
            .expect("a listener")
            .clone();
        let connection = Connection {
            cookie: self.cookie(),
            owner: listener.owner,
            key: listener.key,
            opened_ns: now_ns,
            worker,
            asked: 0,
            since_read: 0,
            sent_in_phase: false,
            sent_ns: 0,
            sent: 0,
            turns: 0,
            unread: 0,
            came_ns: 0,
            waited_ms: 0,
            last_read_ns: 0,
            closer: 0,
            state: State::Open,
            left: None,
        };
        self.connections.insert(name, connection);
    }

    fn let_go(&mut self, now_ns: u64, name: &str) {
        let c = self.connections[name].clone();
        if c.unread == 0 {
            return;
        }
        let cut = c.unread >= 18 && c.unread != 24;
        let record = UnreadRecord {
            header: header(KIND_UNREAD, size_of::<UnreadRecord>(), now_ns),
            cookie: c.cookie,
            service: self.phased(c.key, &c.owner),
            local_addr: v4(10, 0, 0, 1),
            remote_addr: v4(10, 0, 0, 2),
            local_port: c.key.port,
            remote_port: 40_000,
            unread: c.unread,
            cut: if cut { Cut::Unread as u8 } else { 0xff },
            rest_or_request: 0,
            idle_ds: 0,
            tail: [0; 4],
        };
        self.record(Record::Unread(record));
    }

    fn late(&mut self, now_ns: u64, name: &str, bytes: u32) {
        let c = self.connections.get_mut(name).expect("a connection");
        assert_eq!(c.state, State::FinWait2, "{name} left no mini-socket");
        c.state = State::Gone;
        let c = c.clone();
        let data = bytes >= 18 && bytes != 24;
        let record = ResetRecord {
            header: header(KIND_RESET, size_of::<ResetRecord>(), now_ns),
            cookie: c.cookie,
            service: self.phased(c.key, &c.owner),
            local_addr: v4(10, 0, 0, 1),
            remote_addr: v4(10, 0, 0, 2),
            local_port: c.key.port,
            remote_port: 40_000,
            lost_bytes: bytes,
            flags: reset_flags::MINI_SOCKET | if data { reset_flags::CUT_LATE } else { 0 },
            state: 6,
            reason: 9,
            lost: if data { Lost::Data } else { Lost::Goodbye } as u8,
            pad: 0,
            idle_ds: 0,
        };
        self.record(Record::Reset(record));
    }
}

/// Closed with an RST, as data was unread or nobody had accepted it.
pub(super) fn aborted(flags: u16) -> End {
    End {
        origin: Origin::None,
        outcome: Outcome::ResetSent,
        time_wait: TimeWait::None,
        flags,
        reason: 11,
    }
}

fn names(word: &str) -> Vec<String> {
    let Some((first, last)) = word.split_once("..") else {
        return vec![word.to_owned()];
    };
    let digits = |word: &str| word.trim_start_matches(char::is_alphabetic).to_owned();
    let number = |word: &str| digits(word).parse::<u32>().expect("a number");
    let stem = first.trim_end_matches(&digits(first));
    (number(first)..=number(last))
        .map(|n| format!("{stem}{n}"))
        .collect()
}
