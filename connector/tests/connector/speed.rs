//! How long a large cloud takes; run by hand, because the figures are for people.

use std::time::Instant;

use cloudstack_stand_in::Cloud;

use crate::world::World;

/// `cargo test --release -p connector --test connector -- --ignored --nocapture speed`
#[ignore = "a measurement, not a check"]
#[tokio::test(flavor = "multi_thread")]
async fn a_large_cloud() {
    let sizes = std::env::var("CLOUDHOLD_TENANTS").unwrap_or_else(|_| "1000,10000".to_owned());
    let (domains, accounts) = sizes.split_once(',').unwrap();
    let world = World::with(Cloud::grown(domains.parse().unwrap(), accounts.parse().unwrap()), |_| ()).await;
    for what in ["first pass", "nothing to do", "nothing to do"] {
        let (began, cpu) = (Instant::now(), cpu_s());
        let report = world.sync().await;
        println!("{what}: {:.2?}, CPU of everything {:.2} s: {}", began.elapsed(), cpu_s() - cpu, report.outcome);
    }
    let (began, cpu) = (Instant::now(), cpu_s());
    world.connector.verify(&|_| ()).await.unwrap();
    println!("with a full comparison: {:.2?}, CPU of everything {:.2} s", began.elapsed(), cpu_s() - cpu);
    println!("largest memory: {} MB", memory_mb());
}

/// Seconds of CPU that this process has used.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The most memory that this process has had.
fn memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
