//! One run from start to finish: connect everybody, let them talk, report.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;

use super::report::Moments;
use super::{Crowd, Error, Line, Mode, Plan, ProcessId, Report, ServerUse, Service, Tally};
use crate::process::raise_open_files;

/// Connections opened concurrently.
const AT_ONCE: usize = 64;

/// Open files besides the sockets.
const SPARE_FILES: u64 = 64;

/// The parameters of a run, independent of its mode.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Who takes part.
    pub plan: Plan,
    /// How long messages are sent before times count.
    pub warm_up: Duration,
    /// How long messages are sent after that.
    pub length: Duration,
    /// Each message's length; the minimum is 43 bytes.
    pub message_bytes: usize,
    /// The server's process, when it runs here.
    pub server: Option<ProcessId>,
}

impl Run {
    /// Connects everybody to a service prepared for this plan, lets them talk as `mode` says, and reports.
    ///
    /// # Errors
    /// When somebody cannot connect, or the system fails. What the server gets wrong is in the report.
    pub async fn measure<S: Service>(
        self,
        service: &S,
        mode: &mut impl Mode,
        progress: &ProgressBar,
    ) -> Result<Report, Error> {
        let Self { plan, warm_up, length, message_bytes, server } = self;
        let used = || server.map(ProcessId::used).transpose();
        let before = used()?;
        let mut crowd = Crowd::new(connect(service, plan.people, progress).await?)?;
        let (connected, own) = (used()?, ProcessId::own().used()?);
        let whole = warm_up + length;
        let mut tally = Tally::new(plan, nanoseconds(warm_up)..nanoseconds(whole));
        progress.reset();
        progress.set_length(nanoseconds(whole) / 1_000_000);
        crowd.run(mode, &mut tally, whole, message_bytes, |tally, now| {
            progress.set_position(now / 1_000_000);
            progress.set_message(format!("{} delivered", tally.delivered()));
        })?;
        let (after, own_after) = (used()?, ProcessId::own().used()?);
        let moments = before.zip(connected).zip(after);
        let server = moments.map(|((before, connected), after)| {
            ServerUse::between(Moments { before, connected, after }, plan.people, tally.delivered())
        });
        let mut report = Report {
            service: service.name(),
            mode: mode.name().to_owned(),
            people: plan.people,
            group: plan.group,
            message_bytes,
            offered_per_second: mode.offered(),
            first_loss: crowd.first_loss().map(str::to_owned),
            server,
            own_cpu_seconds: own_after.cpu_seconds - own.cpu_seconds,
            ..Report::default()
        };
        report.count(&tally, length.as_secs_f64());
        Ok(report)
    }
}

/// Connects everybody, several at a time.
async fn connect<S: Service>(
    service: &S,
    people: usize,
    progress: &ProgressBar,
) -> Result<Vec<Line<S::Talk>>, Error> {
    let files = raise_open_files();
    if files < people as u64 + SPARE_FILES {
        return Err(Error::protocol(format!(
            "{people} sockets need as many open files and the system allows {files}: raise that with `ulimit -Hn`"
        )));
    }
    progress.set_length(people as u64);
    progress.set_message("connecting");
    let connecting = stream::iter(0..people).map(|person| service.connect(person)).buffered(AT_ONCE);
    connecting.inspect_ok(|_| progress.inc(1)).try_collect().await
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
