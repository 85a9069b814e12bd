//! `cloudhold status`: how the running store is doing.

use super::{Shared, output};
use crate::control::StatusReport;

/// The exit code is 1 when no writes are taken, so that scripts can ask.
pub(super) async fn run(shared: &Shared) -> anyhow::Result<u8> {
    let status: StatusReport = shared.control()?.get("status").await?;
    let code = u8::from(status.health.read_only.is_some());
    if shared.json {
        output::json(&status)?;
        return Ok(code);
    }
    match &status.health.read_only {
        None => output::line(format!("ok       version {}, process {}", status.health.version, status.pid))?,
        Some(why) => output::line(format!("READ-ONLY until it is restarted: {why}"))?,
    }
    output::line(format!("data     {}, {} free", status.data_dir.display(), output::size(status.health.free_bytes)))?;
    output::line(format!(
        "cloud    {}",
        if status.has_cloudstack { "CloudStack (see connector status)" } else { "none configured" }
    ))?;
    let doors = &status.doors;
    let all = [
        ("S3", &doors.s3),
        ("S3 (TLS)", &doors.s3_tls),
        ("IAM", &doors.iam),
        ("IAM (TLS)", &doors.iam_tls),
        ("Admin API", &doors.admin_api),
        ("Admin API (TLS)", &doors.admin_api_tls),
        ("Console", &doors.console),
        ("Plug-in", &doors.connector),
        ("Metrics", &doors.metrics),
    ];
    for (name, url) in all {
        output::line(format!("door     {name:<16} {}", url.as_deref().unwrap_or("closed")))?;
    }
    for damage in &status.damage {
        let objects =
            if damage.objects.is_empty() { String::new() } else { format!(" ({})", damage.objects.join(", ")) };
        let since = output::time(damage.found_us);
        output::line(format!("DAMAGED  {}: {}{objects}, found {since}", damage.subject, damage.detail))?;
    }
    if let Some(pass) = &status.scrub {
        let (verified, total) = (output::size(pass.size_bytes), output::size(pass.total_bytes));
        output::line(format!("scrub    {verified} of {total} verified since {}", output::time(pass.started_us)))?;
    }
    for worker in &status.health.workers {
        let when = worker.last_run_us.map_or_else(|| "not yet".to_owned(), output::time);
        output::line(format!("worker   {:<26} {when}  {}", worker.name, worker.last_result))?;
    }
    Ok(code)
}
