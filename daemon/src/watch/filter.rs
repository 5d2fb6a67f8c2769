//! Which events are shown: the filters that were typed. Filters of one kind widen each other, kinds narrow
//! each other.

use std::{ops::RangeInclusive, str::FromStr};

use finwatch_common::{Cut, Origin, Outcome, Role};

use super::event::{Event, Exit, Listener, Reset, Signal, Subject, Unread};
use finwatch_engine::model::{Close, Service, WorkloadKind, words::Word as _};

/// Ports, from one to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ports(RangeInclusive<u16>);

/// A workload's name, in which `*` stands for anything; with `kind/` before it also the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

/// Which cut connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cuts {
    /// Whatever the cause.
    Any,
    /// By this cause.
    By(Cut),
}

/// What is shown; an empty list lets everything pass.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) ports: Vec<Ports>,
    pub(crate) workloads: Vec<Name>,
    pub(crate) roles: Vec<Role>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) cuts: Vec<Cuts>,
    /// Listeners, RSTs that cut nothing, and what happens to single workers.
    pub(crate) all: bool,
}

impl Filter {
    /// Whether the event is shown. A gap in the stream always is.
    pub(super) fn admits(&self, event: &Event) -> bool {
        match event {
            Event::Close(close) => self.admits_close(close),
            Event::Reset(reset) => self.admits_reset(reset),
            Event::Unread(unread) => self.admits_unread(unread),
            Event::Listener(listener) => self.admits_listener(listener),
            Event::Signal(signal) => self.admits_signal(signal),
            Event::Exit(exit) => self.admits_exit(exit),
            Event::Lost(_) => true,
        }
    }

    fn admits_close(&self, close: &Close) -> bool {
        self.admits_service(&close.service, close.role)
            && is_empty_or_any(&self.origins, |origin| origin.word() == close.origin)
            && is_empty_or_any(&self.outcomes, |outcome| outcome.word() == close.outcome)
            && self.admits_cut(close.cut.as_deref())
    }

    /// An RST that cut a connection belongs to the story even when its close was told long ago.
    fn admits_reset(&self, reset: &Reset) -> bool {
        if reset.refused {
            return self.admits_refused(reset);
        }
        (self.all || reset.cut.is_some())
            && self.admits_subject(&reset.subject)
            && self.origins.is_empty()
            && is_among(&self.outcomes, Outcome::ResetSent)
            && self.admits_cut(reset.cut)
    }

    /// A client that was refused belongs to the story of who listened there. What comes to a port that nobody is known to have
    /// had is noise, unless that port is asked for.
    fn admits_refused(&self, reset: &Reset) -> bool {
        let is_known = reset.subject.service.workload_kind != WorkloadKind::Other.as_str();
        (self.all || is_known || !self.ports.is_empty())
            && self.admits_subject(&reset.subject)
            && self.origins.is_empty()
            && self.outcomes.is_empty()
            && self.cuts.is_empty()
    }

    /// As with an RST.
    fn admits_unread(&self, unread: &Unread) -> bool {
        (self.all || unread.cut.is_some())
            && self.admits_subject(&unread.subject)
            && self.origins.is_empty()
            && self.outcomes.is_empty()
            && self.admits_cut(unread.cut)
    }

    fn admits_listener(&self, listener: &Listener) -> bool {
        self.all
            && self.admits_subject(&listener.subject)
            && self.origins.is_empty()
            && self.outcomes.is_empty()
            && self.cuts.is_empty()
    }

    /// A signal that begins something belongs to the story.
    fn admits_signal(&self, signal: &Signal) -> bool {
        (self.all || signal.asks) && self.admits_process(&signal.services)
    }

    fn admits_exit(&self, exit: &Exit) -> bool {
        (self.all || exit.kinship != "member") && self.admits_process(&exit.services)
    }

    /// What happens to a process happens to each of its services, which it serves.
    fn admits_process(&self, services: &[Service]) -> bool {
        let names_services =
            !(self.ports.is_empty() && self.workloads.is_empty() && self.roles.is_empty());
        self.origins.is_empty()
            && self.outcomes.is_empty()
            && self.cuts.is_empty()
            && (!names_services
                || services
                    .iter()
                    .any(|service| self.admits_service(service, Role::Server)))
    }

    fn admits_subject(&self, subject: &Subject) -> bool {
        self.admits_service(&subject.service, subject.role)
    }

    fn admits_service(&self, service: &Service, role: Role) -> bool {
        is_empty_or_any(&self.ports, |ports| ports.0.contains(&service.port))
            && is_among(&self.roles, role)
            && is_empty_or_any(&self.workloads, |name| name.matches(service))
    }

    fn admits_cut(&self, cut: Option<&str>) -> bool {
        is_empty_or_any(&self.cuts, |wanted| match wanted {
            Cuts::Any => cut.is_some(),
            Cuts::By(cause) => cut == Some(cause.word()),
        })
    }
}

fn is_among<T: PartialEq>(wanted: &[T], value: T) -> bool {
    wanted.is_empty() || wanted.contains(&value)
}

fn is_empty_or_any<T>(wanted: &[T], matches: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(matches)
}

// === impl Ports ===

impl FromStr for Ports {
    type Err = String;

    /// `443`, or `8000-8999`.
    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| match text.trim().parse() {
            Ok(0) | Err(_) => Err(format!("{text:?} is no port from 1 to 65535")),
            Ok(port) => Ok(port),
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first > last {
            return Err(format!("the range ends at {last}, before it begins"));
        }
        Ok(Self(first..=last))
    }
}

// === impl Name ===

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err("the name of a workload is empty".to_owned()),
            text => Ok(Self(text.to_owned())),
        }
    }
}

impl Name {
    fn matches(&self, service: &Service) -> bool {
        let of_kind = self.0.strip_prefix(service.workload_kind.as_str());
        is_match(&self.0, &service.workload)
            || of_kind
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|pattern| is_match(pattern, &service.workload))
    }
}

/// Whether `text` is what the pattern says, `*` standing for anything.
fn is_match(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    // What stands between two stars is taken where it comes first: that leaves most for the others.
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use finwatch_common::Phase;

    use super::*;
    use crate::watch::samples::{close, exit, listener, refused, reset, signal};
    use finwatch_engine::model::{Workload, WorkloadKind};

    fn admits(filter: &Filter, close: Close) -> bool {
        filter.admits(&Event::Close(Box::new(close)))
    }

    #[test]
    fn ports_and_ranges() {
        assert_eq!("80".parse(), Ok(Ports(80..=80)));
        assert_eq!("8000-8999".parse(), Ok(Ports(8000..=8999)));
        for text in ["", "0", "65536", "-", "9-", "9-8", "x", "80,81", "1-2-3"] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
        let filter = Filter {
            ports: vec![Ports(8000..=8999), Ports(443..=443)],
            ..Filter::default()
        };
        for (port, shown) in [
            (443, true),
            (8000, true),
            (8999, true),
            (444, false),
            (9000, false),
        ] {
            let mut close = close();
            close.service.port = port;
            assert_eq!(admits(&filter, close), shown, "{port}");
        }
    }

    #[test]
    fn names_with_stars_and_kinds() {
        for (pattern, text, want) in [
            ("nginx.service", "nginx.service", true),
            ("nginx", "nginx.service", false),
            ("nginx*", "nginx.service", true),
            ("*.service", "nginx.service", true),
            ("n*x*e", "nginx.service", true),
            ("n*z*e", "nginx.service", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("a**a", "aa", true),
        ] {
            assert_eq!(is_match(pattern, text), want, "{pattern} {text}");
        }
        let workload = Workload::on_host(WorkloadKind::Unit, "nginx.service");
        let service = Service::new(workload, 443);
        for (name, want) in [
            ("unit/nginx*", true),
            ("container/nginx*", false),
            ("unit", false),
        ] {
            assert_eq!(Name(name.to_owned()).matches(&service), want, "{name}");
        }
    }

    #[test]
    fn kinds_of_filters_narrow_each_other() {
        assert!(admits(&Filter::default(), close()));
        let filter = Filter {
            origins: vec![Origin::Local, Origin::Both],
            outcomes: vec![Outcome::Fin],
            roles: vec![Role::Server],
            ..Filter::default()
        };
        assert!(admits(&filter, close()));
        let mut other = close();
        other.origin = "remote".to_owned();
        assert!(!admits(&filter, other));
        let mut other = close();
        other.outcome = "timeout".to_owned();
        assert!(!admits(&filter, other));
        let mut other = close();
        other.role = Role::Client;
        assert!(!admits(&filter, other));
    }

    #[test]
    fn cut_connections() {
        let with = |cuts: &[Cuts]| Filter {
            cuts: cuts.to_vec(),
            ..Filter::default()
        };
        let mut cut = close();
        cut.cut = Some("unread".to_owned());
        assert!(!admits(&with(&[Cuts::Any]), close()));
        assert!(admits(&with(&[Cuts::Any]), cut.clone()));
        assert!(admits(&with(&[Cuts::By(Cut::Unread)]), cut.clone()));
        assert!(!admits(&with(&[Cuts::By(Cut::Late)]), cut));
    }

    #[test]
    fn a_late_cut_is_shown_without_being_asked_for() {
        let event = |cuts| Event::Reset(Box::new(reset(cuts)));
        let all = Filter {
            all: true,
            ..Filter::default()
        };
        assert!(Filter::default().admits(&event(true)));
        assert!(!Filter::default().admits(&event(false)));
        assert!(all.admits(&event(false)));
        let cut = Filter {
            cuts: vec![Cuts::By(Cut::Late)],
            ..Filter::default()
        };
        assert!(cut.admits(&event(true)));
        assert!(!Filter::default().admits(&Event::Listener(Box::new(listener()))));
        assert!(all.admits(&Event::Listener(Box::new(listener()))));
    }

    #[test]
    fn who_was_refused_is_shown_where_somebody_had_the_port_or_it_is_asked_for() {
        let known = refused();
        let mut unknown = refused();
        unknown.subject.service = Service::new(Workload::other(), 443);
        let port = |port| Filter {
            ports: vec![Ports(port..=port)],
            ..Filter::default()
        };
        let all = Filter {
            all: true,
            ..Filter::default()
        };
        let cut = Filter {
            cuts: vec![Cuts::Any],
            ..Filter::default()
        };
        for (filter, shown) in [
            (Filter::default(), [true, false]),
            (port(443), [true, true]),
            (port(444), [false, false]),
            (all, [true, true]),
            (cut, [false, false]),
        ] {
            for (reset, shown) in [&known, &unknown].into_iter().zip(shown) {
                let event = Event::Reset(Box::new(reset.clone()));
                assert_eq!(filter.admits(&event), shown, "{filter:?}");
            }
        }
    }

    #[test]
    fn signals_and_exits_of_a_service() {
        let event = Event::Signal(Box::new(signal()));
        let ended = Event::Exit(Box::new(exit()));
        let port = |port| Filter {
            ports: vec![Ports(port..=port)],
            ..Filter::default()
        };
        let cut = Filter {
            cuts: vec![Cuts::Any],
            ..Filter::default()
        };
        for event in [&event, &ended] {
            assert!(Filter::default().admits(event));
            assert!(port(443).admits(event), "one of its services");
            assert!(!port(444).admits(event));
            assert!(!cut.admits(event), "only connections are cut");
        }
        let all = Filter {
            all: true,
            ..Filter::default()
        };
        let mut unasked = signal();
        unasked.asks = false;
        let mut unclear = signal();
        unclear.phase = Phase::Steady;
        assert!(Filter::default().admits(&Event::Signal(Box::new(unclear))));
        let mut worker = exit();
        worker.kinship = "member";
        for event in [
            Event::Signal(Box::new(unasked)),
            Event::Exit(Box::new(worker)),
        ] {
            assert!(!Filter::default().admits(&event));
            assert!(all.admits(&event));
        }
    }
}
