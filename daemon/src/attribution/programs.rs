//! The names of programs outside of units and containers, by the services that they have: a process is asked for once, and
//! its name kept.

use std::fmt;

use finwatch_common::{Phase, Process, Role, ServiceKey};
use finwatch_engine::bounded::Bounded;

use super::{
    process::{self, Running},
    program,
};

/// Most services whose program is remembered, at about 150 bytes each; the longest unused go first.
const MAX_NAMES: usize = 8_192;

/// Says which process listens for a service.
pub(super) type Owner = Box<dyn Fn(&ServiceKey) -> Option<Process> + Send>;

/// See the module.
#[derive(Default)]
pub(super) struct Programs {
    owner: Option<Owner>,
    running: Running,
    names: Bounded<ServiceKey, String, MAX_NAMES>,
}

// === impl Programs ===

impl Programs {
    pub(super) fn new(owner: Owner) -> Self {
        Self {
            owner: Some(owner),
            ..Self::default()
        }
    }

    /// The name that was told last.
    pub(super) fn known(&mut self, key: &ServiceKey) -> Option<String> {
        let key = key.in_phase(Phase::Steady);
        self.names.refresh(&key);
        self.names.get(&key).cloned()
    }

    /// The name of the service's program: by the process that listens, else by all that the kernel calls the same, if these
    /// are one program; of one that is gone, as it was told last.
    pub(super) fn name(&mut self, key: &ServiceKey) -> String {
        let key = key.in_phase(Phase::Steady);
        let comm = comm(&key);
        let name = match self.look(&key, &comm).or_else(|| self.known(&key)) {
            Some(name) => name,
            None => program::by_comm(&comm),
        };
        self.names.insert(key, name.clone());
        name
    }

    fn look(&mut self, key: &ServiceKey, comm: &str) -> Option<String> {
        if !program::may_be_better(comm) {
            return None;
        }
        let owner = self
            .owner
            .as_ref()
            .filter(|_| key.role() == Some(Role::Server));
        match owner.and_then(|owner| owner(key)) {
            Some(process) => process::name_of(process),
            None => self.running.name_of_all(comm),
        }
    }
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// The kernel's name. A process may call itself anything, also what is not text.
fn comm(key: &ServiceKey) -> String {
    let end = key.comm.iter().position(|byte| *byte == 0).unwrap_or(16);
    String::from_utf8_lossy(&key.comm[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{super::scripts::Script, *};

    fn key(comm: &str, role: Role) -> ServiceKey {
        let mut key = ServiceKey::other(role, Phase::Draining);
        (key.netns, key.port) = (1, 80);
        key.comm[..comm.len()].copy_from_slice(comm.as_bytes());
        key
    }

    #[test]
    fn the_next_program_has_another_name_and_one_that_is_gone_keeps_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let scripts = ["shop.sh", "cart.sh"].map(|script| Script::run(dir.path(), script));
        let owners = scripts.each_ref().map(Script::process);
        let (say, said) = std::sync::mpsc::channel();
        let mut programs = Programs::new(Box::new(move |_: &ServiceKey| said.try_recv().ok()));
        let mut told = Vec::new();
        for owner in owners {
            say.send(owner).unwrap();
            told.push(programs.name(&key("sh", Role::Server)));
        }
        drop(scripts);
        say.send(owners[0]).unwrap();
        told.push(programs.name(&key("sh", Role::Server)));
        assert_eq!(told, ["shop.sh", "cart.sh", "cart.sh"]);
        assert_eq!(
            programs.known(&key("sh", Role::Server)).as_deref(),
            Some("cart.sh")
        );
        assert_eq!(programs.known(&key("sh", Role::Client)), None);
    }

    #[test]
    fn whose_name_says_all_is_not_looked_for() {
        let mut programs = Programs::new(Box::new(|_: &ServiceKey| panic!("it was looked for")));
        assert_eq!(programs.name(&key("nginx", Role::Server)), "nginx");
        assert_eq!(
            programs.name(&key("\u{1b}[31mred", Role::Server)),
            "?[31mred"
        );
    }
}
