//! Parses the command line, runs what was asked, prints one chain of causes.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use finwatch::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::typed() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            // Where standard error is closed there is nobody left to tell.
            let _told = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
