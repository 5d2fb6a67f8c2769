//! SIGUSR1 and SIGUSR2: what they mean is known of some servers by the names of their processes, and for all others is told by what
//! follows.

use finwatch_engine::model::{Drain, DrainKind};

use super::{IDLE, stage::Stage};
use crate::harness::{crowd::Transport, daemon::netns_inode, wait_until};

/// Everything that is told of the server at its end.
fn drains_here(stage: &Stage) -> Vec<Drain> {
    let netns = netns_inode();
    let mut drains: Vec<Drain> = stage.daemon.list("drains");
    drains.retain(|drain| drain.instance.netns == netns);
    drains
}

/// Logs are rotated, by programs that a table knows by their title, by a beginning, and not at all.
#[test]
fn a_log_rotation_is_no_reload() {
    for name in ["gunicorn: maste", "angie", "php-fpm9.1", "some-server"] {
        Stage::set("python", &["forking", name], |stage| {
            let _crowd = stage.gather(Transport::Plain, IDLE, 0);
            stage.server.signal(libc::SIGUSR1);
            let rotated = stage.server.folder().join("rotated");
            wait_until("it rotates its log", || rotated.exists());
            stage.server.signal(libc::SIGTERM);
            let stop = stage.drain(DrainKind::Stop);
            assert_eq!(stop.instance.program, name);
            let kinds: Vec<_> = drains_here(stage).iter().map(|drain| drain.kind).collect();
            assert_eq!(kinds, [DrainKind::Stop], "{name}");
        });
    }
}

#[test]
fn a_worker_that_is_replaced_makes_it_a_reload() {
    Stage::set("python", &["forking", "some-server"], |stage| {
        let _crowd = stage.gather(Transport::Plain, IDLE, 0);
        stage.server.signal(libc::SIGUSR2);
        let reload = stage.drain(DrainKind::Reload);
        let signal = reload.signal.as_ref().unwrap();
        assert_eq!(signal.name, "SIGUSR2");
        assert_eq!(signal.target_pid, stage.server.pid());
        let processes = (
            reload.processes,
            reload.processes_ended,
            reload.new_processes,
        );
        assert_eq!(processes, (1, 1, 1), "{reload:#?}");
        assert_eq!(reload.open_at_start, IDLE as u64, "{reload:#?}");
        assert_eq!(drains_here(stage).len(), 1);
    });
}
