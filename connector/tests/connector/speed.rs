//! How long a large cloud takes; run by hand, because the figures are for people.

use std::{fs, time::Instant};

use cloudstack_stand_in::Cloud;

use crate::world::World;

/// The threads of the CloudStack and the store, as the system shows their names.
const OTHERS: &str = "others";

/// `CLOUDHOLD_TENANTS=1000,10000 cargo test --release -p connector --test connector -- --ignored --nocapture speed`
#[ignore = "a measurement, not a check"]
#[tokio::test(flavor = "multi_thread")]
async fn a_large_cloud() {
    let sizes = std::env::var("CLOUDHOLD_TENANTS").unwrap_or_else(|_| "1000,10000".to_owned());
    let (domains, accounts) = sizes.split_once(',').unwrap();
    let others =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_name(OTHERS).worker_threads(2).build().unwrap();
    let cloud = Cloud::grown(domains.parse().unwrap(), accounts.parse().unwrap());
    let world = World::apart(cloud, |_| (), others.handle()).await;
    for what in ["first pass", "nothing to do", "nothing to do"] {
        let (began, cpu) = (Instant::now(), cpu_s());
        let report = world.sync().await;
        println!("{what}: {:.2?}, {:.2} s of CPU: {}", began.elapsed(), cpu_s() - cpu, report.outcome);
    }
    let (began, cpu) = (Instant::now(), cpu_s());
    world.connector.verify(&|_| ()).await.unwrap();
    println!("with a full comparison: {:.2?}, {:.2} s of CPU", began.elapsed(), cpu_s() - cpu);
    println!("largest memory of all together: {} MB", memory_mb());
    drop(world);
    others.shutdown_background();
}

/// Seconds of CPU that all threads but those of the others have used.
fn cpu_s() -> f64 {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let ticks: f64 = threads.filter_map(|thread| ticks_of(&thread.unwrap().path().join("stat"))).sum();
    ticks / 100.0
}

fn ticks_of(path: &std::path::Path) -> Option<f64> {
    let stat = fs::read_to_string(path).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let used = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    // The store's database has threads of its own, which its library names; ours are counted with it.
    (!head.ends_with(OTHERS)).then_some(used)
}

/// The most memory that this process has had.
fn memory_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
