//! `keybroker doctor`

use anstream::println;
use anstyle::{AnsiColor, Style};
use clap::Args;

use super::Failure;
use crate::{
    app::doctor,
    config::ServeFlags,
    domain::finding::{Finding, Verdict},
};

/// Check settings, database, clock, store and permissions, and say what to mend. Exits with 0 if a
/// server would work, even if something could be better.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    flags: Box<ServeFlags>,
}

impl Doctor {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let findings = doctor::examine(&self.flags).await;
        if self.json {
            println!("{:#}", serde_json::json!({ "findings": findings }));
        } else {
            findings.iter().for_each(print);
        }
        let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
        if bad == 0 {
            return Ok(());
        }
        let text = format!("{bad} of {} checks failed; a server would not work", findings.len());
        if findings.iter().all(|finding| finding.check == doctor::SETTINGS) {
            // Nothing else could be tried.
            return Err(Failure::Usage(text));
        }
        Err(anyhow::anyhow!(text).into())
    }
}

/// Colour is left out where nobody would see it.
fn print(finding: &Finding) {
    let (mark, colour) = match finding.verdict {
        Verdict::Good => ("ok", AnsiColor::Green),
        Verdict::Warning => ("warning", AnsiColor::Yellow),
        Verdict::Bad => ("FAILED", AnsiColor::Red),
    };
    let (on, dim) = (Style::new().bold().fg_color(Some(colour.into())), Style::new().dimmed());
    println!("{on}{mark:>7}{on:#}  {}  {dim}{}{dim:#}: {}", finding.check, finding.tried, finding.found);
    if let Some(remedy) = &finding.remedy {
        println!("         → {remedy}");
    }
}
