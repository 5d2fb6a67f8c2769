//! What the test program does with signals that whoever started it lets it ignore: a background job of a shell without job control
//! ignores SIGINT and SIGQUIT, one of `nohup` SIGHUP. It goes on doing so, but hands that down to nobody.

use std::ffi::c_int;

/// Those that servers are told by to stop or to reload.
const HANDED_DOWN: [c_int; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT];

/// Before `main`, as whoever is started afterwards inherits it.
#[used]
#[unsafe(link_section = ".init_array")]
static HEED_NOTHING: extern "C" fn() = heed_nothing;

/// Takes each that is ignored with a handler that does nothing: `execve()` puts that back to the default action, while it would leave an
/// ignored one ignored (signal(7)).
extern "C" fn heed_nothing() {
    extern "C" fn nothing(_signal: c_int) {}
    let handler: extern "C" fn(c_int) = nothing;
    for signal in HANDED_DOWN {
        // SAFETY: every pointer is to an action, for which zeros are a value.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let asked = libc::sigaction(signal, std::ptr::null(), &raw mut action);
            if asked == 0 && action.sa_sigaction == libc::SIG_IGN {
                action.sa_sigaction = handler as libc::sighandler_t;
                action.sa_flags = libc::SA_RESTART;
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

/// In a child that is forked and does not execute anything: has them do what they do by default.
pub(super) fn take_defaults() {
    for signal in HANDED_DOWN {
        // SAFETY: no memory is involved.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
