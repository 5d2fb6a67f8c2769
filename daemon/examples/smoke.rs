//! Scratch.
use finwatch::probe::*;
use finwatch_common::*;
fn main() -> anyhow::Result<()> {
    let t = std::time::Instant::now();
    let mut p = Probe::load(&ProbeOptions::default())?;
    eprintln!("loaded in {:?}; unseeded {:?}", t.elapsed(), p.unseeded());
    std::thread::sleep(std::time::Duration::from_secs(
        std::env::args()
            .nth(1)
            .and_then(|a| a.parse().ok())
            .unwrap_or(3),
    ));
    let r = p.counters().live()?;
    for (k, row) in &r.rows {
        if row.iter().any(|c| *c != 0) {
            println!(
                "{:?} {} port={} cg={} netns={}",
                k.role().unwrap(),
                k.comm(),
                k.port,
                k.cgroup,
                k.netns
            );
            for (i, c) in row.iter().enumerate() {
                if *c != 0 {
                    print!("  [{i}]={c}");
                }
            }
            println!();
        }
    }
    for (k, n) in &r.resets {
        if *n > 0 {
            println!(
                "reset {} port {} reason {} lost {}: {n}",
                k.service.comm(),
                k.service.port,
                p.reset_reason(k.reason),
                k.lost
            );
        }
    }
    let mut n = 0;
    p.drain(1_000_000, |rec| {
        n += 1;
        if n < 20 {
            println!("{rec:?}");
        }
    });
    println!("records {n} losses {:?}", p.losses());
    for s in p.program_stats() {
        println!("{s:?}");
    }
    let rot = p.counters().rotate()?;
    println!(
        "rotated {} rows; live now {}",
        rot.rows.len(),
        p.counters()
            .live()?
            .rows
            .iter()
            .filter(|r| r.1.iter().any(|c| *c != 0))
            .count()
    );
    Ok(())
}
