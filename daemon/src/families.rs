//! Who belongs to a service beside the process that listens, as `/proc` shows it: forked children that are older
//! than the kernel programs, heirs that a listening socket was handed to, and the processes whose stop is the service's
//! stop. It does not know why it is asked.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read},
    os::unix::fs::MetadataExt as _,
};

use finwatch_common::{Kinship, Process, ProcessEntry};
use finwatch_engine::bounded::Bounded;

use crate::netns::owners::{self, ProcessStat};

/// Most generations that are walked up or down.
const GENERATIONS: usize = 32;

/// Most instances whose sockets are remembered.
const INSTANCES_MAX: usize = 4_096;

/// The listening sockets of each instance, by inode: when its first process has gone, they tell who serves in its
/// stead.
#[derive(Debug, Default)]
pub struct Sockets {
    listening: Bounded<Process, Listening, INSTANCES_MAX>,
}

#[derive(Debug, Default)]
struct Listening {
    /// Where, as [`Tables`] tells network namespaces apart.
    namespace: u64,
    inodes: HashSet<u64>,
}

/// Looks at the processes around each instance. Blocking: some microseconds a process on the host.
///
/// # Errors
/// When `/proc` cannot be read at all.
pub fn scan(instances: &[Process], sockets: &mut Sockets) -> io::Result<Vec<(u32, ProcessEntry)>> {
    let stats: HashMap<u32, ProcessStat> = owners::processes()?
        .into_iter()
        .map(|stat| (stat.pid, stat))
        .collect();
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for stat in stats.values() {
        children.entry(stat.parent).or_default().push(stat.pid);
    }
    let mut found = Vec::new();
    let mut tables = Tables::default();
    for instance in instances {
        let mut entry = |stat: &ProcessStat, kinship: Kinship| {
            found.push((
                stat.pid,
                ProcessEntry {
                    instance: *instance,
                    start_ns: stat.start_ns,
                    born_ns: stat.start_ns,
                    kinship: kinship as u8,
                    pad: [0; 7],
                },
            ));
        };
        let Some(owner) = stats.get(&instance.tgid) else {
            for heir in sockets.heirs(instance, &stats, &mut tables) {
                entry(heir, Kinship::Member);
            }
            continue;
        };
        entry(owner, Kinship::Owner);
        let listening = tables.listening(instance.tgid);
        sockets.remember(*instance, namespace(instance.tgid), &listening);
        let mut holders: HashSet<u32> = descendants(instance.tgid, &children).into_iter().collect();
        let ancestors = ancestors(instance.tgid, &stats);
        for stat in &ancestors {
            let made_it = holds(stat.pid, &listening);
            if made_it {
                // Its other children have it as well, though another one called `listen()`.
                holders.extend(descendants(stat.pid, &children));
            }
            if made_it
                || is_same_image(stat, owner)
                || leads_cgroup_of(stat, instance.tgid)
                || leads_namespace_of(stat.pid, instance.tgid)
            {
                entry(stat, Kinship::Controller);
            }
        }
        holders.remove(&instance.tgid);
        for stat in ancestors {
            holders.remove(&stat.pid);
        }
        for pid in holders {
            if let Some(stat) = stats.get(&pid)
                && holds(pid, &listening)
            {
                entry(stat, Kinship::Member);
            }
        }
    }
    Ok(found)
}

// === impl Sockets ===

impl Sockets {
    fn remember(&mut self, instance: Process, namespace: io::Result<u64>, inodes: &HashSet<u64>) {
        // It may have ended since.
        let Ok(namespace) = namespace else {
            return;
        };
        // A socket that the first process closes may live on with whom it was handed to.
        if let Some(listening) = self.listening.admit(instance, Listening::default) {
            listening.namespace = namespace;
            listening.inodes.extend(inodes);
        }
    }

    /// Who still listens on a socket of an instance whose first process has gone: a program that hands its socket to a
    /// new one of itself runs `execve()` there, which the kernel programs take for leaving the family. What a process holds is looked
    /// at only where one of the sockets still listens: it may be very much.
    fn heirs<'a>(
        &mut self,
        instance: &Process,
        stats: &'a HashMap<u32, ProcessStat>,
        tables: &mut Tables,
    ) -> Vec<&'a ProcessStat> {
        let Some(known) = self.listening.get(instance) else {
            return Vec::new();
        };
        let heirs: Vec<&ProcessStat> = stats
            .values()
            .filter(|stat| stat.pid > 1)
            .filter(|stat| namespace(stat.pid).is_ok_and(|its| its == known.namespace))
            .filter(|stat| holds(stat.pid, &tables.still(stat.pid, &known.inodes)))
            .collect();
        if heirs.is_empty() {
            self.listening.remove(instance);
        }
        heirs
    }
}

fn descendants(of: u32, children: &HashMap<u32, Vec<u32>>) -> Vec<u32> {
    let mut found = Vec::new();
    let mut generation = vec![of];
    for _ in 0..GENERATIONS {
        generation = generation
            .iter()
            .filter_map(|pid| children.get(pid))
            .flatten()
            .copied()
            .collect();
        found.extend(&generation);
    }
    found
}

fn ancestors(of: u32, stats: &HashMap<u32, ProcessStat>) -> Vec<&ProcessStat> {
    let mut found = Vec::new();
    let mut pid = of;
    for _ in 0..GENERATIONS {
        let Some(parent) = stats
            .get(&pid)
            .and_then(|stat| stats.get(&stat.parent))
            // Process 1 of the host starts everything and stops nothing by its own end.
            .filter(|parent| parent.pid > 1)
        else {
            break;
        };
        found.push(parent);
        pid = parent.pid;
    }
    found
}

/// It holds a listening socket of the owner: it made it, or it hands it on.
fn holds(pid: u32, listening: &HashSet<u64>) -> bool {
    !listening.is_empty()
        && owners::holds_any(pid, |inode| listening.contains(&inode)).unwrap_or(false)
}

/// Both are one program, forked and not run anew: a master whose workers listen each on a socket of its own. Its other
/// children may be instances of their own.
fn is_same_image(stat: &ProcessStat, owner: &ProcessStat) -> bool {
    let program = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    stat.start_stack != 0
        && stat.start_stack == owner.start_stack
        && program(stat.pid).is_some_and(|its| program(owner.pid) == Some(its))
}

/// It is the first process of the unit or container that the owner runs in: its process 1, or the one that was
/// started from outside. Sessions of users have no such process.
fn leads_cgroup_of(stat: &ProcessStat, owner: u32) -> bool {
    let Some(home) = cgroup(owner).filter(|path| path != "/" && !path.starts_with("/user.slice"))
    else {
        return false;
    };
    cgroup(stat.pid).is_some_and(|its| its == home)
        && (is_first_of_namespace(stat.pid) || cgroup(stat.parent).is_none_or(|its| its != home))
}

/// It is process 1 of a pid namespace that the owner is in: when it goes, the kernel kills all that are in there.
fn leads_namespace_of(pid: u32, owner: u32) -> bool {
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let depth = |pid: u32| ids(pid).map(|ids| ids.len());
    is_first_of_namespace(pid)
        // The host's own process 1, as a finwatch sees it that runs in a container itself, is left out.
        && depth(pid).is_some_and(|depth| depth > 1)
        && namespace(pid).is_some_and(|its| namespace(owner) == Some(its))
}

/// Path in the cgroup v2 hierarchy (cgroups(7)).
fn cgroup(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.to_owned())
}

fn is_first_of_namespace(pid: u32) -> bool {
    ids(pid).is_some_and(|ids| ids.last().is_some_and(|id| id == "1"))
}

/// Its numbers, from ours to that of its own pid namespace: `NSpid:  4711  1` (proc(5)).
fn ids(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(ids.split_ascii_whitespace().map(str::to_owned).collect())
}

/// The listening sockets of each network namespace, looked up once a scan: for each table that it prints, the kernel walks
/// through those of all namespaces, which takes milliseconds.
#[derive(Default)]
struct Tables {
    /// By [`namespace`].
    listening: HashMap<u64, HashSet<u64>>,
}

impl Tables {
    /// Inodes of the listening TCP sockets that a process holds.
    fn listening(&mut self, pid: u32) -> HashSet<u64> {
        // It may have ended since.
        let Ok(listening) = self.of_namespace(pid) else {
            return HashSet::new();
        };
        owners::sockets(pid)
            .unwrap_or_default()
            .into_iter()
            .filter(|inode| listening.contains(inode))
            .collect()
    }

    /// Which of these sockets listen in the network namespace of a process.
    fn still(&mut self, pid: u32, inodes: &HashSet<u64>) -> HashSet<u64> {
        // It may have ended since.
        let listening = self.of_namespace(pid).ok();
        let listening = listening.into_iter().flatten();
        listening
            .filter(|inode| inodes.contains(*inode))
            .copied()
            .collect()
    }

    fn of_namespace(&mut self, pid: u32) -> io::Result<&HashSet<u64>> {
        Ok(match self.listening.entry(namespace(pid)?) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(listening(pid)?),
        })
    }
}

/// The network namespace of a process: the inode of `/proc/PID/net/tcp`, of which each has its own.
fn namespace(pid: u32) -> io::Result<u64> {
    Ok(fs::metadata(format!("/proc/{pid}/net/tcp"))?.ino())
}

/// Inodes of the listening TCP sockets in the network namespace of a process.
fn listening(pid: u32) -> io::Result<HashSet<u64>> {
    let mut found = HashSet::new();
    // There may be no IPv6. That there is a process still shows the other, which is read after it.
    match File::open(format!("/proc/{pid}/net/tcp6")) {
        Ok(table) => read_listeners(table, &mut found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    read_listeners(File::open(format!("/proc/{pid}/net/tcp"))?, &mut found)?;
    Ok(found)
}

/// The listeners of a `/proc/net/tcp`. They stand before all others (`tcp_seq_start`), so there the reading ends: behind them may be a
/// hundred thousand mini-sockets, and where those come and go the kernel begins its walk anew with each read.
fn read_listeners(table: impl Read, found: &mut HashSet<u64>) -> io::Result<()> {
    let table = BufReader::with_capacity(PAGE, UntilShort(Some(table)));
    for line in table.lines().skip(1) {
        let Some(inode) = listener(&line?) else {
            break;
        };
        found.insert(inode);
    }
    Ok(())
}

/// What the kernel fills in one go, line by line (`seq_read_iter`).
const PAGE: usize = 4096;

/// A table of the kernel's up to the first read that leaves half of a page: that was its end. To be told so by one more read costs one
/// more walk through all the buckets of its sockets, milliseconds on a large host.
struct UntilShort<T>(Option<T>);

impl<T: Read> Read for UntilShort<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(table) = &mut self.0 else {
            return Ok(0);
        };
        let read = table.read(buffer)?;
        if read < PAGE.min(buffer.len()) / 2 {
            self.0 = None;
        }
        Ok(read)
    }
}

/// The inode in a line of `/proc/net/tcp` whose state is LISTEN.
fn listener(line: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    (fields.nth(3)? == "0A").then_some(())?;
    fields.nth(5)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, process};

    use super::*;

    #[test]
    fn lines_of_listeners() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000 100 0 0 10 0";
        assert_eq!(listener(line), Some(4711));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn whoever_stands_behind_the_listeners_is_not_read() {
        struct Bounded<'a>(&'a [u8]);
        impl Read for Bounded<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                assert!(!self.0.is_empty(), "it is not read to its end");
                self.0.read(buffer)
            }
        }
        let line = |state: &str, inode: u64| {
            format!(
                "   0: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0000\n"
            )
        };
        let mut table = "  sl  local_address rem_address   st\n".to_owned();
        table += &line("0A", 1);
        table += &line("0A", 2);
        (0..1_000).for_each(|_| table += &line("06", 0));
        let mut found = HashSet::new();
        read_listeners(Bounded(table.as_bytes()), &mut found).unwrap();
        assert_eq!(found, HashSet::from([1, 2]));
        let (listeners, _) = table.split_at(table.find(" 06 ").unwrap());
        let end = listeners.rfind('\n').unwrap() + 1;
        found.clear();
        read_listeners(Bounded(&listeners.as_bytes()[..end]), &mut found).unwrap();
        assert_eq!(
            found,
            HashSet::from([1, 2]),
            "its end is told by what is left"
        );
    }

    #[test]
    fn a_process_that_listens_owns_itself() {
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!Tables::default().listening(process::id()).is_empty());
        let instance = Process {
            start_ns: 0,
            tgid: process::id(),
            pad: 0,
        };
        let found = scan(&[instance], &mut Sockets::default()).unwrap();
        assert!(
            found
                .iter()
                .any(|(pid, entry)| *pid == process::id() && entry.kinship == Kinship::Owner as u8)
        );
    }
    #[test]
    fn who_was_handed_a_socket_is_found_when_its_first_process_has_gone() {
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ended = process::Command::new("true").spawn().unwrap();
        let gone = Process {
            start_ns: 1,
            tgid: ended.id(),
            pad: 0,
        };
        ended.wait().unwrap();
        let mut sockets = Sockets::default();
        assert_eq!(scan(&[gone], &mut sockets).unwrap(), []);
        let here = || namespace(process::id());
        sockets.remember(gone, here(), &Tables::default().listening(process::id()));
        let found = scan(&[gone], &mut sockets).unwrap();
        let (_, heir) = found.iter().find(|(pid, _)| *pid == process::id()).unwrap();
        assert_eq!((heir.instance, heir.kinship), (gone, Kinship::Member as u8));
    }

    #[test]
    fn sockets_that_nobody_holds_are_forgotten() {
        let gone = Process {
            start_ns: 1,
            tgid: u32::MAX,
            pad: 0,
        };
        let mut sockets = Sockets::default();
        sockets.remember(gone, namespace(process::id()), &HashSet::from([u64::MAX]));
        assert_eq!(scan(&[gone], &mut sockets).unwrap(), []);
        assert!(sockets.listening.is_empty());
    }

    #[test]
    fn a_child_that_was_forked_is_of_the_same_image_and_one_that_runs_anew_is_not() {
        let mut shell = process::Command::new("sh")
            .args(["-c", "while :; do sleep 0.1; done & echo $!; wait"])
            .stdout(process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(shell.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let forked: u32 = line.trim().parse().unwrap();
        let stats = owners::processes().unwrap();
        let of = |pid: u32| stats.iter().find(|stat| stat.pid == pid).unwrap();
        let verdicts = [
            is_same_image(of(shell.id()), of(forked)),
            is_same_image(of(process::id()), of(shell.id())),
        ];
        let forked = rustix::process::Pid::from_raw(forked.cast_signed()).unwrap();
        rustix::process::kill_process(forked, rustix::process::Signal::KILL).unwrap();
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert_eq!(verdicts, [true, false]);
    }

    #[test]
    fn a_process_outside_of_any_pid_namespace_leads_none() {
        assert!(ids(process::id()).is_some());
        assert!(!leads_namespace_of(process::id(), process::id()));
    }
}
