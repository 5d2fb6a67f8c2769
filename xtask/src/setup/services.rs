//! Keeps a package's service from starting while the package is installed: setup wants the program, not a
//! server on port 80.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process;

use anyhow::{Context as _, Result};

/// Debian asks this script before a package may start or stop a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const MARK: &str = "# finwatch-setup";

/// While it lives, no installation starts a service.
pub(super) struct HeldServices {
    ours: bool,
}

impl HeldServices {
    pub(super) fn hold() -> Result<Self> {
        let policy = Path::new(POLICY);
        let left_over = fs::read_to_string(policy).is_ok_and(|script| script.contains(MARK));
        if policy.exists() && !left_over {
            // Somebody's own policy (container images forbid every start) stays in force.
            return Ok(Self { ours: false });
        }
        // Should this process be killed before it removes the script, the script no longer forbids anything.
        let script = format!(
            "#!/bin/sh\n{MARK}\n[ -d /proc/{} ] && exit 101\nexit 0\n",
            process::id()
        );
        fs::write(policy, script).with_context(|| format!("write {POLICY}"))?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("make {POLICY} executable"))?;
        Ok(Self { ours: true })
    }
}

impl Drop for HeldServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!(
                "warning: remove {POLICY}: {error}; it forbids nothing any more, remove it by hand"
            );
        }
    }
}
