//! Entry points, and what every one of them shares. Each quotes the kernel prototype it trusts.

mod args;
mod atomic;
mod catch_up;
mod conn;
mod counters;
mod end;
mod exit;
mod family;
mod flag;
mod inferred;
mod judge;
mod kernel;
mod losses;
mod mini_socket;
mod open;
mod phases;
mod ports;
mod read;
mod reset;
mod ring;
mod sent;
mod signal;
mod state;
mod survey;
mod task;
mod tell;
mod token;
mod turn;
mod wanted;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

/// Counts every transition of a TCP socket.
// match-proto: void inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
fn finwatch_state(ctx: BtfTracePointContext) -> i32 {
    state::on_state(&ctx, state::Pass::First)
}

/// Runs after [`finwatch_state`] and makes good what the recursion guard skipped there.
// match-proto: void inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
fn finwatch_state_again(ctx: BtfTracePointContext) -> i32 {
    state::on_state(&ctx, state::Pass::Second)
}

/// Counts every RST that this host sends.
// match-proto: void tcp_send_reset(const struct sock *sk, const struct sk_buff *skb)
// match-proto: void tcp_send_reset(const struct sock *sk, const struct sk_buff *skb__nullable, const enum sk_rst_reason reason)
#[btf_tracepoint(function = "tcp_send_reset")]
fn finwatch_reset(ctx: BtfTracePointContext) -> i32 {
    reset::on_send_reset(&ctx, reset::Pass::First)
}

/// Runs after [`finwatch_reset`] and makes good what the recursion guard skipped there.
// match-proto: void tcp_send_reset(const struct sock *sk, const struct sk_buff *skb)
// match-proto: void tcp_send_reset(const struct sock *sk, const struct sk_buff *skb__nullable, const enum sk_rst_reason reason)
#[btf_tracepoint(function = "tcp_send_reset")]
fn finwatch_reset_again(ctx: BtfTracePointContext) -> i32 {
    reset::on_send_reset(&ctx, reset::Pass::Second)
}

/// Notes that `tcp_reset()` runs: an RST came, or data after our close().
// match-proto: void tcp_receive_reset(struct sock *sk)
#[btf_tracepoint(function = "tcp_receive_reset")]
fn finwatch_reset_received(ctx: BtfTracePointContext) -> i32 {
    reset::on_receive_reset(ctx.arg(0))
}

/// Settles what no RST followed.
// match-proto: void tcp_destroy_sock(struct sock *sk)
#[btf_tracepoint(function = "tcp_destroy_sock")]
fn finwatch_destroy(ctx: BtfTracePointContext) -> i32 {
    end::on_destroy(ctx.arg(0))
}

/// Keeps the turns: the program took bytes from the socket.
// match-proto: void tcp_rcv_space_adjust(struct sock *sk)
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
fn finwatch_read(ctx: BtfTracePointContext) -> i32 {
    read::on_read(ctx.arg(0))
}

/// Sets the phase of an instance at the instant of the signal that asks it to stop or to reload.
// match-proto: void signal_generate(int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result)
#[btf_tracepoint(function = "signal_generate")]
fn finwatch_signal(ctx: BtfTracePointContext) -> i32 {
    signal::on_signal(&ctx)
}

/// Takes the children of an instance's processes into the family.
// match-proto: void sched_process_fork(struct task_struct *parent, struct task_struct *child)
#[btf_tracepoint(function = "sched_process_fork")]
fn finwatch_fork(ctx: BtfTracePointContext) -> i32 {
    exit::on_fork(&ctx)
}

/// Lets go of a child that runs another program.
// match-proto: void sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
#[btf_tracepoint(function = "sched_process_exec")]
fn finwatch_exec(ctx: BtfTracePointContext) -> i32 {
    exit::on_exec(&ctx)
}

/// Tells the end of an instance's processes.
// match-proto: void sched_process_exit(struct task_struct *p)
// match-proto: void sched_process_exit(struct task_struct *p, bool group_dead)
#[btf_tracepoint(function = "sched_process_exit")]
fn finwatch_exit(ctx: BtfTracePointContext) -> i32 {
    exit::on_exit(&ctx)
}

/// Walks the sockets of one network namespace: seeds what no program has seen, and writes a row for
/// each listener and each connection that owes or awaits an answer.
// match-proto: int tcp(struct bpf_iter_meta *meta, struct sock_common *sk_common, uid_t uid)
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
fn finwatch_survey(ctx: *const survey::IterContext) -> i32 {
    survey::on_socket(ctx)
}

/// Walks the mini-sockets of one network namespace.
// match-proto: int tcp(struct bpf_iter_meta *meta, struct sock_common *sk_common, uid_t uid)
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
fn finwatch_survey_time_wait(ctx: *const survey::IterContext) -> i32 {
    survey::on_mini_socket(ctx)
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that can get here, so no loaded one does.
    loop {}
}
