//! Flags of the settings, made from their one declaration, and the way from what was typed to a configuration.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command, FromArgMatches};

use crate::config::{self, CONFIG_ENV, Config, ConfigError, Effective, KEYS, Layer, Origin, Shape};

/// Read when it exists and no other file is named.
const DEFAULT_FILE: &str = "/etc/finwatch/config.toml";

/// The flags that were typed.
#[derive(Debug, Default)]
pub(super) struct Settings {
    file: Option<PathBuf>,
    typed: HashMap<&'static str, String>,
}

/// What all layers come to.
pub(super) struct Resolved {
    pub(super) effective: Effective,
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    /// Every value understood, or everything that was wrong.
    pub(super) config: Result<Config, Vec<ConfigError>>,
    /// `FINWATCH_` variables that mean nothing.
    pub(super) unknown_vars: Vec<String>,
}

// === impl Settings ===

impl Settings {
    /// Lays flags over environment over file over defaults.
    pub(super) fn resolve(&self) -> Resolved {
        self.resolve_with(std::env::vars_os().filter_map(|(name, value)| {
            // A variable that is not UTF-8 is none of ours.
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    fn resolve_with(&self, vars: impl Iterator<Item = (String, String)>) -> Resolved {
        let vars: Vec<_> = vars.collect();
        let named = self.file.clone().or_else(|| {
            let (_, path) = vars.iter().find(|(name, _)| name == CONFIG_ENV)?;
            Some(PathBuf::from(path))
        });
        let file = named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists()));
        let (file_layer, mut errors) = match &file {
            Some(path) => config::read_file(path),
            None => (Layer::new(), Vec::new()),
        };
        let (env_layer, unknown_vars) = config::from_env(vars);
        let flags = KEYS.iter().filter_map(|key| {
            let value = self.typed.get(key.name)?;
            Some((key.name, config::typed(key, value, Origin::Flag(key.flag))))
        });
        let effective = Effective::new([file_layer, env_layer, flags.collect()]);
        let config = match Config::new(&effective) {
            Ok(config) if errors.is_empty() => Ok(config),
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(more);
                Err(errors)
            }
        };
        Resolved {
            effective,
            file,
            config,
            unknown_vars,
        }
    }

    /// As if `--config file` had been typed.
    pub(super) fn with_file(mut self, file: Option<PathBuf>) -> Self {
        self.file = file.or(self.file);
        self
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        if let Some(file) = matches.get_one::<PathBuf>("config") {
            self.file = Some(file.clone());
        }
        for key in KEYS {
            if let Some(value) = matches.get_one::<String>(key.flag) {
                self.typed.insert(key.name, value.clone());
            }
        }
        Ok(())
    }
}

impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "Configuration file (TOML) [env: {CONFIG_ENV}] [default: {DEFAULT_FILE}, if it exists]"
            ));
        KEYS.iter().fold(command.arg(file), |command, key| {
            let default = if key.default.is_empty() {
                ""
            } else {
                " [default: "
            };
            let close = if key.default.is_empty() { "" } else { "]" };
            let arg = Arg::new(key.flag).long(key.flag).help(format!(
                "{} [file: {}] [env: {}]{default}{}{close}",
                key.help, key.name, key.env, key.default
            ));
            command.arg(match key.shape {
                Shape::Switch => arg
                    .value_name("BOOL")
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true"),
                Shape::Number => arg.value_name("N"),
                Shape::Duration => arg.value_name("TIME"),
                Shape::Text => arg.value_name("TEXT"),
                Shape::List => arg.value_name("A,B,..."),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Tells every mistake on standard error, one a line with its causes.
pub(super) fn tell(errors: &[ConfigError]) -> io::Result<()> {
    let mut err = io::stderr().lock();
    for error in errors {
        write!(err, "error: {error}")?;
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            write!(err, ": {cause}")?;
            source = cause.source();
        }
        writeln!(err)?;
    }
    Ok(())
}

/// How a file is called in a sentence.
pub(super) fn called(file: Option<&Path>) -> String {
    file.map_or_else(
        || format!("no file ({DEFAULT_FILE} does not exist)"),
        |file| file.display().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn every_setting_has_a_flag_and_the_command_is_sound() {
        let command = Settings::augment_args(Command::new("x"));
        command.clone().debug_assert();
        for key in KEYS {
            assert!(
                command
                    .get_arguments()
                    .any(|arg| arg.get_long() == Some(key.flag))
            );
        }
    }

    #[test]
    fn what_was_typed_arrives() {
        let typed = Typed::parse_from([
            "x",
            "--probe-log",
            "--series-server-limit",
            "7",
            "--listen",
            "127.0.0.1:1,[::1]:2",
        ]);
        let resolved = typed.settings.resolve_with([].into_iter());
        let config = resolved.config.expect("a configuration");
        assert!(config.probe.log);
        assert_eq!((config.series.servers, config.listen.len()), (7, 2));
    }

    #[test]
    fn a_named_file_must_exist() {
        let typed = Typed::parse_from(["x", "--config", "/nonexistent/x.toml"]);
        let errors = typed
            .settings
            .resolve_with([].into_iter())
            .config
            .expect_err("no such file");
        assert!(matches!(&errors[..], [ConfigError::Read { .. }]));
    }
}
