//! `finwatch completions`: what a shell needs to complete finwatch's commands and flags.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, asking::print};

/// What was typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For bash:  finwatch completions bash > /etc/bash_completion.d/finwatch
For zsh:   finwatch completions zsh > /usr/share/zsh/vendor-completions/_finwatch
For fish:  finwatch completions fish > /etc/fish/completions/finwatch.fish")]
pub(super) struct Args {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "finwatch", &mut script);
    print(&String::from_utf8_lossy(&script))
}
