//! `keybroker events`: the audit log, by whoever reaches the database.

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use super::Failure;
use crate::{
    app,
    broker::audit::{Auditor, Verified},
    config::DatabaseFlags,
    domain::id::OrgId,
};

/// Look after the audit log.
#[derive(Debug, Subcommand)]
pub(super) enum Events {
    Verify(Verify),
}

/// Check that no event was altered, removed, moved or inserted. Names each fault on standard error and
/// exits with 1 if there is any, or if there is nothing of an organization that was asked for. Changes
/// nothing, and may run beside a server.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    database: DatabaseFlags,

    /// An organization whose events to check, and no others; may be given several times.
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    org: Vec<OrgId>,

    /// Print each organization's newest hash too, as with --org: keep it elsewhere, and compare later.
    #[arg(long)]
    verbose: bool,
}

#[derive(Default)]
struct Sum {
    orgs: u64,
    events: u64,
    open: i64,
    faults: u64,
    /// Organizations of which the log holds nothing.
    unknown: Vec<String>,
}

impl Events {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Verify(verify) => verify.run().await,
        }
    }
}

impl Verify {
    async fn run(self) -> Result<(), Failure> {
        let auditor = app::open_auditor(self.database.url()?).await?;
        let (mut sum, show) = (Sum::default(), self.verbose || !self.org.is_empty());
        if self.org.is_empty() {
            // What concerns every organization has a chain of its own, under the empty name.
            let mut next = Some(String::new());
            while let Some(org) = next {
                sum.add(&auditor, &org, show).await?;
                next = auditor.next_org(&org).await.context("the log can't be read")?;
            }
        } else {
            for org in &self.org {
                sum.add(&auditor, org.as_str(), show).await?;
            }
        }
        let Sum { orgs, events, open, faults, unknown } = sum;
        println!("organizations: {orgs}, events: {events}, open: {open}, faults: {faults}");
        let mut text = Vec::new();
        if faults > 0 {
            let remedy =
                "compare with a backup and with exports, and find out who could write to the database";
            text.push(format!("the audit log does not verify: {faults} faults; {remedy}"));
        }
        if !unknown.is_empty() {
            let orgs = unknown.join(", ");
            text.push(format!(
                "the audit log holds nothing of {orgs}: the name is wrong, or all of its log was removed"
            ));
        }
        if text.is_empty() { Ok(()) } else { Err(anyhow!(text.join("\n")).into()) }
    }
}

impl Sum {
    async fn add(&mut self, auditor: &Auditor, org: &str, show: bool) -> Result<(), Failure> {
        let name = if org.is_empty() { "(every organization)" } else { org };
        let mut faults = 0;
        let mut tell = |fault| {
            faults += 1;
            eprintln!("{name}: {fault}");
        };
        let found = auditor.verify(org, &mut tell).await.context("the log can't be read")?;
        let Verified { events, open, newest, hash } = found;
        if !org.is_empty() && faults == 0 && (events, open, newest) == (0, 0, 0) {
            self.unknown.push(org.to_owned());
            return Ok(());
        }
        if show {
            println!("{name}: events: {events}, open: {open}, newest: {newest} {hash}");
        }
        self.orgs += u64::from(!org.is_empty());
        self.events += events;
        self.open += open;
        self.faults += faults;
        Ok(())
    }
}
